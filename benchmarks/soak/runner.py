"""Run a soak test: start the nodes, trigger the events, write the samples."""
from collections.abc import Collection, Mapping
from importlib.util import find_spec
import logging
from pathlib import Path
import time

from benchmarks.soak.events import Events
from benchmarks.soak.node_processes import NodeProcesses
from benchmarks.soak.probe_node import probe, ProbeNode, Received
from benchmarks.soak.sampler import Sampler
from benchmarks.soak.synthetic_faces import save_clip, save_stills
from gaze_ros.core.errors import GazeRosError

_log = logging.getLogger(__name__)

#: Maximum time until the first result, length of the synthetic clip, and period of the loop, s.
_FIRST_RESULT_TIMEOUT, _CLIP_SECONDS, _LOOP_PERIOD = 120.0, 60.0, 0.25


def soak(layout: str, seconds: float, period: float, source: str,
         parameters: Mapping[str, str], out: Path, without: Collection[str] = ()
         ) -> tuple[Sampler, str]:
    """Run the pipeline; return the samples, and why the test stopped early or ''.

    :param layout: of :data:`benchmarks.soak.node_processes.LAYOUTS`.
    :param period: of the samples, s.
    :param source: of the camera node, looped; '' for synthetic faces.
    :param parameters: of the nodes.
    :param out: folder for soak.csv and the logs of the nodes.
    :param without: events to leave out, of :data:`benchmarks.soak.events.PERIODS`.
    :raises GazeRosError: if there is no first result.
    """
    if source:
        sources = [source]
    else:
        clip = save_clip(out / 'synthetic_faces.mp4', min(_CLIP_SECONDS, max(4.0, seconds)))
        sources = [str(clip), 'sample', str(save_stills(out / 'synthetic_faces'))]
    with probe() as node, NodeProcesses(
            layout, {'source': sources[0], 'loop': 'true', **parameters}, out) as processes:
        _wait(node, processes)
        sampler = Sampler(out / 'soak.csv', processes.pids)
        events = Events(
            node, _models(parameters.get('model', 'auto')), sources, seconds, without)
        try:
            return sampler, _run(node, processes, sampler, events, seconds, period)
        finally:
            events.close()
            sampler.close()


def _run(node: ProbeNode, processes: NodeProcesses, sampler: Sampler, events: Events,
         seconds: float, period: float) -> str:
    start = time.monotonic()
    happened: list[str] = []
    node.take()
    due, away = period, False
    try:
        while (t := time.monotonic() - start) < seconds:
            processes.check()
            happened += events.step(t)
            away |= events.away(t)
            if t >= due:
                due = max(due + period, t)
                sampler.add(t, node.take(), node.failures, happened, away)
                happened, away = [], False
            time.sleep(_LOOP_PERIOD)
    except KeyboardInterrupt:
        return 'interrupted'
    except GazeRosError as e:  # the samples so far are still reported
        return str(e)
    finally:
        if node.failures:
            _log.warning('%d requests failed; the last: %s', node.failures, node.last_failure)
    return ''


def _wait(node: ProbeNode, processes: NodeProcesses) -> None:
    deadline = time.monotonic() + _FIRST_RESULT_TIMEOUT
    received = Received()
    while not received.ages:
        processes.check()
        if time.monotonic() > deadline:
            raise GazeRosError(
                f'no result within {_FIRST_RESULT_TIMEOUT:g} s: check that the source plays and '
                'that no other work loads the machine')
        time.sleep(_LOOP_PERIOD)
        received = node.take()


def _models(first: str) -> list[str]:
    """Return the models to swap: the initial one, and another if one is installed."""
    return [first, *(['mediapipe'] if first != 'mediapipe' and find_spec('mediapipe') else [])]
