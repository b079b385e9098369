"""A collector that may take its time, but not the loop's: asked in a thread of its own, and waited for only so long.

Not a `concurrent.futures` executor: Python joins its threads when it ends, and a kernel file that never answers would
then keep the agent.
"""

from collections.abc import Callable
from functools import partial
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TypeVar

from agent.daemon.service import Service
from agent.recording.recorder import Complete
from collectors.windows.sched import SchedWindow
from probes.snapshot import Snapshot

Result = TypeVar("Result")
Request = tuple[SchedWindow, Snapshot, Snapshot]


class Bounded:
    """Completes windows; one that is not completed in time, or not at all, is handed out as it was.

    While the collector is stuck in one window it is not asked about the next. Its trouble is told when it begins and
    when it ends.
    """

    def __init__(
        self,
        name: str,
        complete: Complete,
        within_s: float,
        service: Service,
        prepare: Callable[[], object] = lambda: None,
    ) -> None:
        """`prepare` is called once in the thread, before it completes a window, and may take its time as well."""
        self._prepare = prepare
        self._name = name
        self._complete = complete
        self._within_s = within_s
        self._service = service
        self._requests: SimpleQueue[Request | None] = SimpleQueue()
        self._answers: SimpleQueue[SchedWindow | Exception] = SimpleQueue()
        self._owed = False
        self._failing = False
        self._thread = Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def __call__(self, window: SchedWindow, before: Snapshot, after: Snapshot) -> SchedWindow:
        """The window, completed if that could be done in time."""
        self._drop_late_answers()
        if self._owed:
            return window
        self._owed = True
        self._requests.put((window, before, after))
        try:
            answer = self._answers.get(timeout=self._within_s)
        except Empty:
            self._tell(f"no answer within {self._within_s:g} s")
            return window
        self._owed = False
        if isinstance(answer, Exception):
            self._tell(f"{type(answer).__name__}: {answer}")
            return window
        if self._failing:
            self._failing = False
            self._service.inform(f"{self._name} can be read again")
        return answer

    def close(self) -> None:
        """End the thread; one that is stuck ends with the process."""
        self._requests.put(None)
        self._thread.join(self._within_s)

    def _work(self) -> None:
        prepared: object = _tried(self._prepare)
        while (request := self._requests.get()) is not None:
            trouble = prepared if isinstance(prepared, Exception) else None
            self._answers.put(_tried(partial(self._complete, *request)) if trouble is None else trouble)
            prepared = request = None  # while it waits for the next window it need not hold this one

    def _drop_late_answers(self) -> None:
        """What comes after its time belongs to a window that was handed out."""
        while not self._answers.empty():
            self._answers.get()
            self._owed = False

    def _tell(self, trouble: str) -> None:
        if not self._failing:
            self._service.warn(f"{self._name} cannot be read, windows are without: {trouble}")
        self._failing = True


def _tried(call: Callable[[], Result]) -> Result | Exception:
    """What a call returns, or raises: whatever a collector does wrong, the windows go on."""
    try:
        return call()
    except Exception as error:  # noqa: BLE001  see above
        return error
