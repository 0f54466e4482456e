"""Child process of the reference: ``python -m benchmarks.reference_worker reference SETTINGS``.

SETTINGS as in :mod:`gaze_ros.benchmark.workers`.
"""
from collections.abc import Mapping
from dataclasses import fields
import json
import os
import sys
from threading import Event
from typing import Any

from gaze_ros.benchmark.replayed_camera import open_camera
from gaze_ros.benchmark.stage_counter import StageCounter
from gaze_ros.benchmark.workers import run_guarded
from gaze_ros.core.model_zoo import store
from gaze_ros.core.system import native_threads


def main() -> None:
    """Run until stdin is closed."""
    # The reference does not set these; the environment of the parent does.
    for name in native_threads.WAITING:
        os.environ.pop(name, None)
    run_guarded('reference', _run, json.loads(sys.argv[2]))


def _run(settings: Mapping[str, Any], counter: StageCounter, stop: Event) -> None:
    from benchmarks.reference import Inference, play
    from gaze_ros.core.estimators import Settings

    source = counter.camera = open_camera(settings)
    counter.play = source.play
    values = settings['values']
    if values['detector'] == 'auto' and store.locate('retinaface', 'detector'):
        values = values | {'detector': 'retinaface'}  # the detector of the reference
    infer = Inference(values, Settings(**{f.name: values[f.name] for f in fields(Settings)}))
    counter.extra['running'] = infer.description
    play(source, infer, counter, stop)


if __name__ == '__main__':
    main()
