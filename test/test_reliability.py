"""docs/reliability.md: each promise names a test that is there, and each fault test is named."""
import ast
from pathlib import Path
import re

TEST = Path(__file__).resolve().parent
PAGE = (TEST.parent / 'docs' / 'reliability.md').read_text(encoding='utf-8')


def names_in(path):
    """Return the names of a file's tests."""
    tree = ast.parse(path.read_text(encoding='utf-8'))
    return {node.name for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef) and node.name.startswith('test_')}


def promises():
    """Return the rows of the tables of promises: what, and how it is known."""
    rows = []
    for block in re.split(r'\n(?!\|)', PAGE):
        lines = [line for line in block.splitlines() if line.startswith('|')]
        if lines and lines[0].startswith('| promise | test |'):
            rows += [[cell.strip() for cell in line.strip('|').split('|')] for line in lines[2:]]
    return rows


def named():
    return {(file, name) for _, where, *_ in promises()
            for file, name in re.findall(r'`([\w/]+\.py)::(\w+)`', where)}


def test_each_promise_has_its_tests():
    assert len(promises()) > 30
    for what, where, *_ in promises():
        assert re.search(r'`[\w/]+\.py(::\w+)?`', where), what
    for file, name in named():
        assert name in names_in(TEST / file), f'{file}::{name}'
    for file in re.findall(r'`([\w/]+\.py)`', PAGE):
        assert (TEST / file).is_file(), file


def test_each_fault_test_is_named():
    faults = TEST / 'ros' / 'faults'
    there = {(str(path.relative_to(TEST)), name)
             for path in faults.glob('test_*.py') for name in names_in(path)}
    assert there <= named(), there - named()
