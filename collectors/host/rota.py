"""What is known of each cgroup: read when it is first asked for, and a few at a time again, as names change."""

from collections.abc import Callable, Container
from itertools import chain, islice
from typing import Generic, TypeVar

Known = TypeVar("Known")
# One whose name came late and one that was renamed, however many are new.
_FEWEST_AGAIN = 2


class Rota(Generic[Known]):
    """What was read of cgroups, kept, and whose turn it is to be read again."""

    def __init__(
        self, read: Callable[[str], Known], has_name: Callable[[Known], bool | None], readings: int
    ) -> None:
        """One that reads about so many in each pass.

        Args:
            read: What is known of a cgroup now.
            has_name: Whether that is a name; None for what never has another.
            readings: In a pass, those that are new among them, so that no pass takes much longer than others.
        """
        self._read, self._has_name, self._readings = read, has_name, readings
        self._known: dict[str, Known] = {}
        # Those with a name and those without, or not yet; both in the order in which they were read.
        self._order: dict[bool, dict[str, None]] = {True: {}, False: {}}
        self._new = 0

    def __len__(self) -> int:
        return len(self._known)

    def of(self, path: str) -> Known:
        """What is known of a cgroup."""
        if path not in self._known:
            self._new += 1
            self._note(path, self._read(path))
        return self._known[path]

    def keep(self, paths: Container[str]) -> None:
        """End a pass: forget all others, and read a few again: half without a name, half that were longest not."""
        for path in [path for path in self._known if path not in paths]:
            del self._known[path]
            self._forget_order(path)
        again = max(_FEWEST_AGAIN, self._readings - self._new)
        named, nameless, half = self._order[True], self._order[False], again // 2
        in_turn = chain(islice(nameless, half), named, islice(nameless, half, None))
        for path in list(islice(in_turn, again)):
            found = self._read(path)
            # The state of one that has ended is gone before its cgroup is.
            is_gone = self._has_name(self._known[path]) and not self._has_name(found)
            self._note(path, self._known[path] if is_gone else found)
        self._new = 0

    def _note(self, path: str, found: Known) -> None:
        self._known[path] = found
        self._forget_order(path)
        has_name = self._has_name(found)
        if has_name is not None:
            self._order[has_name][path] = None

    def _forget_order(self, path: str) -> None:
        for order in self._order.values():
            order.pop(path, None)
