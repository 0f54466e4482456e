"""Print the path of a model's file, for the parameters weight and detector_weight."""
import argparse

HELP = "print the path of a model's file"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument('name', metavar='NAME', help='from gaze_ros models list')
    parser.add_argument('--suffix', default='', metavar='.SUFFIX',
                        help='suffix of the file, if a model has several: .onnx, .pt')


def run(arguments: argparse.Namespace) -> int:
    """Print the path; return the exit code."""
    from gaze_ros.core.errors import ModelError
    from gaze_ros.core.model_zoo import registry, store

    model = registry.entry_of_any_kind(arguments.name)
    if not model.needs_weight and not model.files:
        raise ModelError(f"'{model.name}' has no file of its own: {model.source}")
    print(store.find(model.name, model.kind, (arguments.suffix,) if arguments.suffix else ()))
    return 0
