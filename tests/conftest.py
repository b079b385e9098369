"""For all tests: what a kernel test needs, and how hypothesis runs."""

import functools
import importlib.util
import os
from pathlib import Path

import pytest
from hypothesis import settings

from probes import bpf_syscall

# A deadline is a hidden assertion about time, and the machine may be busy.
settings.register_profile("no-deadline", deadline=None)
settings.load_profile("no-deadline")

ASKED_FOR = ("slow", "systemd", "icount", "guest")
REQUIRE = "JOSTLE_REQUIRE_KERNEL"
REQUIRED = os.environ.get(REQUIRE) == "1"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Slow tests, and those that need another machine, run only when a marker expression asks for something."""
    if config.option.markexpr:
        return
    slow = [item for item in items if any(map(item.get_closest_marker, ASKED_FOR))]
    if slow:
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if item not in slow]


def pytest_runtest_setup(item: pytest.Item) -> None:
    """A kernel test that cannot run here skips with the reason, or fails where kernel tests are required."""
    if item.get_closest_marker("kernel") is None:
        return
    reason = missing_for_kernel_tests()
    if reason is None:
        return
    if REQUIRED:
        pytest.fail(f"{reason}, and {REQUIRE}=1 says that kernel tests must run", pytrace=False)
    pytest.skip(reason)


@functools.cache
def missing_for_kernel_tests() -> str | None:
    """What this machine lacks. That the probe itself fails to open is no reason: it fails the tests."""
    if os.geteuid() != 0:
        return "kernel tests need root"
    if not Path("/sys/kernel/btf/vmlinux").exists():
        return "the kernel has no type information (BTF)"
    if importlib.util.find_spec("bcc") is None:
        return "bcc is not installed"
    try:
        os.close(bpf_syscall.enable_stats())
    except OSError as error:
        return f"bpf(2) is not allowed here: {error}"
    return None
