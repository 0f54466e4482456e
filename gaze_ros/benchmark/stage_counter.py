"""Count what the stages of a child process did between two marks of its parent."""
from collections.abc import Callable, Sequence
from dataclasses import asdict
from threading import Lock
from typing import Optional, TYPE_CHECKING

from gaze_ros.benchmark.child_processes import Answer
from gaze_ros.benchmark.listener import Result
from gaze_ros.benchmark.thread_times import cpu_times, is_loading
from gaze_ros.core.diagnostics.stage_stats import StageMark, StageSnapshot, StageStats

if TYPE_CHECKING:
    from gaze_ros.benchmark.replayed_camera import ReplayedCamera


class StageCounter:
    """Answers marks with ``{'stages': {name: counts}, 'results': [result, ...], **extra}``.

    The counts of a stage are the fields of
    :class:`gaze_ros.core.diagnostics.stage_stats.StageSnapshot`; ages are in seconds.

    Each answer has the CPU seconds since the last one by work, too:
    :func:`gaze_ros.benchmark.thread_times.cpu_times`; and ``loading``, whether models are being
    loaded to process more images side by side.

    :ivar extra: further values of each answer.
    :ivar camera: splits the CPU time of its thread into decoding and publishing, if set.
    :ivar play: starts (True) or stops (False) the camera.
    """

    def __init__(self) -> None:
        self.extra: Answer = {}
        self._lock = Lock()
        self._results: list[Result] = []
        self._marks: dict[StageStats, StageMark] = {}
        self._cpu: dict[str, float] = {}
        self.camera: Optional[ReplayedCamera] = None
        self.play: Callable[[bool], None] = lambda playing: None

    def add(self, stages: Sequence[StageStats]) -> None:
        """Start to count these stages."""
        with self._lock:
            self._marks |= {stage: stage.mark() for stage in stages}

    def add_result(self, result: Result) -> None:
        """Add the result of one image, where results are not published."""
        with self._lock:
            self._results.append(result)

    def __call__(self) -> Answer:
        """Return what was counted since the last call."""
        with self._lock:
            stages = {}
            for stage, mark in self._marks.items():
                snapshot = stage.snapshot(mark)
                stages[stage.name] = asdict(snapshot)
                self._marks[stage] = _mark_after(mark, snapshot)
            results, self._results = self._results, []
            times = cpu_times()
            if self.camera is not None:
                thread = 'camera' if 'camera' in times else 'main'
                times['decode'] = self.camera.decoding
                times[thread] -= self.camera.decoding
            cpu = {work: seconds - self._cpu.get(work, 0.0) for work, seconds in times.items()}
            self._cpu = times
        return {'stages': stages, 'results': results, 'cpu': cpu, 'loading': is_loading(),
                **self.extra}


def _mark_after(mark: StageMark, snapshot: StageSnapshot) -> StageMark:
    """Return the mark at which a snapshot ends: a mark taken now may already be an image later."""
    dropped = dict(mark.dropped)
    for reason, count in snapshot.dropped.items():
        dropped[reason] = dropped.get(reason, 0) + count
    return StageMark(
        mark.time + snapshot.seconds, mark.received + snapshot.received,
        mark.processed + snapshot.processed,
        mark.busy + (snapshot.work * snapshot.processed if snapshot.processed else 0.0),
        mark.announced + snapshot.announced, dropped)
