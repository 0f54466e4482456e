"""A batch in halves where the memory of the device is too small for the whole."""
from collections.abc import Callable, Sequence
import logging

from gaze_ros.core.errors import ModelError
from gaze_ros.core.system.malloc import is_out_of_memory
import numpy as np

_log = logging.getLogger(__name__)

#: Pictures after which one twice as large is tried again; twice as many each time that fails.
_FIRST, _LAST = 100, 100_000


class Batches:
    """Runs a batch whole, or in parts of the size that the memory takes.

    Others use the device as well, so that a larger size is tried again from time to time. Where
    not even one fits, that picture is left out and the next one tries again: to go on without a
    word on the CPU, ten times slower, helps nobody.
    """

    def __init__(self) -> None:
        self._most = 0  # that fit; 0 for any number
        self._largest = 0  # that ever came
        self._told = 0
        self._reason = ''
        self._patience = self._wait = _FIRST

    def run(self, infer: Callable[..., list[np.ndarray]], inputs: Sequence[np.ndarray],
            free: Callable[[], None] = lambda: None) -> list[np.ndarray]:
        """Return the outputs for one batch of each input.

        :param infer: a network; takes its inputs and returns its outputs, new ones, for one batch.
        :param free: gives back memory that is kept for nothing, before the next try.
        :raises ModelError: if the memory is too small for a batch of one.
        """
        count = len(inputs[0])
        self._largest = max(self._largest, count)
        parts: list[list[np.ndarray]] = []
        start = 0
        while start < count:
            size = min(count - start, self._most or count)
            failed = False
            try:
                parts.append(infer(*(x[start:start + size] for x in inputs)))
            except Exception as e:
                if not is_out_of_memory(e):
                    raise
                failed, self._reason = True, one_line(e)
            if failed:  # not before: the error holds what the network had come to
                free()
                self._shrink(size)
            else:
                start += size
        self._tell(count)
        self._grow()
        return parts[0] if len(parts) == 1 else [np.concatenate(one) for one in zip(*parts)]

    def _shrink(self, size: int) -> None:
        if size == 1:
            raise ModelError(
                f'the memory of the device is too small for one face: {self._reason}; end what '
                'else uses it, set input_size lower, take a smaller model, or set device to cpu')
        if self._most:
            self._patience = min(2 * self._patience, _LAST)
        self._most, self._wait = size // 2, self._patience

    def _tell(self, count: int) -> None:
        if self._most and (not self._told or self._most < self._told):
            self._told = self._most
            _log.warning('the memory of the device is too small for a batch of %d faces: %d at a '
                         'time, which is slower (%s)', count, self._most, self._reason)

    def _grow(self) -> None:
        if not self._most:
            return
        self._wait -= 1
        if self._wait <= 0:
            self._wait, self._most = self._patience, 2 * self._most
            if self._most > self._largest:
                self._most = 0


def one_line(error: Exception) -> str:
    """Return the first sentences of an error: torch goes on for paragraphs."""
    words = ' '.join(str(error).split()) or type(error).__name__
    first, dot, rest = words.partition('. ')
    return (first + dot + rest.partition('. ')[0])[:200]
