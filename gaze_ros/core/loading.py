"""What an engine works with, loaded together or one without the other."""
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from typing import Optional

from gaze_ros.core.detectors import create_detector, Detector
from gaze_ros.core.estimators import create_estimator, Estimator, Settings
from gaze_ros.core.faces import Face
from gaze_ros.core.parameters import Value
import numpy as np

#: The parameters that a detector, and those that a model is loaded by.
OF_DETECTOR = frozenset({'detector', 'detector_weight', 'threads'})
OF_ESTIMATOR = frozenset({'model', *(field.name for field in fields(Settings))})

#: Pictures a detector is warmed up with, 4:3 and 16:9: it may be made ready for a shape when it
#: first sees it.
_SIZES = (640, 480), (1280, 720)


@dataclass
class Parts:
    """A detector, a model or both; None for the one that is not to change."""

    detector: Optional[Detector] = None
    estimator: Optional[Estimator] = None

    def warm_up(self) -> None:
        """Run each once, so that the first picture is not the slowest."""
        for width, height in _SIZES:
            black = np.zeros((height, width, 3), np.uint8)
            if self.detector is not None:
                self.detector.detect(black)
        if self.estimator is not None:
            side = height / 2
            self.estimator.estimate(
                black, [Face(((width - side) / 2, (height - side) / 2, side, side), 1.0)])

    def close(self) -> None:
        """Free what was loaded."""
        for part in (self.detector, self.estimator):
            if part is not None:
                part.close()


def load_parts(
        values: Mapping[str, Value],
        changed: Collection[str] = OF_DETECTOR | OF_ESTIMATOR) -> Parts:
    """Load the parts that some parameters concern.

    :param values: of all parameters of the gaze node.
    :param changed: names of those parameters.
    :raises ModelError: if the detector or the model cannot be loaded; nothing stays loaded.
    """
    parts = Parts()
    try:
        if not OF_DETECTOR.isdisjoint(changed):
            parts.detector = create_detector(
                values['detector'], weight=values['detector_weight'], threads=values['threads'])
        if not OF_ESTIMATOR.isdisjoint(changed):
            parts.estimator = create_estimator(values['model'], Settings(**{
                field.name: values[field.name] for field in fields(Settings)}))
    except BaseException:
        parts.close()
        raise
    return parts
