"""The child processes of the benchmark: ``python -m gaze_ros.benchmark.workers ROLE SETTINGS``.

SETTINGS is JSON with source, camera_fps, width and height (0 = the source's own), images (of the
source to play; 0 = all), and values: the parameters of the gaze node by name.
"""
from collections.abc import Mapping
from functools import partial
import json
import os
import sys
from threading import Event
import time
from typing import Any

from gaze_ros.benchmark.child_processes import answer_parent, fail
from gaze_ros.benchmark.listener import Result
from gaze_ros.benchmark.replayed_camera import open_camera
from gaze_ros.benchmark.stage_counter import StageCounter
from gaze_ros.core.errors import GazeRosError
from gaze_ros.core.system import malloc, native_threads

#: Nodes of each role that runs nodes, in start order.
NODES = {
    'pipeline': ('gaze', 'visualizer', 'camera'),
    'gaze': ('gaze',),
    'visualizer': ('visualizer',),
    'camera': ('camera',),
}


def main() -> None:
    """Run a role until stdin is closed."""
    role, settings = sys.argv[1], json.loads(sys.argv[2])
    native_threads.configure()
    malloc.configure()
    if role in NODES:
        _run_nodes(NODES[role], settings)
    else:
        run_guarded(role, _run_sequential, settings)


def run_guarded(role: str, work: Any, settings: Mapping[str, Any]) -> None:
    """Call ``work(settings, counter, stop)`` while answering the parent, then exit.

    :param work: returns when the event ``stop`` is set; it counts with the
        :class:`gaze_ros.benchmark.stage_counter.StageCounter`.
    """
    stop, counter = Event(), StageCounter()
    answer_parent(counter, stop.set, lambda playing: counter.play(playing))
    try:
        work(settings, counter, stop)
    except GazeRosError as e:
        fail(e)
    except Exception as e:
        fail(f'{role}: {type(e).__name__}: {e}')
    # Does not wait for native threads and finalizers, as gaze_ros.ros.process.entry_points.
    os._exit(0)


class NullWindow:
    """Replaces the window where there is no screen: an image counts as shown."""

    def show(self, image: Any) -> None:
        """Accept the (H, W, 3) uint8 BGR image that a window would show."""

    def poll(self) -> bool:
        """Wait 50 ms; return True: the window stays open."""
        time.sleep(0.05)
        return True

    def close(self) -> None:
        """Do nothing: no resource is held."""


def _run_sequential(settings: Mapping[str, Any], counter: StageCounter, stop: Event) -> None:
    """Process one image after the other in this thread."""
    from gaze_ros.core.diagnostics.stage_stats import StageStats
    from gaze_ros.core.output.drawing import draw
    from gaze_ros.core.pipeline.engine import create_engine

    source = counter.camera = open_camera(settings)
    counter.play = source.play
    engine = create_engine(settings['values'])
    counter.extra['running'] = engine.description
    camera, inference, display = stages = [
        StageStats(name) for name in ('Camera', 'Inference', 'Display')]
    counter.add(stages)
    while not stop.is_set():
        image, captured = source.read(), source.capture_time
        camera.processed()
        inference.received()
        frame = engine.process(image, captured)
        computed = time.monotonic()
        inference.processed(computed - captured, computed - captured)
        counter.add_result(Result(
            computed - captured, len(frame.gazes), frame.detection_time, frame.estimation_time))
        draw(image, frame, display.rate.recent, computed - captured)
        drawn = time.monotonic()
        display.processed(drawn - captured, drawn - computed)


def _run_nodes(names: tuple[str, ...], settings: Mapping[str, Any]) -> None:
    from gaze_ros.ros.process.shutdown import Shutdown

    shutdown, counter = Shutdown(), StageCounter()
    answer_parent(counter, shutdown.request, lambda playing: counter.play(playing))
    parameters = {f'gaze:{name}': value for name, value in settings['values'].items()}
    if len(names) == 1 and settings['values'].get('image_transport') == 'raw':
        # As pipeline.launch.py does it.
        parameters |= dict.fromkeys(
            ('gaze:image_transport', 'visualizer:image_transport'), 'shared')
    if 'camera' in names:
        from gaze_ros.ros.nodes import camera_node
        counter.camera = open_camera(settings)
        camera_node.open_source = lambda *_, **__: counter.camera
    sys.argv[1:] = ['--ros-args']
    for name, value in parameters.items():  # JSON is valid YAML
        sys.argv += ['-p', f'{name}:={json.dumps(value, ensure_ascii=False)}']

    def prepare(nodes: dict[str, Any]) -> None:
        if 'visualizer' in nodes:
            nodes['visualizer'].window = NullWindow()
        if 'gaze' in nodes:
            counter.extra['running'] = nodes['gaze'].hardware_id
        if 'camera' in nodes:
            # A camera node would open a source again that does not answer.
            counter.play = partial(_activate, nodes['camera'])
        counter.add([node.stats for node in nodes.values()])

    from gaze_ros.ros.process.runtime import run
    code = run(names, shutdown, prepare)
    sys.stderr.flush()
    os._exit(code)


def _activate(node: Any, active: bool) -> None:
    if active:
        node.trigger_activate()
    else:
        node.trigger_deactivate()


if __name__ == '__main__':
    main()
