"""Options and output that the benchmarks share."""
import argparse
from collections.abc import Callable, Iterable, Sequence
import json
from pathlib import Path
import sys
from typing import Any, Optional

from gaze_ros.core.errors import GazeRosError


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add the option for :func:`report`."""
    parser.add_argument('--json', nargs='?', const='-', default='', metavar='FILE',
                        help="write the result as JSON; without FILE or with '-' to standard "
                        'output')


def check_writable(path: str) -> None:
    """Check before the measurements that the result can be saved.

    :param path: of the JSON file; '' and '-' are always accepted.
    :raises GazeRosError: if it cannot be saved.
    """
    if path in ('', '-'):
        return
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        existed = Path(path).exists()
        with open(path, 'a', encoding='utf-8'):
            pass
        if not existed:  # a failed measurement leaves no file
            Path(path).unlink()
    except OSError as e:
        raise GazeRosError(f"'{path}' cannot be written: {e}") from e


def report(result: dict[str, Any], lines: Iterable[str], path: str) -> None:
    """Print a result and save it as JSON.

    :param lines: of the table; printed to standard error if the JSON goes to standard output.
    :param path: of the JSON file; '-' for standard output, '' for none.
    """
    if path == '-':
        print(json.dumps(result, indent=2))
    elif path:
        Path(path).write_text(json.dumps(result, indent=2) + '\n', encoding='utf-8')
    print('\n'.join(lines), file=sys.stderr if path == '-' else sys.stdout)


def table(rows: Sequence[Sequence[str]], left: int = 1) -> list[str]:
    """Return the lines of a table; the first row is its header.

    :param left: number of left-aligned columns; the others are right-aligned.
    """
    widths = [max(map(len, column)) for column in zip(*rows)]
    return ['  '.join(cell.ljust(width) if i < left else cell.rjust(width)
                      for i, (cell, width) in enumerate(zip(row, widths))).rstrip()
            for row in rows]


def machine_line(machine: dict[str, Any]) -> str:
    """Return the result of :func:`gaze_ros.benchmark.machine.machine` as one line."""
    versions = ', '.join(f'{k} {v}' for k, v in machine['versions'].items())
    return (f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gb']:g} GB; "
            f"{machine['os']}; Python {machine['python']}; {versions}")


def format_number(value: Optional[float], digits: int = 1) -> str:
    """Return a number for a table; '-' for None."""
    return '-' if value is None else f'{value:.{digits}f}'


def number(low: float, high: float) -> Callable[[str], float]:
    """Return an argparse type: a number from low to high."""
    def convert(word: str) -> float:
        value = float(word)
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f'{word} is not in {low:g}..{high:g}')
        return value
    convert.__name__ = 'float'  # for the error message of argparse
    return convert


def whole(low: int, high: int) -> Callable[[str], int]:
    """Return an argparse type: an integer from low to high."""
    def convert(word: str) -> int:
        value = int(word)
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f'{word} is not in {low}..{high}')
        return value
    convert.__name__ = 'int'
    return convert


def size(word: str) -> tuple[int, int]:
    """Return width and height in pixels of a text such as 1280x720."""
    width, x, height = word.partition('x')
    if not (x and width.isdecimal() and height.isdecimal()
            and 16 <= int(width) <= 16384 and 16 <= int(height) <= 16384):
        raise argparse.ArgumentTypeError(f"'{word}' is not WxH in pixels, such as 1280x720")
    return int(width), int(height)


def several(convert: Callable[[str], Any]) -> Callable[[str], list]:
    """Return an argparse type: a comma-separated list without duplicates."""
    def split(words: str) -> list:
        return [*dict.fromkeys(convert(word.strip()) for word in words.split(','))]
    split.__name__ = f'list of {convert.__name__}'
    return split
