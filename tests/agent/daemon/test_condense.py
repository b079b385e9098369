"""What the history keeps of whom a cgroup waited for: all of the time, and the heaviest by name."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from agent.daemon.condense import MOST_BY_NAME, condensed
from collectors.windows.sched import REST, WaitFor
from tests.agent.analysis.trials import cgroup, window

waits = st.dictionaries(
    st.sampled_from([REST, "kernel", *(f"/{number}" for number in range(2 * MOST_BY_NAME))]),
    st.builds(WaitFor, st.integers(0, 99), st.integers(0, 9)),
)


@given(waits)
def test_nothing_is_lost_and_the_heaviest_keep_their_names(waited_for: dict[str, WaitFor]) -> None:
    before = replace(cgroup(1.0), waited_for=waited_for)
    after = condensed(window(before)).cgroups[before.path]
    kept = after.waited_for
    assert sum(wait.wait_ns for wait in kept.values()) == sum(wait.wait_ns for wait in waited_for.values())
    assert sum(wait.preemptions for wait in kept.values()) == sum(w.preemptions for w in waited_for.values())
    named = {name: wait for name, wait in kept.items() if name != REST}
    assert len(named) <= MOST_BY_NAME
    assert all(waited_for[name] == wait for name, wait in named.items())
    lightest = min((wait.wait_ns for wait in named.values()), default=0)
    dropped = [wait for name, wait in waited_for.items() if name not in kept and name != REST]
    assert all(wait.wait_ns <= lightest for wait in dropped)
    assert replace(after, waited_for=waited_for) == before
