"""Count what the stages of a child process did between two marks of its parent."""
from collections.abc import Sequence
from dataclasses import asdict
from threading import Lock

from gaze_ros.benchmark.child_processes import Answer
from gaze_ros.core.diagnostics.stage_stats import StageMark, StageSnapshot, StageStats


class StageCounter:
    """Answers marks with ``{'stages': {name: counts}, 'faces': n, **extra}``.

    The counts of a stage are the fields of
    :class:`gaze_ros.core.diagnostics.stage_stats.StageSnapshot`; ages are in seconds.

    :ivar extra: further values of each answer.
    """

    def __init__(self) -> None:
        self.extra: Answer = {}
        self._lock = Lock()
        self._faces = 0
        self._marks: dict[StageStats, StageMark] = {}

    def add(self, stages: Sequence[StageStats]) -> None:
        """Start to count these stages."""
        with self._lock:
            self._marks |= {stage: stage.mark() for stage in stages}

    def add_faces(self, faces: int) -> None:
        """Count the faces of one image."""
        with self._lock:
            self._faces += faces

    def __call__(self) -> Answer:
        """Return what was counted since the last call."""
        with self._lock:
            stages = {}
            for stage, mark in self._marks.items():
                snapshot = stage.snapshot(mark)
                stages[stage.name] = asdict(snapshot)
                self._marks[stage] = _mark_after(mark, snapshot)
            faces, self._faces = self._faces, 0
        return {'stages': stages, 'faces': faces, **self.extra}


def _mark_after(mark: StageMark, snapshot: StageSnapshot) -> StageMark:
    """Return the mark at which a snapshot ends: a mark taken now may already be an image later."""
    dropped = dict(mark.dropped)
    for reason, count in snapshot.dropped.items():
        dropped[reason] = dropped.get(reason, 0) + count
    return StageMark(
        mark.time + snapshot.seconds, mark.received + snapshot.received,
        mark.processed + snapshot.processed,
        mark.busy + (snapshot.work * snapshot.processed if snapshot.processed else 0.0), dropped)
