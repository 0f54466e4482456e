"""Coverage-guided fuzzing with atheris if installed; otherwise random changes of the seeds.

PYTHONPATH=test python -m fuzz [TARGET ...] --runs N    N inputs for each target

An input that fails is saved as fuzz-TARGET-... in the current folder; move it to
test/fuzz/seeds/TARGET after the fix.
"""
import argparse
import os
from pathlib import Path
import random
import shutil
import subprocess
import sys
import tempfile
import time

from gaze_ros.core.system import native_threads

try:
    import atheris
except ImportError:
    atheris = None


def megabytes() -> float:
    return int(Path('/proc/self/statm').read_text().split()[1]) * os.sysconf('SC_PAGESIZE') / 1e6


class Counter:
    """Runs a target; prints time and memory after the given number of inputs."""

    def __init__(self, name: str, runs: int) -> None:
        from fuzz import targets
        self._run, self._name, self._runs = targets.run, name, runs
        self._count, self._start, self._before = 0, time.monotonic(), 0.0

    def __call__(self, data: bytes) -> None:
        self._run(self._name, data)
        self._count += 1
        if self._count == max(1, self._runs // 5):  # caches are filled by then
            self._before = megabytes()
        if self._count == self._runs:
            print(f'{self._name}: {self._count} inputs in {time.monotonic() - self._start:.0f} s, '
                  f'{self._before:.0f} MB after a fifth of them, {megabytes():.0f} MB at the end',
                  flush=True)


def mutated(seed: bytes, rng: random.Random) -> bytes:
    data = bytearray(seed[:rng.choice([len(seed), rng.randrange(len(seed) + 1)])])
    for _ in range(rng.randrange(1, 9)):
        at = rng.randrange(len(data) + 1)
        data[at:at + rng.randrange(3)] = rng.randbytes(rng.randrange(4))
    return bytes(data)


def fuzz_target(name: str, runs: int) -> None:
    native_threads.configure()
    folder = Path(__file__).parent / 'seeds' / name
    if atheris:
        with atheris.instrument_imports(include=['gaze_ros', 'rosbags', 'yaml'],
                                        enable_loader_override=False):
            counter = Counter(name, runs)
        with tempfile.TemporaryDirectory() as corpus:
            for seed in folder.iterdir():
                shutil.copy(seed, corpus)
            atheris.Setup([sys.argv[0], f'-runs={runs}', '-max_len=16384', '-timeout=10',
                           '-rss_limit_mb=4096', '-verbosity=0', '-print_final_stats=0',
                           f'-artifact_prefix=fuzz-{name}-', corpus], counter)
            atheris.Fuzz()
        return
    counter, rng = Counter(name, runs), random.Random(0)
    seeds = [path.read_bytes() for path in sorted(folder.iterdir())]
    for number in range(runs):
        data = mutated(seeds[number % len(seeds)], rng)
        try:
            counter(data)
        except BaseException:
            Path(f'fuzz-{name}-{number}').write_bytes(data)
            raise


def main() -> int:
    names = sorted(path.name for path in (Path(__file__).parent / 'seeds').iterdir())
    parser = argparse.ArgumentParser(prog='fuzz', description=__doc__)
    parser.add_argument('target', nargs='*', choices=[*names, []], default=[])
    parser.add_argument('--runs', type=int, default=1000)
    parser.add_argument('--here', action='store_true', help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.here:
        fuzz_target(arguments.target[0], arguments.runs)
        return 0
    targets = arguments.target or names
    failed = []
    for name in targets:
        # One process per target: libFuzzer exits its process.
        if subprocess.run([sys.executable, '-m', 'fuzz', name, '--runs', str(arguments.runs),
                           '--here']).returncode:
            failed.append(name)
    print('failed: ' + ', '.join(failed) if failed else
          f'{len(targets)} targets, no failure'
          + ('' if atheris else ' (without atheris: not guided by coverage)'))
    return bool(failed)


if __name__ == '__main__':
    sys.exit(main())
