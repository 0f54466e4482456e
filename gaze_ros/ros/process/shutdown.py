"""Shutdown of a process: on a signal, a key, the end of the source, or a library that hangs."""
from collections.abc import Callable
from contextlib import suppress
import os
import select
import signal
import sys
from threading import Event, Lock, Thread, Timer

#: Seconds an orderly shutdown may take before the process is ended by force.
GRACE_PERIOD = 1.8

#: Seconds that a library call may keep a signal from interrupting startup; the rest of the grace
#: period is for destroying the nodes.
_STARTUP_GRACE_PERIOD = 1.2

#: Seconds of CPU time without a heartbeat of the main thread, after which the process is ended: a
#: library is in an endless loop and does not release the interpreter lock. Seen once, in Fast
#: DDS's read_or_take(). Python would handle no signal any more; launch restarts the process. A
#: model that is compiled on all cores is not such a loop: it gets 15 s of each core.
STUCK_CPU_TIME = 15.0 * max(4, os.cpu_count() or 4)

#: Seconds in which no Python code runs, after which the process is ended: a library blocks
#: forever while it holds the interpreter lock, which rclpy holds in every call of Fast DDS except
#: the wait. Seen once: a minute in create_publisher() while other processes were killed. A process
#: that was stopped for so long (docker pause) ends when it continues, and launch restarts it.
STUCK_TIME = 180.0

#: Environment variable with the id of the launch process that started this one: if launch ends,
#: this process ends too.
LAUNCH_PID = 'GAZE_ROS_LAUNCH'

#: Seconds between two checks of the launch process, and between two resets of the alarm.
_POLL_PERIOD = 0.2

#: SIGHUP: the terminal was closed.
_SIGNALS = signal.SIGINT, signal.SIGTERM, signal.SIGHUP


class Shutdown:
    """A request to end the process, made once, from any thread; the main thread waits for it.

    Python alone handles the signals, not rclpy: rclpy's handler can leave a node waiting forever
    when its guard conditions fire before the context ends.

    :ivar event: set when shutdown was requested.
    :ivar exit_code: the exit code to end with.
    :ivar startup_interrupted: whether a signal interrupted startup; errors after it are expected.
    :ivar on_startup_abandoned: called in another thread before the process ends during startup
        because a library call could not be interrupted.
    """

    def __init__(self) -> None:
        self.event = Event()
        self.exit_code = 0
        self._starting = True
        #: Held while startup is abandoned.
        self._startup_lock = Lock()
        self.startup_interrupted = False
        self.on_startup_abandoned: Callable[[], None] = lambda: None
        self._handles_signals = False
        self._alarm_lock = Lock()

    def install_signal_handlers(self) -> None:
        """Take SIGINT, SIGTERM and SIGHUP as a shutdown request; call in the main thread.

        So is the end of the launch process named in the environment: if it is killed, or ended by
        SIGTERM, it leaves its processes running.
        """
        # A thread requests the shutdown, not the signal handler: the main thread may hold the
        # event's lock just then, or be in a long library call (loading a model) in which Python
        # runs no handler.
        self._handles_signals = True
        read_end, write_end = os.pipe()
        os.set_blocking(write_end, False)
        signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
        for number in _SIGNALS:
            # nohup: keep running when the terminal is closed.
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._on_signal)
        Thread(target=self._watch, args=(read_end,), name='signals', daemon=True).start()

    def startup_done(self) -> None:
        """From now on signals do not interrupt what the main thread does."""
        with self._startup_lock:
            self._starting = False

    def heartbeat(self) -> None:
        """Show that the main thread runs, several times a second; call in the main thread.

        The timeout counts the CPU time of all threads, which does not advance while the process is
        stopped or the machine is suspended. SIGPROF does not work: next to MediaPipe it fired at
        once, or was ignored.
        """
        signal.setitimer(signal.ITIMER_VIRTUAL, STUCK_CPU_TIME)

    def request(self, code: int = 0) -> None:
        """Ask the process to end with an exit code; the code of the first request is kept."""
        if not self.event.is_set():
            self.exit_code = code
            self.event.set()
            if self._handles_signals:
                _discard_blocked_output()
                # Unhandled, this signal ends the process even if a waiting thread keeps all others
                # from running, as rclpy's logging does, and Fast DDS if another process was killed
                # while it held a lock of the shared memory.
                with self._alarm_lock:
                    signal.setitimer(signal.ITIMER_REAL, GRACE_PERIOD + 0.1)
            for period, end in ((_STARTUP_GRACE_PERIOD, self._abandon_startup),
                                (GRACE_PERIOD, self._force_exit)):
                timer = Timer(period, end)
                timer.daemon = True
                timer.start()

    def _watch(self, pipe: int) -> None:
        launch = _launch_pid()
        while True:
            with self._alarm_lock:
                if not self.event.is_set():
                    signal.setitimer(signal.ITIMER_REAL, STUCK_TIME)
            if select.select([pipe], [], [], _POLL_PERIOD)[0]:
                if os.read(pipe, 1)[0] in _SIGNALS:
                    self.request()
            elif launch and os.getppid() != launch:
                os.kill(os.getpid(), signal.SIGTERM)
                launch = 0

    def _on_signal(self, number: int, frame: object) -> None:
        # Interrupts imports and the loading of models, which can take longer than the grace
        # period. Only once: a second signal must not interrupt the shutdown.
        if self._starting and not self.startup_interrupted:
            self.startup_interrupted = True
            # Finalisers of half-constructed objects may raise (MediaPipe's do): ignore them.
            sys.unraisablehook = lambda _: None
            raise SystemExit(0)

    def _abandon_startup(self) -> None:
        with self._startup_lock:
            if self._starting:
                with suppress(Exception):
                    self.on_startup_abandoned()
                os._exit(self.exit_code)

    def _force_exit(self) -> None:
        if self._starting:  # on_startup_abandoned hangs
            os._exit(self.exit_code)
        with suppress(OSError):
            _discard_blocked_output()
            text = f'not ended within {GRACE_PERIOD} s of the shutdown request; exiting now\n'
            os.write(2, text.encode())
        os._exit(1)


def _discard_blocked_output() -> None:
    """Send stdout and stderr to /dev/null if nobody reads them: writing would block forever."""
    for number in (1, 2):
        with suppress(OSError):
            if not select.select([], [number], [], 0)[1]:
                null = os.open(os.devnull, os.O_WRONLY)
                os.dup2(null, number)
                os.close(null)


def _launch_pid() -> int:
    """Return the process id of the launch process that started this one; 0 if none did.

    -1, which is not a process, if it has ended already.
    """
    value = os.environ.get(LAUNCH_PID, '')
    if not value.isdecimal():
        return 0
    try:
        os.kill(int(value), 0)
    except ProcessLookupError:
        return -1
    except (OSError, OverflowError):
        return 0
    # Otherwise there is a process between the two: launch's prefix, which may be a debugger.
    return int(value) if int(value) == os.getppid() else 0
