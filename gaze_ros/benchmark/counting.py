"""What a child tells of its stages, from one mark to the next."""
from collections.abc import Sequence
from dataclasses import asdict
from threading import Lock

from gaze_ros.benchmark.processes import Answer
from gaze_ros.core.diagnostics.stage_stats import StageMark, StageSnapshot, StageStats


class Counter:
    """Answers marks with the figures of stages: ``{'stages': {name: figures}, 'faces': n, ...}``.

    :ivar more: what stands in each answer beside them.
    """

    def __init__(self) -> None:
        self.more: Answer = {}
        self._lock = Lock()
        self._faces = 0
        self._marks: dict[StageStats, StageMark] = {}

    def add(self, stages: Sequence[StageStats]) -> None:
        """Count these, too, from now on."""
        with self._lock:
            self._marks |= {stage: stage.mark() for stage in stages}

    def saw(self, faces: int) -> None:
        """Count the faces of a picture."""
        with self._lock:
            self._faces += faces

    def __call__(self) -> Answer:
        """Return what was counted since the last call; ages in seconds."""
        with self._lock:
            stages = {}
            for stage, mark in self._marks.items():
                figures = stage.snapshot(mark)
                stages[stage.name] = asdict(figures)
                self._marks[stage] = _after(mark, figures)
            faces, self._faces = self._faces, 0
        return {'stages': stages, 'faces': faces, **self.more}


def _after(mark: StageMark, figures: StageSnapshot) -> StageMark:
    """Return the mark at which the figures end: one taken now could be a picture later."""
    dropped = dict(mark.dropped)
    for why, count in figures.dropped.items():
        dropped[why] = dropped.get(why, 0) + count
    return StageMark(
        mark.time + figures.seconds, mark.received + figures.received, mark.processed + figures.processed,
        mark.busy + (figures.work * figures.processed if figures.processed else 0.0), dropped)
