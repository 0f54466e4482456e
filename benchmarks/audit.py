"""Look up security advisories of the installed packages with pip-audit.

pip-audit skips a package that its service does not know or does not answer for, and exits with 0.
Here that is an error. `make audit` runs this in an environment of its own.
"""
import argparse
import json
import subprocess
import sys


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    parser.add_argument('folder', help='site-packages of the environment')


def run(arguments: argparse.Namespace) -> int:
    """Return 0 without advisories, 1 with advisories, 2 if a package could not be looked up."""
    done = subprocess.run(  # noqa: S603, our own interpreter and fixed arguments
        [sys.executable, '-m', 'pip_audit', '--path', arguments.folder, '--skip-editable',
         '--format', 'json', '--progress-spinner', 'off', '--timeout', '15'],
        capture_output=True, text=True, check=False)
    try:
        packages = json.loads(done.stdout)['dependencies']
    except (ValueError, KeyError):
        last = (done.stderr.strip().splitlines() or ['no output'])[-1]
        print(f'pip-audit failed: {last[:200]}', file=sys.stderr)
        return 2
    unknown = [p['name'] for p in packages if 'skip_reason' in p and p['name'] != 'gaze_ros'
               and 'distribution marked as editable' not in p['skip_reason']]
    found = [(p['name'], p['version'], v) for p in packages for v in p.get('vulns', ())]
    for name, version, one in found:
        print(f"{name} {version}: {one['id']}, fixed in {', '.join(one['fix_versions']) or '-'}")
    print(f'{len(packages)} packages, {len(found)} advisories, {len(unknown)} not looked up'
          + (f': {", ".join(unknown[:5])} ...' if unknown else ''))
    if unknown:
        print('some packages could not be looked up: check that the service is reachable and that '
              'the packages come from a registry', file=sys.stderr)
    return 1 if found else 2 if unknown else 0
