"""Run a benchmark: ``python -m benchmarks VERB``, in the root of the checkout.

In another folder, set PYTHONPATH to the root of the checkout.
"""
import argparse
from importlib import import_module
import os
from pathlib import Path
import signal
import sys

#: Module and help of each verb. The module has add_arguments(parser) and run(arguments), which
#: returns the exit code.
VERBS = {
    'compare': ('benchmarks.compare', 'compare the pipeline with the design of the reference'),
    'transport': ('benchmarks.transport', 'latency and load of images from node to node'),
    'stages': ('benchmarks.stages', 'overhead of the nodes, with simulated stages'),
    'soak': ('benchmarks.soak.command', 'run the pipeline for hours; report what grows'),
    'accuracy': ('benchmarks.accuracy', 'licence, accuracy and speed of the models: tables'),
    'face-time': ('benchmarks.face_time', 'CPU time per face of the default models, on one core'),
    'face-size': ('benchmarks.face_size', 'smallest face that each detector finds, and its cost'),
    'people': ('benchmarks.people', 'cost of the people node per image, by what is used of it'),
    'figures': ('benchmarks.figures', 'draw the images of docs/ that show gaze'),
    'matrix': ('benchmarks.matrix', 'install the package in many ways and run it'),
    'audit': ('benchmarks.audit', 'look up security advisories of the installed packages'),
}

#: Verbs that also run in an environment without gaze_ros.
STANDALONE = ('matrix', 'audit')


def main() -> int:
    """Run a verb; return the exit code: 0 success, 1 failure with a reason, 2 wrong usage."""
    root = str(Path(__file__).absolute().parents[1])
    # Child processes import this package, whatever the current folder is.
    os.environ['PYTHONPATH'] = os.pathsep.join(
        filter(None, [os.environ.get('PYTHONPATH', ''), root]))
    words = sys.argv[1:]
    parser = argparse.ArgumentParser(prog='python -m benchmarks', description=__doc__)
    verbs = parser.add_subparsers(dest='verb', required=True, metavar='VERB')
    chosen = words[0] if words and words[0] in VERBS else ''
    if not chosen:
        for name, (_, text) in VERBS.items():
            verbs.add_parser(name, help=text)
        parser.parse_args(words)
        return 2
    if chosen in STANDALONE:
        return _run(verbs, parser, chosen, words)
    from gaze_ros.cli.main import run_guarded
    from gaze_ros.core.system import native_threads

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    native_threads.configure()
    return run_guarded(f'{parser.prog} {chosen}', lambda: _run(verbs, parser, chosen, words))


def _run(verbs, parser: argparse.ArgumentParser, name: str, words: list[str]) -> int:
    module = import_module(VERBS[name][0])
    sub = verbs.add_parser(name, description=module.__doc__)
    module.add_arguments(sub)
    return module.run(parser.parse_args(words))


if __name__ == '__main__':
    sys.exit(main())
