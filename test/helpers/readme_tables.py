"""Reads the tables of the README."""
from itertools import dropwhile, takewhile
from pathlib import Path
import re

README = (Path(__file__).resolve().parents[2] / 'README.md').read_text(encoding='utf-8')


def table(heading: str) -> list[list[str]]:
    """Return the rows of the first table below a heading, without the header row."""
    lines = README.split(f'\n## {heading}\n')[1].split('\n## ')[0].splitlines()
    rows = [*takewhile(lambda line: line.startswith('|'),
                       dropwhile(lambda line: not line.startswith('|'), lines))]
    cells = [[c.strip() for c in re.split(r'(?<!\\)\|', row)[1:-1]] for row in rows]
    return cells[2:]


def backticked(text: str) -> list[str]:
    return re.findall(r'`([^`]+)`', text)


def as_shown(value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
