"""Running a batch in parts when the device memory is too small for the whole batch."""
from collections.abc import Callable, Sequence
import logging

from gaze_ros.core.errors import ModelError
from gaze_ros.core.system.malloc import is_out_of_memory
import numpy as np

_log = logging.getLogger(__name__)

#: Calls after which a batch twice as large is tried again; doubled each time that fails, up to
#: the second number.
_MIN_WAIT, _MAX_WAIT = 100, 100_000


class Batches:
    """Runs a batch whole, or in parts that fit into the device memory.

    Other processes use the device as well, so a larger size is tried again from time to time. If
    not even one face fits, the call fails and the next one tries again. There is no silent
    fallback to the CPU, which would be ten times slower.
    """

    def __init__(self) -> None:
        self._max_size = 0  # that fits; 0 for any size
        self._largest_batch = 0  # so far
        self._logged_size = 0
        self._reason = ''
        self._backoff = self._wait = _MIN_WAIT

    def run(self, infer: Callable[..., list[np.ndarray]], inputs: Sequence[np.ndarray],
            free: Callable[[], None] = lambda: None) -> list[np.ndarray]:
        """Return the outputs for one batch of each input.

        :param infer: a network; takes the inputs of one batch and returns newly allocated outputs.
        :param free: releases cached memory before the next attempt.
        :raises ModelError: if the memory is too small for a batch of one.
        """
        count = len(inputs[0])
        self._largest_batch = max(self._largest_batch, count)
        parts: list[list[np.ndarray]] = []
        start = 0
        while start < count:
            size = min(count - start, self._max_size or count)
            failed = False
            try:
                parts.append(infer(*(x[start:start + size] for x in inputs)))
            except Exception as e:
                if not is_out_of_memory(e):
                    raise
                failed, self._reason = True, one_line(e)
            if failed:  # only now: until here the exception kept the network's memory alive
                free()
                self._shrink(size)
            else:
                start += size
        self._log_size(count)
        self._grow()
        return parts[0] if len(parts) == 1 else [
            np.concatenate(outputs) for outputs in zip(*parts)]

    def _shrink(self, size: int) -> None:
        if size == 1:
            raise ModelError(
                f'the device memory is too small for one face: {self._reason}; stop other '
                'processes that use it, reduce input_size, use a smaller model, or set device to '
                'cpu')
        if self._max_size:
            self._backoff = min(2 * self._backoff, _MAX_WAIT)
        self._max_size, self._wait = size // 2, self._backoff

    def _log_size(self, count: int) -> None:
        if self._max_size and (not self._logged_size or self._max_size < self._logged_size):
            self._logged_size = self._max_size
            _log.warning('the device memory is too small for a batch of %d faces: using batches '
                         'of %d, which is slower (%s)', count, self._max_size, self._reason)

    def _grow(self) -> None:
        if not self._max_size:
            return
        self._wait -= 1
        if self._wait <= 0:
            self._wait, self._max_size = self._backoff, 2 * self._max_size
            if self._max_size > self._largest_batch:
                self._max_size = 0


def one_line(error: Exception) -> str:
    """Return the first two sentences of an error, at most 200 characters, in one line."""
    text = ' '.join(str(error).split()) or type(error).__name__
    first, dot, rest = text.partition('. ')
    return (first + dot + rest.partition('. ')[0])[:200]
