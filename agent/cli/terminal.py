"""The terminal while a live table has it: keys one by one, and everything as it was whatever happens."""

import contextlib
import os
import select
import signal
import sys
import termios
import tty
from types import FrameType

from rich.console import Console, ConsoleDimensions, RenderableType
from rich.live import Live

from agent.sandbox.interrupts import Interrupts
from reports.live import Room

_MOST_READ = 256


def is_interactive() -> bool:
    """Whether a person sits at both ends."""
    streams = (sys.stdin, sys.stdout)
    usable = all(stream is not None and stream.isatty() for stream in streams)
    return usable and os.environ.get("TERM", "dumb") != "dumb"


class Terminal:
    """The alternate screen, and keys without waiting for Enter; a context manager that puts all of it back.

    Ctrl-Z puts it back as well, until the shell brings jostle to the front again.
    """

    def __init__(self, interrupts: Interrupts) -> None:
        self.console = Console()
        self._interrupts = interrupts
        self._input = sys.stdin.fileno()
        self._live: Live | None = None

    def __enter__(self) -> "Terminal":
        self._cooked = termios.tcgetattr(self._input)
        self._wake_reader, self._wake_writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._before = {
            signal.SIGWINCH: signal.signal(signal.SIGWINCH, self._wake),
            signal.SIGTSTP: signal.signal(signal.SIGTSTP, self._stop),
        }
        try:
            self._take()
        except BaseException:
            self._give_back()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._give_back()
        for number, handler in self._before.items():
            signal.signal(number, handler)
        os.close(self._wake_reader)
        os.close(self._wake_writer)

    def room(self) -> Room:
        """What there is to draw on now: the terminal's own word, as COLUMNS in the environment does not change."""
        width, height = os.get_terminal_size(sys.stdout.fileno())
        self.console.size = ConsoleDimensions(max(1, width), max(1, height))
        return Room(*self.console.size, unicode=self.console.encoding.lower().startswith("utf"))

    def show(self, screen: RenderableType) -> None:
        """Draw a whole screen."""
        if self._live is not None:
            self._live.update(screen, refresh=True)

    def wait(self, timeout_s: float) -> bytes | None:
        """What was typed within this time; empty when nothing was, or the window has another size.

        None: the end is wanted, by a signal or because nobody is there any more.
        """
        ready, _, _ = select.select(
            [self._input, self._wake_reader, self._interrupts], [], [], max(0.0, timeout_s)
        )
        if self._interrupts in ready:
            return None
        if self._wake_reader in ready:
            with contextlib.suppress(BlockingIOError):
                os.read(self._wake_reader, _MOST_READ)
        if self._input not in ready:
            return b""
        try:
            return os.read(self._input, _MOST_READ) or None
        except OSError:  # the terminal is gone
            return None

    def _take(self) -> None:
        # No auto-refresh: its thread would draw while a signal handler gives the terminal back.
        self._live = Live(console=self.console, screen=True, auto_refresh=False, redirect_stdout=False)
        tty.setcbreak(self._input, termios.TCSADRAIN)
        self._live.start()

    def _give_back(self) -> None:
        live, self._live = self._live, None
        with contextlib.suppress(OSError):
            if live is not None:
                live.stop()
        with contextlib.suppress(termios.error):
            termios.tcsetattr(self._input, termios.TCSADRAIN, self._cooked)

    def _wake(self, _number: int, _frame: FrameType | None) -> None:
        with contextlib.suppress(BlockingIOError):
            os.write(self._wake_writer, b"!")

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._give_back()
        os.kill(os.getpid(), signal.SIGSTOP)
        self._take()
        self._wake(number, frame)
