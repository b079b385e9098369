"""Signals that are only remembered while there is something to clean up."""

import os
import select
import signal
from collections.abc import Iterator

import pytest

from agent.sandbox.interrupts import SIGNALS, Interrupted, Interrupts, raise_on_signals


@pytest.fixture(autouse=True)
def handlers_as_before() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def is_readable(interrupts: Interrupts) -> bool:
    return bool(select.select([interrupts], [], [], 0)[0])


@pytest.mark.parametrize("number", SIGNALS)
def test_within_it_a_signal_is_remembered_and_wakes_who_waits(number: signal.Signals) -> None:
    with Interrupts() as interrupts:
        interrupts.check()
        assert not is_readable(interrupts)
        os.kill(os.getpid(), number)
        assert interrupts.requested
        assert is_readable(interrupts)
        with pytest.raises(Interrupted):
            interrupts.check()
        with pytest.raises(Interrupted):
            interrupts.check()


def test_however_many_signals_change_nothing() -> None:
    with Interrupts() as interrupts:
        for _ in range(70_000):  # more than the pipe holds
            interrupts._remember(signal.SIGINT, None)
        assert is_readable(interrupts)


def test_afterwards_the_handlers_are_those_from_before() -> None:
    raise_on_signals()
    before = [signal.getsignal(number) for number in SIGNALS]
    with Interrupts():
        assert [signal.getsignal(number) for number in SIGNALS] != before
    assert [signal.getsignal(number) for number in SIGNALS] == before


@pytest.mark.parametrize("number", SIGNALS)
def test_where_nothing_is_held_a_signal_raises_at_once(number: signal.Signals) -> None:
    raise_on_signals()
    with pytest.raises(Interrupted):
        os.kill(os.getpid(), number)


def test_a_signal_that_is_ignored_stays_ignored() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    raise_on_signals()
    with Interrupts() as interrupts:
        os.kill(os.getpid(), signal.SIGHUP)
        assert not interrupts.requested
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


def fail(*, after: signal.Signals | None) -> None:
    with Interrupts():
        if after is not None:
            os.kill(os.getpid(), after)
        raise ValueError("the compiler died")


def test_a_failure_that_came_with_the_signal_is_its_echo() -> None:
    with pytest.raises(Interrupted) as raised:
        fail(after=signal.SIGINT)
    assert isinstance(raised.value.__cause__, ValueError)


def test_a_failure_without_a_signal_stays_what_it_is() -> None:
    with pytest.raises(ValueError, match="died"):
        fail(after=None)
