"""What the measurements take from the command line, and how they tell their result."""
import argparse
from collections.abc import Callable, Iterable, Sequence
import json
from pathlib import Path
import sys
from typing import Any, Optional

from gaze_ros.core.errors import GazeRosError


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add the option for :func:`tell`."""
    parser.add_argument('--json', nargs='?', const='-', default='', metavar='FILE',
                        help="the result as JSON; without a name or '-': on standard output")


def check_writable(path: str) -> None:
    """Find out before the measurements whether the result can be saved.

    :raises GazeRosError: if it cannot.
    """
    if path in ('', '-'):
        return
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        there = Path(path).exists()
        with open(path, 'a', encoding='utf-8'):
            pass
        if not there:  # nor left behind by a measurement that fails
            Path(path).unlink()
    except OSError as e:
        raise GazeRosError(f"'{path}' cannot be written: {e}") from e


def tell(result: dict[str, Any], lines: Iterable[str], path: str) -> None:
    """Print a result and save it.

    :param lines: of the table; it goes to standard error where JSON takes standard output.
    :param path: of the JSON; '-' for standard output, '' for none.
    """
    if path == '-':
        print(json.dumps(result, indent=2))
    elif path:
        Path(path).write_text(json.dumps(result, indent=2) + '\n', encoding='utf-8')
    print('\n'.join(lines), file=sys.stderr if path == '-' else sys.stdout)


def table(rows: Sequence[Sequence[str]], left: int = 1) -> list[str]:
    """Return the lines of a table whose first row is its heading.

    :param left: columns of words; the others hold numbers.
    """
    widths = [max(map(len, column)) for column in zip(*rows)]
    return ['  '.join(cell.ljust(width) if i < left else cell.rjust(width)
                      for i, (cell, width) in enumerate(zip(row, widths))).rstrip()
            for row in rows]


def machine_line(machine: dict[str, Any]) -> str:
    """Return what :func:`gaze_ros.benchmark.machine.machine` tells, in a line."""
    versions = ', '.join(f'{k} {v}' for k, v in machine['versions'].items())
    return (f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gb']:g} GB; "
            f"{machine['os']}; Python {machine['python']}; {versions}")


def shown(value: Optional[float], digits: int = 1, unit: str = '') -> str:
    """Return a number for a table; '-' for none."""
    return '-' if value is None else f'{value:.{digits}f}{unit}'


def number(low: float, high: float) -> Callable[[str], float]:
    """Return what turns a word into a number from low to high."""
    def convert(word: str) -> float:
        value = float(word)
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f'{word} is not in {low:g}..{high:g}')
        return value
    convert.__name__ = 'float'  # what argparse says was expected
    return convert


def whole(low: int, high: int) -> Callable[[str], int]:
    """Return what turns a word into a whole number from low to high."""
    def convert(word: str) -> int:
        value = int(word)
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f'{word} is not in {low}..{high}')
        return value
    convert.__name__ = 'int'
    return convert


def size(word: str) -> tuple[int, int]:
    """Return width and height in pixels of a word such as 1280x720."""
    width, x, height = word.partition('x')
    if not (x and width.isdecimal() and height.isdecimal()
            and 16 <= int(width) <= 16384 and 16 <= int(height) <= 16384):
        raise argparse.ArgumentTypeError(f"'{word}' is not WxH in pixels, as 1280x720")
    return int(width), int(height)


def several(convert: Callable[[str], Any]) -> Callable[[str], list]:
    """Return what turns words with commas between them into a list without repetitions."""
    def split(words: str) -> list:
        return [*dict.fromkeys(convert(word.strip()) for word in words.split(','))]
    split.__name__ = f'list of {convert.__name__}'
    return split
