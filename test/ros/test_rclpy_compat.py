"""Private names of rclpy are used in gaze_ros/ros/process/rclpy_compat.py only."""
import ast
from functools import cache
from importlib import import_module
import inspect
from pathlib import Path

from gaze_ros.core.errors import GazeRosError
import gaze_ros.ros
import pytest
import rclpy

FOLDER = Path(gaze_ros.ros.__file__).parent
COMPAT = FOLDER / 'process' / 'rclpy_compat.py'
FILES = sorted(FOLDER.rglob('*.py'))


def private(name):
    """Return whether a name is private; special methods are not."""
    return name.startswith('_') and not name.endswith('__')


def private_members(cls):
    """Return the private names that the body of a class in the syntax tree defines."""
    names = {node.name for node in cls.body if isinstance(
        node, (ast.FunctionDef, ast.AsyncFunctionDef))}
    names |= {node.attr for node in ast.walk(cls) if isinstance(node, ast.Attribute)
              and isinstance(node.ctx, ast.Store)}
    # Python mangles names that begin with two underscores.
    return {f'_{cls.name.lstrip("_")}{name}' if name.startswith('__') else name
            for name in names if private(name)}


@cache
def private_names_of_rclpy():
    """Return the private names of all classes of rclpy."""
    return {name for path in Path(rclpy.__file__).parent.rglob('*.py')
            for node in ast.walk(ast.parse(path.read_text(encoding='utf-8')))
            if isinstance(node, ast.ClassDef) for name in private_members(node)}


def imports_of(tree):
    """Return the full names of all imports."""
    return {alias.name if isinstance(node, ast.Import) else f'{node.module}.{alias.name}'
            for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom))
            for alias in node.names}


def foreign_accesses(tree):
    """Return the private attributes that are read or set on other objects than self."""
    return {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)
            and private(node.attr)
            and not (isinstance(node.value, ast.Name) and node.value.id in ('self', 'cls'))}


@cache
def private_names_of(base):
    """Return the private names of a class of rclpy."""
    tree = ast.parse(inspect.cleandoc('\n' + inspect.getsource(base)))
    return private_members(tree.body[0])


def rclpy_subclasses(path):
    """Yield the classes of a file that derive from rclpy's, with the private names of those."""
    name = '.'.join(['gaze_ros', 'ros', *path.relative_to(FOLDER).with_suffix('').parts])
    try:
        module = import_module(name.removesuffix('.__init__'))
    except (ImportError, GazeRosError):  # launch or hri_msgs is not installed
        return
    for cls in vars(module).values():
        if not inspect.isclass(cls) or cls.__module__ != module.__name__:
            continue
        bases = [base for base in cls.__mro__ if base.__module__.startswith('rclpy.')
                 and 'impl' not in base.__module__]
        if bases:
            yield cls, set().union(*map(private_names_of, bases))


def problems(path):
    """Return the uses of private names of rclpy in a file."""
    tree = ast.parse(path.read_text(encoding='utf-8'))
    found = [f'imports {name}' for name in imports_of(tree) if name.startswith('rclpy.') and (
        name.startswith('rclpy.impl') or any(private(part) for part in name.split('.')))]
    found += [f'uses {name}' for name in foreign_accesses(tree) & private_names_of_rclpy()]
    bodies = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
    for cls, names in rclpy_subclasses(path):
        body = bodies[cls.__name__]
        used = {node.attr for node in ast.walk(body) if isinstance(node, ast.Attribute)}
        found += [f'{cls.__name__} overrides or uses {name}' for name in sorted(
            names & (used | private_members(body)))]
    return found


@pytest.mark.parametrize('path', [path for path in FILES if path != COMPAT],
                         ids=lambda path: str(path.relative_to(FOLDER)))
def test_file_uses_no_private_name_of_rclpy(path):
    assert problems(path) == []


def test_check_finds_the_private_names_in_rclpy_compat():
    found = problems(COMPAT)
    for name in ('rclpy.impl.implementation_singleton.rclpy_implementation', '_spin_once_impl',
                 '_make_handler', '_executor', '_state_machine',
                 '_LifecycleNodeMixin__change_state'):
        assert any(name in problem for problem in found), (name, found)
