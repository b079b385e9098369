"""Stopping a cgroup that exists, with all below it, and letting it go on.

v2 has `cgroup.freeze` in every cgroup but the root (76f969e8948d, 5.2; Documentation/admin-guide/cgroup-v2.rst), v1
a hierarchy of its own (cgroup-v1/freezer-subsystem.rst). In both a frozen cgroup holds all its descendants, and
what a descendant was told itself stays: one that was frozen before is so afterwards.
"""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from agent.sandbox.cgroups import pids_below
from agent.sandbox.janitor import Janitor
from collectors.host.hierarchy import CgroupLayout
from collectors.host.readings import Missing, read_text
from probes.errors import JostleError

# A task is frozen when it next returns to user space; one in a system call that waits for a disk takes so long.
FREEZE_TIMEOUT_S = 5.0
_POLL_S = 0.002


class DidNotFreezeError(JostleError):
    """Something in the cgroup runs on."""


@dataclass(frozen=True, slots=True)
class Freezer:
    """How one cgroup is frozen: what to write to `file`, and how `state` reads when all of it stands still."""

    file: Path
    freeze: str
    thaw: str
    state: Path
    frozen: str

    def is_frozen(self) -> bool:
        """Whether all of it stands still, by its own or an ancestor's doing."""
        text = read_text(self.state)
        return not isinstance(text, Missing) and self.frozen in text.splitlines()

    @contextlib.contextmanager
    def hold(self, janitor: Janitor) -> Iterator[None]:
        """Frozen within, thawed afterwards.

        Raises:
            DidNotFreezeError: Something in it did not stop within FREEZE_TIMEOUT_S.
            JostleError: It cannot be written.
        """
        with janitor.changed(self.file, self.freeze, self.thaw):
            deadline_s = time.monotonic() + FREEZE_TIMEOUT_S
            while not self.is_frozen():
                if time.monotonic() > deadline_s:
                    raise DidNotFreezeError(f"{self.file.parent} did not freeze in {FREEZE_TIMEOUT_S:g} s")
                janitor.renew()
                time.sleep(_POLL_S)
            yield


def find_freezer(path: str, layout: CgroupLayout) -> Freezer | None:
    """The freezer of a cgroup, in the hierarchy where its processes are; None: in no such hierarchy."""
    v2, v1 = layout.v2_mount, layout.v1_mounts.get("freezer")
    found = (v2_freezer(v2 / path[1:]) if v2 else None, v1_freezer(v1 / path[1:]) if v1 else None)
    return next((f for f in found if f and f.file.exists() and any(pids_below(f.file.parent))), None)


def v2_freezer(directory: Path) -> Freezer:
    """The freezer of a cgroup of the unified hierarchy."""
    return Freezer(directory / "cgroup.freeze", "1", "0", directory / "cgroup.events", "frozen 1")


def v1_freezer(directory: Path) -> Freezer:
    """The freezer of a cgroup of the freezer's own v1 hierarchy."""
    return Freezer(directory / "freezer.state", "FROZEN", "THAWED", directory / "freezer.state", "FROZEN")
