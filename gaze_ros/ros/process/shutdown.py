"""Ending a process: by signal, by a key, or because the source is at its end."""
from contextlib import suppress
import os
import select
import signal
import sys
from threading import Event, Lock, Thread, Timer

#: Seconds an orderly end may take before the process is ended anyhow.
GRACE = 1.8

#: Seconds of processor time without a sign of life of the main thread, after which the process is
#: ended: a library is in an endless loop, and lets go of the interpreter's lock no more. Seen in
#: Fast DDS's read_or_take(), once. No signal would be minded; launch starts it again. A model that
#: is compiled by all processors is none: it gets 15 s of them.
STUCK = 15.0 * max(4, os.cpu_count() or 4)

#: Seconds in which no Python runs, after which the process is ended: a library waits for ever and
#: keeps the interpreter's lock, as rclpy does wherever it calls Fast DDS but to wait. Seen once, a
#: minute in create_publisher() as other processes were killed. A process that was stopped for so
#: long (docker pause) ends when it goes on, and launch starts it.
HELD = 180.0

#: Has the id of the launch process that started this one: they end together.
LAUNCH = 'GAZE_ROS_LAUNCH'

#: Seconds between two looks whether it is still there, and between two signs of life.
_LOOK = 0.2

#: The last is the end of the terminal.
_SIGNALS = signal.SIGINT, signal.SIGTERM, signal.SIGHUP


class Shutdown:
    """Asked once, from any thread; the main thread waits for it.

    Signals are minded by Python alone, not by rclpy: its own handler can leave a node waiting for
    ever when its guard conditions fire before the context ends.

    :ivar code: the exit code to end with.
    :ivar broken_off: whether a signal broke off the start: what fails then is no failure.
    """

    def __init__(self) -> None:
        self.event = Event()
        self.exit_code = 0
        self._starting = True
        self.startup_interrupted = False
        self._minding = False
        self._timer = Lock()

    def install_signal_handlers(self) -> None:
        """Take SIGINT, SIGTERM and SIGHUP as a request to end; call in the main thread.

        And the end of the launch process that started this one, as the environment says: killed,
        or told to end by SIGTERM, it leaves its processes behind.
        """
        # Not in the handler: the main thread may be inside the event's own lock as it begins to
        # wait. And in a library's long call, loading a model, it comes to no handler at all.
        self._minding = True
        here, there = os.pipe()
        os.set_blocking(there, False)
        signal.set_wakeup_fd(there, warn_on_full_buffer=False)
        for number in _SIGNALS:
            # nohup: the terminal may end.
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._on_signal)
        Thread(target=self._watch, args=(here,), name='signals', daemon=True).start()

    def startup_done(self) -> None:
        """From now on signals do not break off what the main thread does."""
        self._starting = False

    def heartbeat(self) -> None:
        """Give a sign of life, several times a second; call in the main thread.

        Its absence is counted in the processor's time of all threads, which stands still while the
        process is stopped, or the machine asleep. SIGPROF will not do: beside MediaPipe it came
        at once, or was ignored.
        """
        signal.setitimer(signal.ITIMER_VIRTUAL, STUCK)

    def request(self, code: int = 0) -> None:
        """Ask the process to end with an exit code; the first one asked for stays."""
        if not self.event.is_set():
            self.exit_code = code
            self.event.set()
            if self._minding:
                _let_go_of_output()
                # Unhandled, it ends the process even where a thread that waits keeps all others
                # from running: rclpy's logging does.
                with self._timer:
                    signal.setitimer(signal.ITIMER_REAL, GRACE + 0.1)
            last = Timer(GRACE, self._end)
            last.daemon = True
            last.start()

    def _watch(self, pipe: int) -> None:
        launch = _launch()
        while True:
            with self._timer:
                if not self.event.is_set():
                    signal.setitimer(signal.ITIMER_REAL, HELD)
            if select.select([pipe], [], [], _LOOK)[0]:
                if os.read(pipe, 1)[0] in _SIGNALS:
                    self.request()
            elif launch and os.getppid() != launch:
                os.kill(os.getpid(), signal.SIGTERM)
                launch = 0

    def _on_signal(self, number: int, frame: object) -> None:
        # Breaks off imports and the loading of models, which can take longer than GRACE. Once: a
        # second signal is not to break off the end.
        if self._starting and not self.startup_interrupted:
            self.startup_interrupted = True
            # Nor is it one that finalisers of half-made objects fail: MediaPipe's do.
            sys.unraisablehook = lambda _: None
            raise SystemExit(0)

    def _end(self) -> None:
        if self._starting:  # an import that cannot be broken off; nothing is open yet
            os._exit(self.exit_code)
        with suppress(OSError):
            _let_go_of_output()
            os.write(2, f'not ended {GRACE} s after it was asked to: ending now\n'.encode())
        os._exit(1)


def _let_go_of_output() -> None:
    """Write to nowhere where nobody reads what is written: else the last words wait for ever."""
    for number in (1, 2):
        with suppress(OSError):
            if not select.select([], [number], [], 0)[1]:
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, number)
                os.close(nowhere)


def _launch() -> int:
    """Return the id of the process of launch that started this one; 0 where none did.

    Another one, which is no process, where it has ended already.
    """
    named = os.environ.get(LAUNCH, '')
    if not named.isdecimal():
        return 0
    try:
        os.kill(int(named), 0)
    except ProcessLookupError:
        return -1
    except (OSError, OverflowError):
        return 0
    # Else there is one between the two: launch's prefix, which may be a debugger.
    return int(named) if int(named) == os.getppid() else 0
