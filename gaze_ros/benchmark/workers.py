"""What a child of the benchmark does: ``python -m gaze_ros.benchmark.workers ROLE SETTINGS``.

SETTINGS is JSON: source, camera_fps, width and height (0 for its own), and values, those of the
gaze node's parameters by name.
"""
from collections.abc import Mapping
from dataclasses import fields
import json
import os
import sys
from threading import Event
import time
from typing import Any

from gaze_ros.benchmark.counting import Counter
from gaze_ros.benchmark.processes import answer_parent, fail
from gaze_ros.core.errors import GazeRosError
from gaze_ros.core.model_zoo import store
from gaze_ros.core.system import malloc, native_threads

#: Nodes of each role that runs nodes, in the order of their start.
NODES = {
    'pipeline': ('gaze', 'visualizer', 'camera'),
    'gaze': ('gaze',),
    'visualizer': ('visualizer',),
    'camera': ('camera',),
}


def main() -> None:
    """Play a role until stdin ends."""
    role, settings = sys.argv[1], json.loads(sys.argv[2])
    if role == 'reference':  # it has none of this, nor what the parent's environment has of it
        for name in native_threads.WAITING:
            os.environ.pop(name, None)
    else:
        native_threads.configure()
        malloc.configure()
    if role in NODES:
        _run_nodes(NODES[role], settings)
    else:
        stop, counter = Event(), Counter()
        answer_parent(counter, stop.set)
        try:
            {'sequential': _run_sequential, 'reference': _run_reference}[role](
                settings, counter, stop)
        except GazeRosError as e:
            fail(e)
        except Exception as e:
            fail(f'{role}: {type(e).__name__}: {e}')
    # Native threads and finalisers are not waited for, as gaze_ros.ros.process.entry_points does.
    os._exit(0)


class Display:
    """Stands for the window where there is no screen: what is offered is as good as shown."""

    def offer(self, bgr: Any) -> None:
        """Take the picture that would be shown, (H, W, 3) uint8 BGR."""

    def step(self) -> bool:
        """Wait a little; True: nobody closes it."""
        time.sleep(0.05)
        return True

    def close(self) -> None:
        """Nothing is held."""


def _open(settings: Mapping[str, Any]) -> Any:
    from gaze_ros.core.sources import open_source
    return open_source(settings['source'], width=settings['width'], height=settings['height'],
                       fps=settings['camera_fps'], loop=True)


def _run_sequential(settings: Mapping[str, Any], counter: Counter, stop: Event) -> None:
    """Do one picture after the other, in this thread."""
    from gaze_ros.core.diagnostics.stage_stats import StageStats
    from gaze_ros.core.output.drawing import draw
    from gaze_ros.core.pipeline.engine import create_engine
    from gaze_ros.core.sources.pacing import Pacer

    source = _open(settings)
    engine = create_engine(settings['values'])
    counter.more['running'] = engine.description
    camera, inference, display = stages = [
        StageStats(name) for name in ('Camera', 'Inference', 'Display')]
    counter.add(stages)
    pacer = Pacer(settings['camera_fps'])
    while (picture := source.read()) is not None and pacer.wait(stop):
        taken = time.monotonic()
        camera.processed()
        inference.received()
        frame = engine.process(picture, taken)
        looked = time.monotonic()
        inference.processed(looked - taken, looked - taken)
        counter.saw(len(frame.gazes))
        draw(picture, frame, display.rate.recent, looked - taken)
        drawn = time.monotonic()
        display.processed(drawn - taken, drawn - looked)


def _run_reference(settings: Mapping[str, Any], counter: Counter, stop: Event) -> None:
    from gaze_ros.benchmark.reference import Looker, play
    from gaze_ros.core.estimators import Settings

    source = _open(settings)
    values = settings['values']
    if values['detector'] == 'auto' and store.locate('retinaface', 'detector'):
        values = values | {'detector': 'retinaface'}  # its own
    look = Looker(values, Settings(**{f.name: values[f.name] for f in fields(Settings)}))
    counter.more['running'] = look.description
    play(source, settings['camera_fps'], look, counter, stop)


def _run_nodes(names: tuple[str, ...], settings: Mapping[str, Any]) -> None:
    from gaze_ros.ros.process.shutdown import Shutdown

    stop, counter = Shutdown(), Counter()
    answer_parent(counter, stop.request)
    parameters = {f'gaze:{name}': value for name, value in settings['values'].items()} | {
        'camera:source': settings['source'], 'camera:rate': settings['camera_fps'],
        'camera:fps': settings['camera_fps'], 'camera:width': settings['width'],
        'camera:height': settings['height'], 'camera:loop': True,
        'camera:wait_for_subscribers': 2}
    sys.argv[1:] = ['--ros-args']
    for name, value in parameters.items():  # JSON is YAML
        sys.argv += ['-p', f'{name}:={json.dumps(value, ensure_ascii=False)}']

    def prepare(nodes: dict[str, Any]) -> None:
        if 'visualizer' in nodes:
            nodes['visualizer'].window = Display()
        if 'gaze' in nodes:
            counter.more['running'] = nodes['gaze'].hardware_id
        counter.add([node.stats for node in nodes.values()])

    from gaze_ros.ros.process.runtime import run
    code = run(names, stop, prepare)
    sys.stderr.flush()
    os._exit(code)


if __name__ == '__main__':
    main()
