"""The tables of docs/reference."""
from itertools import dropwhile, takewhile
from pathlib import Path
import re

REFERENCE = Path(__file__).resolve().parents[2] / 'docs' / 'reference'


def page(name: str) -> str:
    """Return the text of a page of docs/reference."""
    return (REFERENCE / f'{name}.md').read_text(encoding='utf-8')


def table(name: str, heading: str) -> list[list[str]]:
    """Return the rows of the first table under a heading of a page, without its head."""
    lines = page(name).split(f'\n## {heading}\n')[1].split('\n## ')[0].splitlines()
    rows = [*takewhile(lambda line: line.startswith('|'),
                       dropwhile(lambda line: not line.startswith('|'), lines))]
    cells = [[c.strip() for c in re.split(r'(?<!\\)\|', row)[1:-1]] for row in rows]
    return cells[2:]


def backticked(text: str) -> list[str]:
    return re.findall(r'`([^`]+)`', text)


def as_shown(value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
