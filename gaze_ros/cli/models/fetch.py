"""Download models into the user's cache, resumable and verified.

Set $GAZE_ROS_MODELS_URL to the URL of a mirror's folder to download the files from there.
"""
import argparse
import re
import sys

HELP = 'download models'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument('names', nargs='*', metavar='NAME', help='from gaze_ros models list')
    parser.add_argument('--all-shippable', action='store_true',
                        help='all models that may be shipped with a product')
    parser.add_argument('--accept-license', action='store_true',
                        help='confirm that the licence covers your use, if it forbids shipping')
    parser.add_argument('--suffix', default='', metavar='.SUFFIX',
                        help='suffix of the file, if a model has several: .onnx, .pt')
    parser.add_argument('--sha256', type=_sha256, metavar='DIGEST',
                        help='digest of the file you trust, if none is known')
    parser.add_argument('--quiet', action='store_true', help='no progress bar')
    parser.set_defaults(usage_error=parser.error)


def _sha256(text: str) -> str:
    if not re.fullmatch('[0-9a-fA-F]{64}', text):
        raise argparse.ArgumentTypeError(f"'{text}' is not 64 hex digits")
    return text.lower()


def run(arguments: argparse.Namespace) -> int:
    """Fetch the models that are not on this machine; return the exit code."""
    from gaze_ros.core.model_zoo import registry, store
    from gaze_ros.core.model_zoo.fetch import fetch, fetchable

    if bool(arguments.names) == arguments.all_shippable:
        arguments.usage_error('give names, or --all-shippable')
    if arguments.sha256 and len(arguments.names) != 1:
        arguments.usage_error('--sha256 is the digest of one file: give one name')
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
