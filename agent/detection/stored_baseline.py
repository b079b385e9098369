"""The stored baseline: what each cgroup's signals were at worst in a recording of a good time."""

from array import array
from collections.abc import Iterable, Mapping
from contextlib import closing
from math import ceil
from pathlib import Path

from agent.detection.indicators import INDICATORS, Indicator, IndicatorSample, ipc_of, value_of
from agent.store.opening import open_to_read
from agent.store.packing import DAMAGE
from agent.store.windows import windows
from collectors.windows.sched import SchedWindow
from probes.errors import UsageError

Baseline = Mapping[tuple[str, str], float]
"""The value that 95 % of the windows did not go beyond, by the path of the cgroup and the name of the indicator."""

_RANK = 0.95
# Fewer windows make no percentile.
LEAST_WINDOWS = 20


def learn(windows: Iterable[SchedWindow]) -> Baseline:
    """The baseline of a recording's windows, read one at a time.

    Cgroups seen in fewer than LEAST_WINDOWS are left out.
    """
    values: dict[tuple[str, str], array[float]] = {}
    for window in windows:
        for path, cgroup in window.cgroups.items():
            sample = IndicatorSample(cgroup, window.duration_ns, ipc_of(window, path))
            for name, indicator in INDICATORS.items():
                value = value_of(indicator, sample)
                if value is not None:
                    values.setdefault((path, name), array("d")).append(value)
    return {
        key: _at_worst(INDICATORS[key[1]], found)
        for key, found in values.items()
        if len(found) >= LEAST_WINDOWS
    }


def _at_worst(indicator: Indicator, values: Iterable[float]) -> float:
    """The nearest rank, counted from the harmless end."""
    ordered = sorted(values, reverse=indicator.worse == "lower")
    return ordered[ceil(_RANK * len(ordered)) - 1]


def read_baseline(path: Path) -> Baseline:
    """The baseline of a run file or a history; one window is in memory at a time.

    Raises:
        UsageError: There is no such file, or it is neither, or damaged.
    """
    if not path.is_file():
        raise UsageError(f"there is no recording {path}", "make one: jostle record -i 10 -d 3600 -o FILE")
    try:
        with closing(open_to_read(path)) as db:
            return learn(window for _, window in windows(db))
    except UsageError as error:
        raise UsageError(f"{path} cannot be read: {error.message}", error.remedy) from error
    except DAMAGE as error:
        raise UsageError(f"{path} is not a recording, or damaged ({error})", "record again") from error
