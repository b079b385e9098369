"""A terminal to run things in, and to look at: tmux(1) with a server of its own."""

import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.cli.running import JOSTLE, ROOT, eventually


class Pane:
    """An interactive bash in a window of a given size."""

    def __init__(self, socket: Path, directory: Path) -> None:
        self._tmux = ("tmux", "-S", str(socket), "-f", "/dev/null")
        self._directory = directory

    def run(self, *words: str) -> str:
        done = subprocess.run([*self._tmux, *words], capture_output=True, text=True, check=True)
        return done.stdout

    def open(self, width: int, height: int) -> None:
        size = ("-x", str(width), "-y", str(height))
        self.run(
            "new-session", "-d", *size, "-c", str(self._directory), "env", "PS1=$ ", "bash", "--norc", "-i"
        )
        self.await_text("$")

    def resize(self, width: int, height: int) -> None:
        self.run("resize-window", "-x", str(width), "-y", str(height))

    def press(self, *keys: str) -> None:
        """Keys by tmux's names, or text."""
        self.run("send-keys", *keys)

    def type(self, command: str) -> None:
        self.run("send-keys", "-l", command)
        self.press("Enter")

    @property
    def text(self) -> str:
        """What the screen shows now."""
        return self.run("capture-pane", "-p")

    def fact(self, name: str) -> str:
        """Such as `alternate_on`, `cursor_flag`: FORMATS of tmux(1)."""
        return self.run("display-message", "-p", f"#{{{name}}}").strip()

    def await_text(self, text: str) -> None:
        assert eventually(lambda: text in self.text), f"never on the screen: {text!r}\n{self.look}"

    @property
    def look(self) -> str:
        """The screen and its size, for a message."""
        return f"{self.fact('pane_width')} x {self.fact('pane_height')}\n{self.text}"

    def await_gone(self, text: str) -> None:
        assert eventually(lambda: text not in self.text), f"stays on the screen: {text!r}\n{self.text}"


@contextmanager
def pane(directory: Path, width: int = 80, height: int = 24) -> Iterator[Pane]:
    """A pane whose shell and everything in it ends with the block."""
    made = Pane(directory / "tmux", directory)
    made.open(width, height)
    try:
        yield made
    finally:
        made.run("kill-server")


def jostle(*words: str) -> str:
    """The command line of this checkout's jostle."""
    return shlex.join(["env", f"PYTHONPATH={ROOT}", *JOSTLE, *words])
