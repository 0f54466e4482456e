"""Report the result of a soak test in words and as plots."""
from pathlib import Path

from benchmarks.soak.leak_test import drifts, fit, grows, leaks, quarters
from benchmarks.soak.sampler import Sampler
import numpy as np


def warm_up(seconds: float) -> float:
    """Return the time at the start of a soak test that is not evaluated, s."""
    return min(1800.0, seconds / 4)


def verdict(sampler: Sampler) -> tuple[bool, list[str]]:
    """Return whether nothing is known to grow, and the lines of the verdict."""
    seconds = sampler.column('time')
    if not len(seconds):
        return True, ['nothing was measured']
    warm = warm_up(float(seconds[-1]))
    evaluated = (seconds >= warm) & (sampler.column('away') == 0)
    if not evaluated.any():
        return True, ['too short: nothing was measured after the warm-up']
    seconds = seconds[evaluated]
    memory = sampler.sum('anon')[evaluated]
    line = fit(seconds, memory)
    results = [leaks(line, memory)]
    lines = [
        f'{len(seconds)} rows in {seconds[-1] - seconds[0]:.0f} s after {warm:.0f} s of warm-up; '
        'rows with another model or source are left out',
        f'memory: {results[0]}: {memory[-1]:.0f} MB, {line} MB',
        f'memory resident: {fit(seconds, sampler.sum("rss")[evaluated])} MB']
    for what, values in (
            ('handles', sampler.sum('handles')), ('threads', sampler.sum('threads')),
            ('shared memory files', sampler.sum('shm_files'))):
        values = values[evaluated]
        results.append(grows(values))
        lines.append(f'{what}: {results[-1]}: {_range(values)}; {fit(seconds, values)}')
    for name in ('p50', 'p99'):
        values = sampler.column(name)[evaluated]
        line, (first, last) = fit(seconds, values), quarters(values)
        lines.append(
            f'latency {name}: {drifts(line, values)}: {_median(first)} ms in the first quarter, '
            f'{_median(last)} in the last; {line} ms')
    lines.append(
        f"{np.nanmean(sampler.column('fps')):.1f} results/s, "
        f"{np.nansum(sampler.column('ids')):.0f} ids, "
        f"{sampler.column('failures')[-1]:.0f} requests failed")
    return not {'leaks', 'grows'}.intersection(results), lines


def plot_samples(sampler: Sampler, names: list[str], path: Path) -> None:
    """Save the curves of all samples as a PNG.

    :param names: of the processes.
    :raises GazeRosError: if the file cannot be written.
    """
    from benchmarks.soak.plots import Panel, plot

    def each(what: str) -> dict[str, np.ndarray]:
        return {name: sampler.column(f'{name} {what}') for name in names}

    seconds = sampler.column('time')
    memory = Panel('anonymous memory, MB', each('anon'), from_zero=False)
    if len(names) == 1:
        memory = Panel('memory, MB', {
            'resident (RSS)': sampler.column(f'{names[0]} rss'),
            'proportional (PSS)': sampler.column(f'{names[0]} pss'),
            'anonymous': sampler.column(f'{names[0]} anon')}, from_zero=False)
    plot(path, 'gaze_ros soak test (grey: warm-up)', seconds, [
        memory,
        Panel('latency from capture to arrival, ms', {
            'p50': sampler.column('p50'), 'p99': sampler.column('p99')}),
        Panel('open file handles', each('handles'), from_zero=False),
        Panel('results and dropped images per second', {
            'results': sampler.column('fps'), 'dropped': sampler.column('dropped')}),
        Panel('threads', each('threads'), from_zero=False),
        Panel('faces per image, and new ids per second', {
            'faces': sampler.column('faces'),
            'ids': sampler.column('ids') / np.maximum(sampler.column('span'), 1e-9)}),
        Panel('mapped shared memory, MB', each('shm')),
        Panel('shared memory files', {
            'mapped by the nodes': sampler.sum('shm_files'),
            'all of Fast DDS': sampler.column('all_shm_files')}),
    ], warm_up(float(seconds[-1])) if len(seconds) else 0.0)


def _range(values: np.ndarray) -> str:
    known = values[np.isfinite(values)]
    return f'{known.min():.0f} to {known.max():.0f}' if known.size else 'unknown'


def _median(values: np.ndarray) -> str:
    known = values[np.isfinite(values)]
    return f'{np.median(known):.1f}' if known.size else '-'
