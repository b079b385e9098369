"""A headless Chromium, driven over its debugging pipe: what a page asks for, what fails in it, what it shows.

The protocol is JSON objects ended by a NUL, read by the browser from descriptor 3 and written by it to 4
(chromedevtools.github.io/devtools-protocol).
"""

import contextlib
import json
import os
import select
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PATIENCE_S = 120  # to give up after
FLAGS = (
    "--headless",
    "--no-sandbox",  # it is root's browser
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--remote-debugging-pipe",
)


@dataclass
class Page:
    """One page, blank until it is opened."""

    to_browser: int
    from_browser: int
    session: str = ""
    requests: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    _read: bytes = b""
    _calls: int = 0

    def call(self, method: str, **parameters: object) -> dict[str, Any]:
        """One command and its answer; what happens meanwhile is noted."""
        self._calls += 1
        command: dict[str, object] = {"id": self._calls, "method": method, "params": parameters}
        if self.session:
            command["sessionId"] = self.session
        os.write(self.to_browser, json.dumps(command).encode() + b"\0")
        while (message := self._next()).get("id") != self._calls:
            self._note(message)
        assert "error" not in message, message
        answer: dict[str, Any] = message["result"]
        return answer

    def open(self, path: Path) -> None:
        """Load a file and all that it wants."""
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.call(f"{domain}.enable")
        self.call("Page.navigate", url=path.as_uri())
        while "Page.loadEventFired" not in self.events:
            self._note(self._next())

    def evaluate(self, script: str) -> Any:  # noqa: ANN401  whatever the script says
        """The value of a script's last expression."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def resize(self, width: int, height: int) -> None:
        """The window, in CSS pixels."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": True}
        self.call("Emulation.setDeviceMetricsOverride", **metrics)

    def _next(self) -> dict[str, Any]:
        end = time.monotonic() + PATIENCE_S
        while b"\0" not in self._read:
            ready, _, _ = select.select([self.from_browser], [], [], max(0.0, end - time.monotonic()))
            chunk = os.read(self.from_browser, 1 << 16) if ready else b""
            assert chunk, "the browser says nothing any more"
            self._read += chunk
        text, _, self._read = self._read.partition(b"\0")
        message: dict[str, Any] = json.loads(text)
        return message

    def _note(self, message: dict[str, Any]) -> None:
        method, parameters = message.get("method", ""), message.get("params", {})
        self.events.append(method)
        if method == "Network.requestWillBeSent":
            self.requests.append(parameters["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            self.errors.append(parameters["exceptionDetails"]["text"])
        elif method == "Log.entryAdded":
            self.errors.append(parameters["entry"]["text"])


@contextlib.contextmanager
def blank_page(profile: Path) -> Iterator[Page]:
    """A page in a browser of its own, which ends with the block."""
    (in_read, to_browser), (from_browser, out_write) = os.pipe(), os.pipe()
    gate = f'exec chromium "$@" 3<&{in_read} 4>&{out_write}'
    with subprocess.Popen(
        ["/bin/bash", "-c", gate, "bash", *FLAGS, f"--user-data-dir={profile}"],
        pass_fds=(in_read, out_write),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as browser:
        os.close(in_read)
        os.close(out_write)
        page = Page(to_browser, from_browser)
        try:
            target = page.call("Target.createTarget", url="about:blank")["targetId"]
            page.session = page.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            yield page
        finally:
            browser.terminate()
            os.close(to_browser)
            os.close(from_browser)
