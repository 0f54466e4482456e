"""What a soak has shown, in a picture and in words."""
from pathlib import Path

from gaze_ros.benchmark.plotting import Panel, plot
from gaze_ros.benchmark.soak.ledger import Ledger
from gaze_ros.benchmark.soak.verdict import drifts, fit, grows, leaks, quarters
import numpy as np


def warm_up(seconds: float) -> float:
    """Return the seconds at the beginning of a soak that do not count."""
    return min(1800.0, seconds / 4)


def verdict(ledger: Ledger) -> tuple[bool, list[str]]:
    """Return whether nothing grows, as far as can be told, and the lines that say so."""
    seconds = ledger.column('time')
    if not len(seconds):
        return True, ['nothing was measured']
    warm = warm_up(float(seconds[-1]))
    late = (seconds >= warm) & (ledger.column('away') == 0)
    if not late.any():
        return True, ['too short: nothing was measured after the warm-up']
    seconds = seconds[late]
    memory = ledger.sum('anon')[late]
    line = fit(seconds, memory)
    found = [leaks(line, memory)]
    lines = [
        f'{len(seconds)} rows in {seconds[-1] - seconds[0]:.0f} s after {warm:.0f} s of warm-up; '
        'those with another model or source in place do not count',
        f'memory: {found[0]}: {memory[-1]:.0f} MB, {line} MB',
        f'memory resident: {fit(seconds, ledger.sum("rss")[late])} MB']
    for what, values in (
            ('handles', ledger.sum('handles')), ('threads', ledger.sum('threads')),
            ('shared memory files', ledger.sum('shm_files'))):
        values = values[late]
        found.append(grows(values))
        lines.append(f'{what}: {found[-1]}: {_range(values)}; {fit(seconds, values)}')
    for name in ('p50', 'p99'):
        values = ledger.column(name)[late]
        line, (first, last) = fit(seconds, values), quarters(values)
        lines.append(
            f'latency {name}: {drifts(line, values)}: {_median(first)} ms in the first quarter, '
            f'{_median(last)} in the last; {line} ms')
    lines.append(
        f"{np.nanmean(ledger.column('fps')):.1f} results/s, {np.nansum(ledger.column('ids')):.0f} "
        f"ids, {ledger.column('failures')[-1]:.0f} requests failed")
    return not {'leaks', 'grows'}.intersection(found), lines


def draw(ledger: Ledger, names: list[str], path: Path) -> None:
    """Save the curves as a PNG.

    :param names: of the processes.
    :raises GazeRosError: if it cannot be written.
    """
    def each(what: str) -> dict[str, np.ndarray]:
        return {name: ledger.column(f'{name} {what}') for name in names}

    one = len(names) == 1
    seconds = ledger.column('time')
    memory = Panel('memory of its own, of no file, MB', each('anon'), from_zero=False)
    if one:
        memory = Panel('memory, MB', {
            'resident (RSS)': ledger.column(f'{names[0]} rss'),
            'proportional (PSS)': ledger.column(f'{names[0]} pss'),
            'its own of no file': ledger.column(f'{names[0]} anon')}, from_zero=False)
    plot(path, 'gaze_ros benchmark soak (grey: warm-up)', seconds, [
        memory,
        Panel('latency from capture to arrival, ms', {
            'p50': ledger.column('p50'), 'p99': ledger.column('p99')}),
        Panel('open file handles', each('handles'), from_zero=False),
        Panel('results a second, and pictures dropped', {
            'results': ledger.column('fps'), 'dropped': ledger.column('dropped')}),
        Panel('threads', each('threads'), from_zero=False),
        Panel('faces in a picture, and ids that came a second', {
            'faces': ledger.column('faces'),
            'ids': ledger.column('ids') / np.maximum(ledger.column('span'), 1e-9)}),
        Panel('shared memory mapped, MB', each('shm')),
        Panel('files of shared memory', {
            'mapped by these': ledger.sum('shm_files'),
            "everybody's": ledger.column('all_shm_files')}),
    ], warm_up(float(seconds[-1])) if len(seconds) else 0.0)


def _range(values: np.ndarray) -> str:
    known = values[np.isfinite(values)]
    return f'{known.min():.0f} to {known.max():.0f}' if known.size else 'unknown'


def _median(values: np.ndarray) -> str:
    known = values[np.isfinite(values)]
    return f'{np.median(known):.1f}' if known.size else '-'
