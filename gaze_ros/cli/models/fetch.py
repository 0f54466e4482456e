"""Download models into the user's cache: resumed, verified, and whole or not there.

$GAZE_ROS_MODELS_URL names a folder of a mirror to take the files from instead.
"""
import argparse
import re
import sys

HELP = 'download models'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument('names', nargs='*', metavar='NAME', help='of gaze_ros models list')
    parser.add_argument('--all-shippable', action='store_true',
                        help='all that may be shipped with a product')
    parser.add_argument('--accept-license', action='store_true',
                        help='your use is within the licence, where that forbids shipping')
    parser.add_argument('--suffix', default='', metavar='.SUFFIX',
                        help='which of the files, where a model has several: .onnx, .pt')
    parser.add_argument('--sha256', type=_sha256, metavar='DIGEST',
                        help='of the file you trust, where none is known')
    parser.add_argument('--quiet', action='store_true', help='no progress bar')
    parser.set_defaults(complain=parser.error)


def _sha256(word: str) -> str:
    if not re.fullmatch('[0-9a-fA-F]{64}', word):
        raise argparse.ArgumentTypeError(f"'{word}' is not 64 hex digits")
    return word.lower()


def run(arguments: argparse.Namespace) -> int:
    """Fetch what is not there yet; return the exit code."""
    from gaze_ros.core.model_zoo import registry, store
    from gaze_ros.core.model_zoo.fetch import fetch, fetchable

    if bool(arguments.names) == arguments.all_shippable:
        arguments.complain('give names, or --all-shippable')
    if arguments.sha256 and len(arguments.names) != 1:
        arguments.complain('--sha256 is that of one file: give one name')
    suffixes = (arguments.suffix,) if arguments.suffix else ()
    if arguments.all_shippable:
        wanted = [m for m in registry.manifest() if m.may_be_shipped and fetchable(m, suffixes)]
    else:
        wanted = [registry.entry_of_any_kind(name) for name in arguments.names]
        wanted += [registry.entry(part, 'part') for m in wanted for part in m.parts]
    for model in dict.fromkeys(wanted):
        path = store.locate(model.name, model.kind, suffixes)
        if not path:
            print(f'{model.name}: licence {model.licence}; from {model.source}', file=sys.stderr)
            path = fetch(model, suffixes, accept_license=arguments.accept_license,
                         sha256=arguments.sha256 or '', quiet=arguments.quiet)
        print(f'{model.name}: {path}')
    return 0
