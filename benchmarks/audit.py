"""Ask for the advisories of what is installed, and say so where they cannot be asked for.

pip-audit calls a package that its service does not know, or does not answer for, "skipped", and
ends well: here that is an error. It runs in an environment of its own, that of `make audit`.

    python benchmarks/audit.py FOLDER    # of the installed packages: site-packages
"""
import argparse
import json
import subprocess
import sys


def main() -> int:
    """Return 0 if all was asked for and nothing found; 1 for advisories, 2 for silence."""
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('folder', help='site-packages of the environment')
    folder = parser.parse_args().folder
    done = subprocess.run(  # noqa: S603, our own interpreter and words
        [sys.executable, '-m', 'pip_audit', '--path', folder, '--skip-editable', '--format',
         'json', '--progress-spinner', 'off', '--timeout', '15'],
        capture_output=True, text=True, check=False)
    try:
        packages = json.loads(done.stdout)['dependencies']
    except (ValueError, KeyError):
        last = (done.stderr.strip().splitlines() or ['it says nothing'])[-1]
        print(f'the advisories cannot be asked for here: {last[:200]}', file=sys.stderr)
        return 2
    silent = [p['name'] for p in packages if 'skip_reason' in p and p['name'] != 'gaze_ros'
              and 'distribution marked as editable' not in p['skip_reason']]
    found = [(p['name'], p['version'], v) for p in packages for v in p.get('vulns', ())]
    for name, version, one in found:
        print(f"{name} {version}: {one['id']}, mended in {', '.join(one['fix_versions']) or '-'}")
    print(f'{len(packages)} packages, {len(found)} advisories; of {len(silent)} nothing is known'
          + (f': {", ".join(silent[:5])} ...' if silent else ''))
    if silent:
        print('no advisories of these could be had: is the service reachable, or are they of no '
              'registry?', file=sys.stderr)
    return 1 if found else 2 if silent else 0


if __name__ == '__main__':
    sys.exit(main())
