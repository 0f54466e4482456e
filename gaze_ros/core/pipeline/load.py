"""Decides how many images are processed side by side, from the measured load."""
from time import monotonic

from gaze_ros.core.system.native_threads import thread_count

#: Work per image over the frame period and the number of images in flight, and for how long
#: (seconds): above the first, one more is processed side by side; one less if that stays below
#: the second.
_OVERLOAD, _OVERLOAD_TIME = 0.95, 0.5
_SPARE, _SPARE_TIME = 0.75, 3.0
#: Seconds after a change until the work per image is measured again.
_SETTLING = 0.5


#: Runtimes whose models ``auto`` runs side by side: torch has one number of threads for the whole
#: process, and that of MediaPipe cannot be set.
_SUITABLE = ('openvino, cpu', 'onnx, cpu')
#: Limit of ``auto``: between the calls of the models, Python runs one thread at a time.
_MOST = 8


def most_parallel(running: str, threads: int) -> int:
    """Return how many images ``auto`` processes side by side at most.

    :param running: runtime and device of the model, :attr:`.engine.Engine.running`.
    :param threads: the parameter of that name.
    """
    return min(thread_count(threads), _MOST) if running.startswith(_SUITABLE) else 1


class LoadControl:
    """Chooses the number of images in flight: one while that keeps up, as its latency is lowest.

    An image alone uses all threads; side by side each uses one, which takes longer per image and
    less processor time.

    :param setting: ``auto`` or a number, the parameter ``parallel``.
    :param most: limit of ``auto``.
    :ivar auto: whether the number follows the load.
    :ivar most: limit of the number.
    """

    def __init__(self, setting: str, most: int) -> None:
        self.auto = setting == 'auto'
        self.most = most if self.auto else int(setting)
        self._parallel = 1
        self._changed = monotonic()
        #: Since when there is too much work, or room to spare.
        self._since: dict[bool, float] = {}
        #: Seconds per image alone before the last change to two, 0 if unknown, and over theirs.
        self._alone, self._ratio = 0.0, 1.0

    def wanted(self, work: float, period: float) -> int:
        """Return the number that the load calls for; call it after each image.

        :param work: mean seconds of a thread per image, at the present number.
        :param period: mean seconds from one image to the next.
        """
        if not self.auto:
            return self.most
        now = monotonic()
        if now - self._changed < _SETTLING or work <= 0 or period <= 0:
            return self._parallel
        if self._alone and self._parallel == 2:
            self._ratio, self._alone = min(1.0, max(0.3, self._alone / work)), 0.0
        fewer = self._parallel - 1
        ratio = self._ratio if fewer == 1 else 1.0
        if self._lasts(True, work > _OVERLOAD * period * self._parallel, now, _OVERLOAD_TIME):
            return min(self.most, self._parallel + 1)
        if self._lasts(False, work * ratio < _SPARE * period * fewer, now, _SPARE_TIME):
            return fewer
        return self._parallel

    def changed(self, parallel: int, work: float) -> None:
        """Take note of the number that is in force from the next image on.

        :param work: as of :meth:`wanted`, before the change.
        """
        self._alone = work if self._parallel == 1 and parallel == 2 else 0.0
        self._parallel = parallel
        self._changed = monotonic()
        self._since.clear()

    def _lasts(self, overload: bool, true: bool, now: float, seconds: float) -> bool:
        """Return whether a condition has been true for some time."""
        if not true:
            self._since.pop(overload, None)
            return False
        return now - self._since.setdefault(overload, now) >= seconds
