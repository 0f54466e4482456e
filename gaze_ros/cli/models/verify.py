"""Check the digests of the files of models that are on this machine."""
import argparse

from gaze_ros.core.errors import ModelError

HELP = 'check the files that are there'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument('names', nargs='*', metavar='NAME', help='models; none for all')


def run(arguments: argparse.Namespace) -> int:
    """Print a line for each file; return 0 only if none is wrong."""
    from gaze_ros.core.model_zoo import registry, store

    named = [registry.entry_of_any_kind(name) for name in arguments.names]
    wrong = 0
    for model in named or registry.manifest():
        found = [*store.candidates(model)]
        if named and not found:
            raise ModelError(f"no file of '{model.name}' was found {store.searched_folders()}")
        for one in found:
            verdict, why = 'unknown', 'no digest of it is known'
            if one.problem:
                verdict, why = 'wrong', one.problem
            elif one.generation:
                verdict, why = 'ok', one.generation.generation
            wrong += verdict == 'wrong'
            print(f'{verdict:<8} {model.name}: {one.path}: {why}')
    return 1 if wrong else 0
