"""Who holds a file lock, by /proc/locks. Real sleepers: tests/kernel/test_asleep.py."""

import pytest

from collectors.sources.asleep import held_by

# As Linux 6.18 prints them: two waiters behind one holder, one of them behind the other; a lock that nobody waits for.
LOCKS = """\
1: POSIX  ADVISORY  WRITE 700 fe:00:131 0 EOF
2: FLOCK  ADVISORY  WRITE 801 00:2b:4242 0 EOF
2: -> FLOCK  ADVISORY  WRITE 802 00:2b:4242 0 EOF
2:  -> FLOCK  ADVISORY  READ 803 00:2b:4242 0 EOF
3: OFDLCK ADVISORY  WRITE -1 fe:00:77 0 EOF
3: -> OFDLCK ADVISORY  WRITE 804 fe:00:77 0 EOF
broken line
"""


@pytest.mark.parametrize(
    ("pid", "held"),
    [
        (802, ("00:2b:4242", 801)),
        (803, ("00:2b:4242", 801)),
        (804, ("fe:00:77", -1)),
        (801, None),  # it holds
        (700, None),
        (5, None),
    ],
)
def test_the_holder_stands_above_those_who_wait(pid: int, held: tuple[str, int] | None) -> None:
    assert held_by(LOCKS, pid) == held
