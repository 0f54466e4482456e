"""What gaze_ros writes where it has no room, and over what it reads."""
import os
from pathlib import Path
import subprocess
import sys

import pytest
from support import save_sample


def gaze_ros(*words, **how):
    return subprocess.run([sys.executable, '-c', 'import sys; from gaze_ros.cli.main import main; '
                           'sys.exit(main())', *words], stderr=subprocess.PIPE, text=True, **how)


@pytest.mark.skipif(not Path('/dev/full').exists(), reason='there is no /dev/full')
def test_lines_that_do_not_fit_are_told_in_one_line(tmp_path):
    clip = save_sample(tmp_path / 'a.avi', 'MJPG', 10.0, 4)
    with open('/dev/full', 'w') as full:
        done = gaze_ros('video', str(clip), '--json', '-', '--quiet', stdout=full)
    assert done.returncode == 1
    assert 'does not fit on its disk: No space left' in done.stderr
    assert 'Traceback' not in done.stderr and 'Exception' not in done.stderr, done.stderr


def test_the_input_is_not_overwritten_whatever_it_is_called(tmp_path, rounds):
    clip = save_sample(tmp_path / 'a.avi', 'MJPG', 10.0, 4)
    before = clip.read_bytes()
    os.link(clip, tmp_path / 'hard.avi')
    os.symlink(clip, tmp_path / 'soft.avi')
    for name in rounds(('hard',), ('a', 'hard', 'soft')):
        done = gaze_ros('video', str(clip), '--output', str(tmp_path / f'{name}.avi'), '--quiet')
        assert done.returncode == 1
        assert 'is the input' in done.stderr, done.stderr
        assert clip.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ['a.avi', 'hard.avi', 'soft.avi']
