"""The names of containers for those who may not read what runtimes keep: written by root, read by the agent.

An agent that is not root would need CAP_DAC_READ_SEARCH to read them, and with it all of the host's secrets. So a
process of its own, `jostle-names.service`, does nothing but this: it looks which containers run, reads what they are
called and writes that down. It is told nothing by anybody: it takes no option but the directory, and opens no socket.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Collection, Mapping
from dataclasses import asdict
from pathlib import Path

from collectors.host.hierarchy import CgroupLayout, detect_layout, walk
from collectors.host.readings import Missing
from collectors.host.rota import Rota
from collectors.host.runtimes import KEPT, ContainerState, state_told_by_runtimes
from collectors.host.workloads import identify

EVERY_S = 3.0
# Of those that run, so many are read in each pass: a container may be renamed.
READINGS = 8


class Keeper:
    """What the containers that run are called, kept up to date from pass to pass."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._rota = Rota(lambda path: _state(path, root), _is_told, READINGS)

    def look(self, paths: Collection[str]) -> Mapping[str, ContainerState]:
        """The states of the containers among these cgroups, by path; those inside a container are its own."""
        for path in paths:
            self._rota.of(path)
        self._rota.keep(set(paths))
        return {path: state for path in paths if isinstance(state := self._rota.of(path), ContainerState)}


def _state(path: str, root: Path) -> ContainerState | Missing | None:
    workload = identify(path)
    if workload.inner or workload.container_id is None:
        return None
    return state_told_by_runtimes(workload.container_id, workload.runtime, root, path)


def _is_told(state: ContainerState | Missing | None) -> bool | None:
    return None if state is None else isinstance(state, ContainerState)


def write(states: Mapping[str, ContainerState], folder: Path) -> None:
    """Put them where `runtimes.container_state` looks for them, all at once."""
    new = folder / f"{KEPT.name}.new"
    new.write_text(json.dumps({path: asdict(state) for path, state in sorted(states.items())}))
    new.chmod(0o644)
    new.rename(folder / KEPT.name)


def _cgroups(layout: CgroupLayout) -> list[str]:
    mounts = dict.fromkeys(mount for mount in (layout.v2_mount, layout.v1_mounts.get("cpu")) if mount)
    return [cgroup.path for mount in mounts for cgroup in walk(mount)]


def main() -> None:
    """Keep names in the directory that is given until a signal says to stop."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    folder, keeper, written = Path(sys.argv[1]), Keeper(), None
    layout = detect_layout()
    while True:
        states = keeper.look(_cgroups(layout))
        if states != written:
            write(states, folder)
            written = states
        time.sleep(EVERY_S)


if __name__ == "__main__":
    os.umask(0o022)
    main()
