"""Verify the digests of the model files on this machine."""
import argparse

from gaze_ros.core.errors import ModelError

HELP = 'verify the files on this machine'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument('names', nargs='*', metavar='NAME', help='models [all]')


def run(arguments: argparse.Namespace) -> int:
    """Print a line per file; return 0 only if none is wrong."""
    from gaze_ros.core.model_zoo import registry, store

    named = [registry.entry_of_any_kind(name) for name in arguments.names]
    wrong = 0
    for model in named or registry.manifest():
        candidates = [*store.candidates(model)]
        if named and not candidates:
            raise ModelError(f"no file of '{model.name}' was found {store.searched_folders()}")
        for candidate in candidates:
            status, detail = 'unknown', 'no digest of it is known'
            if candidate.problem:
                status, detail = 'wrong', candidate.problem
            elif candidate.generation:
                status, detail = 'ok', candidate.generation.generation
            wrong += status == 'wrong'
            print(f'{status:<8} {model.name}: {candidate.path}: {detail}')
    return 1 if wrong else 0
