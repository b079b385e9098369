"""The agent as benchmarks run it: a history and metrics of its own, ended with the block."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class RunningAgent:
    """Its process, its history, and the socket of its metrics."""

    process: "subprocess.Popen[bytes]"
    history: Path
    metrics: Path


@contextlib.contextmanager
def running_agent(scratch: Path, window_s: float, flight_recorder_mib: int = 0) -> Iterator[RunningAgent]:
    """Start it with its files in `scratch`; at the end of the block it is told to end, and waited for."""
    history, config, metrics = (scratch / name for name in ("history.db", "jostle.toml", "metrics.sock"))
    lines = [
        f"agent.window_s = {window_s}",
        f"agent.flight_recorder_mib = {flight_recorder_mib}",
        f'history.path = "{history}"',
        f'metrics.listen = "unix:{metrics}"',
    ]
    config.write_text("\n".join(lines), encoding="utf-8")
    process = subprocess.Popen([Path(sys.executable).parent / "jostle", "agent", "--config", config])
    try:
        yield RunningAgent(process, history, metrics)
    finally:
        process.terminate()
        process.wait()
