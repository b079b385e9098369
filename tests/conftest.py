"""For all tests: what some need to run, how long each may take, and how hypothesis runs.

The result is the same however the tests are started. Under nohup or as a shell's background job SIGHUP or SIGINT is
ignored, which every process started from here would inherit, and jostle respects; a handler is not inherited. The path
of a Unix socket has at most 107 bytes (unix(7)), so that with a long TMPDIR the tests' own files lie in /tmp.
"""

import atexit
import functools
import importlib.util
import os
import shutil
import signal
import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import settings

from probes import bpf_syscall
from tests.slowness import SLOWNESS
from tests.turns import turn

# So that a failure in a shared assertion shows its values. Before anything imports it.
pytest.register_assert_rewrite("tests.kernel.answers")

# A deadline is a hidden assertion about time, and the machine may be busy.
settings.register_profile("no-deadline", deadline=None)
settings.load_profile("no-deadline")

ASKED_FOR = ("slow", "systemd", "icount", "guest", "machine")
REQUIRE = "JOSTLE_REQUIRE_KERNEL"
HAS_TURN = "JOSTLE_TESTS_HAVE_TURN"
REQUIRED = os.environ.get(REQUIRE) == "1"
# A test that takes longer waits for what will not come. The longest takes a minute, those asked for 15; in an emulated
# guest the longest 3, where its own patience is 15 times as long.
LIMIT_S = 600 * min(SLOWNESS, 2)
LIMIT_ASKED_FOR_S = 3600 * SLOWNESS
INHERITED = (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)


# What pytest adds to it, and a test, leaves a socket's name 20 bytes.
LONGEST_TMPDIR = 30


def pytest_configure() -> None:
    """What is ignored stays without effect here, and has its default effect in every process started from here."""
    if len(tempfile.gettempdir()) > LONGEST_TMPDIR:
        os.environ["PYTEST_DEBUG_TEMPROOT"] = "/tmp"  # noqa: S108  pytest makes a private one in it
    # Probes are compiled once for all tests, and those that are kept on this machine are neither taken nor replaced.
    os.environ["JOSTLE_CACHE_DIRECTORY"] = tempfile.mkdtemp(prefix="jostle-")
    atexit.register(shutil.rmtree, os.environ["JOSTLE_CACHE_DIRECTORY"], ignore_errors=True)
    for number in INHERITED:
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda _number, _frame: None)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, INHERITED)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Slow tests, and those that need another machine, run only when a marker expression asks for such."""
    slow = [item for item in items if any(map(item.get_closest_marker, ASKED_FOR))]
    for item in items:
        item.add_marker(pytest.mark.timeout(LIMIT_ASKED_FOR_S if item in slow else LIMIT_S))
    if slow and not any(name in config.option.markexpr for name in ASKED_FOR):
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if item not in slow]


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """A kernel test has the machine for itself, also where a second suite runs on it."""
    if os.geteuid() != 0 or HAS_TURN in os.environ:  # a suite within a test shares the test's turn
        return (yield)
    with (
        pytest.MonkeyPatch.context() as patch,
        turn(alone=item.get_closest_marker("kernel") is not None, limit_s=LIMIT_ASKED_FOR_S),
    ):
        patch.setenv(HAS_TURN, "1")
        return (yield)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """A test that cannot run here skips with the reason, or fails where kernel tests are required."""
    reason = missing_for(item)
    if reason is None:
        return
    if REQUIRED:
        pytest.fail(f"{reason}, and {REQUIRE}=1 says that kernel tests must run", pytrace=False)
    pytest.skip(reason)


def missing_for(item: pytest.Item) -> str | None:
    """What this machine lacks for a test."""
    if item.get_closest_marker("kernel") is not None:
        return missing_for_kernel_tests()
    if item.get_closest_marker("root") is not None and os.geteuid() != 0:
        return "to be another user needs root"
    return None


@functools.cache
def missing_for_kernel_tests() -> str | None:
    """What this machine lacks. That the probe itself fails to open is not a reason: it fails the tests."""
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
