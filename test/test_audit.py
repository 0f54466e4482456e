"""No version that this package lets in, pins or runs with is known to be broken into.

It asks nobody: `make audit` asks the advisories there are by then, this holds those known when the
ranges were chosen, of packages that read what strangers give or that build this one.
"""
import ast
from importlib.metadata import distributions
import re

from helpers.processes import ROOT
from packaging.requirements import Requirement
from packaging.version import Version
import pytest
import yaml

#: Package, first version without it (or those that have it), its number, and what it is.
ADVISORIES = [
    ('torch', '2.6', 'CVE-2025-32434', 'torch.load with weights_only=True runs code'),
    ('torch', '2.10', 'CVE-2026-24747', 'weights_only=True corrupts memory by SETITEM'),
    ('torch', '2.11', 'PYSEC-2026-139', 'of 2.10.0; no version is named as the one that mends it'),
    ('opencv-python', '4.8.1.78', 'CVE-2023-4863', 'libwebp in the wheel: an image runs code'),
    ('opencv-python', '==4.10.*', 'CVE-2025-53644', 'a JPEG writes where a pointer was not set'),
    ('opencv-python', '==4.11.*', 'CVE-2025-53644', 'likewise'),
    ('onnx', '1.16', 'CVE-2024-27318', 'external data is read from outside of the folder'),
    ('onnx', '1.17', 'CVE-2024-7776', 'a downloaded archive is unpacked anywhere'),
    ('onnx', '1.21', 'CVE-2026-27489', 'external data is read through links'),
    ('onnx', '1.21', 'CVE-2026-34445', 'keys of a file set attributes of objects'),
    ('pyyaml', '5.4', 'CVE-2020-14343', 'full_load runs code'),
    ('tqdm', '4.66.3', 'CVE-2024-34062', 'its command line evaluates options'),
    ('numpy', '1.22', 'CVE-2021-34141', 'strings compared beyond their end'),
    ('pillow', '10.3', 'CVE-2024-28219', 'a buffer of its colour profiles overflows'),
    ('pillow', '11.3', 'CVE-2025-48379', 'a DDS file is written beyond its buffer'),
    ('setuptools', '78.1.1', 'CVE-2025-47273', 'a downloaded package is written anywhere'),
]
#: The same wheels under other names.
TWINS = {'opencv-contrib-python': 'opencv-python', 'opencv-python-headless': 'opencv-python',
         'opencv-contrib-python-headless': 'opencv-python'}


def affected(name: str) -> list[tuple[str, str]]:
    """Return the versions of a package that have an advisory, as specifiers, with its number."""
    name = re.sub(r'[-_.]+', '-', name).lower()
    return [(until if until.startswith('==') else f'<{until}', number)
            for package, until, number, _ in ADVISORIES if package == TWINS.get(name, name)]


def inside(specifier, name: str) -> list[str]:
    """Return the advisories of which a range lets a version in."""
    found = []
    for bad, number in affected(name):
        if bad.startswith('<'):
            least = min((Version(s.version) for s in specifier if s.operator in ('>=', '~=', '==')
                         and '*' not in s.version), default=Version('0'))
            found += [number] if least < Version(bad[1:]) else []
        elif specifier.contains(bad[2:].replace('*', '0.84')):
            found.append(number)
    return found


def ranges():
    call = next(node for node in ast.walk(ast.parse((ROOT / 'setup.py').read_text()))
                if isinstance(node, ast.Call) and getattr(node.func, 'id', '') == 'setup')
    words = {k.arg: k.value for k in call.keywords}
    needs = ast.literal_eval(words['install_requires'])
    needs += [n for extra in ast.literal_eval(words['extras_require']).values() for n in extra]
    lines = (ROOT / 'requirements-models.txt').read_text().splitlines()
    needs += [line for line in lines if line and not line.startswith(('#', '-c '))]
    needs += ast.literal_eval('[' + re.search(
        r'requires = \[(.*?)\]', (ROOT / 'pyproject.toml').read_text(), re.DOTALL)[1] + ']')
    return [Requirement(n) for n in needs]


def pins():
    lines = (ROOT / 'constraints.txt').read_text().splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith('#')]


@pytest.mark.parametrize('need', ranges(), ids=str)
def test_no_range_lets_in_what_is_known_to_be_broken_into(need):
    assert inside(need.specifier, need.name) == []


@pytest.mark.parametrize('pin', pins(), ids=str)
def test_no_pin_is_known_to_be_broken_into(pin):
    assert inside(pin.specifier, pin.name) == []


def test_nothing_of_it_is_installed_here():
    found = {}
    for one in distributions():
        name, version = one.metadata['Name'], Version(one.version)
        for bad, number in affected(name or ''):
            if Requirement(f'x{bad}').specifier.contains(version, prereleases=True):
                found[f'{name} {version}'] = number
    # What comes with the interpreter's own virtual environment builds nothing of this.
    assert {n: a for n, a in found.items() if not n.startswith('setuptools ')} == {}


def test_every_advisory_is_of_a_package_that_has_a_range():
    named = {TWINS.get(n.name.lower(), n.name.lower()) for n in ranges()}
    assert {package for package, *_ in ADVISORIES} <= named


@pytest.mark.parametrize('need,count', [
    ('torch>=2.6', 2), ('torch', 3), ('torch>=2.11', 0), ('torch>=2.6,<2.7', 2),
    ('opencv-python>=4.8.1.78', 2), ('opencv-contrib-python>=4.9,!=4.10.*', 1),
    ('PyYAML==5.3', 1), ('tqdm==4.66.3', 0), ('anything', 0)])
def test_what_is_broken_into_would_be_found(need, count):
    assert len(inside(Requirement(need).specifier, Requirement(need).name)) == count


def test_what_is_pinned_is_looked_after():
    jobs = yaml.safe_load((ROOT / '.github' / 'workflows' / 'ci.yml').read_text())['jobs']
    assert any(step.get('run') == 'make audit' for step in jobs['audit']['steps'])
    bot = yaml.safe_load((ROOT / '.github' / 'dependabot.yml').read_text())
    assert {one['package-ecosystem'] for one in bot['updates']} == {'pip', 'github-actions'}
