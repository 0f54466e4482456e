"""A soak from start to end: the nodes run, things happen, rows are written."""
from collections.abc import Collection, Mapping
from importlib.util import find_spec
import logging
from pathlib import Path
import time

from gaze_ros.benchmark.soak.crowd import save_clip, save_stills
from gaze_ros.benchmark.soak.events import Events
from gaze_ros.benchmark.soak.hearing import Heard, hearing, Robot
from gaze_ros.benchmark.soak.ledger import Ledger
from gaze_ros.benchmark.soak.nodes import Nodes
from gaze_ros.core.errors import GazeRosError
from gaze_ros.core.model_zoo import store

_log = logging.getLogger(__name__)

#: Seconds until the first result, at most, of the built-in clip, and between two looks around.
_FIRST, _CLIP, _LOOK = 120.0, 60.0, 0.25


def soak(layout: str, seconds: float, every: float, source: str,
         parameters: Mapping[str, str], out: Path, without: Collection[str] = ()
         ) -> tuple[Ledger, str]:
    """Let the pipeline run; return what was measured, and why it ended early, or ''.

    :param layout: of :data:`gaze_ros.benchmark.soak.nodes.LAYOUTS`.
    :param every: seconds from one row to the next.
    :param source: as of the camera node, looped; '' for a crowd that is drawn.
    :param parameters: of the nodes.
    :param out: folder for soak.csv and for what the nodes print.
    :param without: what does not happen, of :data:`gaze_ros.benchmark.soak.events.PERIODS`.
    :raises GazeRosError: where there is no first result.
    """
    if source:
        sources = [source]
    else:
        clip = save_clip(out / 'crowd.mp4', min(_CLIP, max(4.0, seconds)))
        sources = [str(clip), 'sample', str(save_stills(out / 'crowd'))]
    with hearing() as robot, Nodes(
            layout, {'source': sources[0], 'loop': 'true', **parameters}, out) as nodes:
        _wait(robot, nodes)
        ledger = Ledger(out / 'soak.csv', nodes.pids)
        events = Events(
            robot, _models(parameters.get('model', 'auto')), sources, seconds, without)
        try:
            return ledger, _run(robot, nodes, ledger, events, seconds, every)
        finally:
            events.close()
            ledger.close()


def _run(robot: Robot, nodes: Nodes, ledger: Ledger, events: Events, seconds: float,
         every: float) -> str:
    start = time.monotonic()
    done: list[str] = []
    robot.take()
    due, away = every, False
    try:
        while (t := time.monotonic() - start) < seconds:
            nodes.check()
            done += events.step(t)
            away |= events.away(t)
            if t >= due:
                due = max(due + every, t)
                ledger.add(t, robot.take(), robot.failures, done, away)
                done, away = [], False
            time.sleep(_LOOK)
    except KeyboardInterrupt:
        return 'interrupted'
    except GazeRosError as e:  # what was measured until then is worth telling
        return str(e)
    finally:
        if robot.failures:
            _log.warning('%d requests failed; the last: %s', robot.failures, robot.failure)
    return ''


def _wait(robot: Robot, nodes: Nodes) -> None:
    until = time.monotonic() + _FIRST
    heard = Heard()
    while not heard.ages:
        nodes.check()
        if time.monotonic() > until:
            raise GazeRosError(
                f'no result within {_FIRST:g} s: does the source play, and is the machine free?')
        time.sleep(_LOOK)
        heard = robot.take()


def _models(first: str) -> list[str]:
    """Return the models to swap between, two where there are two."""
    if first == 'auto':
        first = 'adas' if store.locate('adas') else 'mediapipe'
    return [first, *(['mediapipe'] if first != 'mediapipe' and find_spec('mediapipe') else [])]
