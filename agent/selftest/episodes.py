"""The labelled episodes of detection: what runs as usual, what changes, and what is true of that by how it is built.

Everything of an episode runs on one CPU, in cgroups of one parent. Where each has the usual weight and wants the CPU
without rest, n of them have 1/n of it: a victim that spins alone waits for nobody, and half of its time when one
neighbour begins to spin: its contention ratio r is 1/2, behind two of them 2/3, behind six 6/7.
"""

from dataclasses import dataclass

from agent.documents.selftest_detection import EpisodeLabel, Expectation
from agent.selftest.scenarios import limited, neighbour

VICTIM, LIGHT, BATCH = "victim", "light", "batch"
RAMP_PCT, RAMP_STEP_S = (10, 20, 30, 40, 50, 60, 70, 80, 90), 6
_SPIN = neighbour("spin --processes 1")


@dataclass(frozen=True, slots=True)
class Part:
    """A shell command, in the cgroup of this name."""

    cgroup: str
    command: str


@dataclass(frozen=True, slots=True)
class Episode:
    """One episode.

    Attributes:
        name: Short, unique.
        truth: Why the label is right whatever the host, in one sentence.
        expects: What has to be told.
        usual: What runs from before the change on.
        change: What begins to run with it.
        ends: The cgroups in which everything is ended by it.
        victims: Of whom it has to be told.
        onset_s: When r has risen by 0.1, after the change began.
    """

    name: str
    truth: str
    expects: Expectation
    usual: tuple[Part, ...]
    change: tuple[Part, ...] = ()
    ends: tuple[str, ...] = ()
    victims: tuple[str, ...] = (VICTIM,)
    onset_s: float = 0.0

    @property
    def culprits(self) -> tuple[str, ...]:
        """The cgroups of which one must be named first."""
        blamed = self.expects is Expectation.NEIGHBOURS
        return tuple(dict.fromkeys(part.cgroup for part in self.change)) if blamed else ()

    @property
    def label(self) -> EpisodeLabel:
        """As the document has it."""
        return EpisodeLabel(self.name, self.truth, self.expects, self.culprits, self.onset_s)


def episodes() -> tuple[Episode, ...]:
    """All labelled episodes."""
    return (*_neighbours(), *_own_doing(), *_quotas(), *_nothing())


# It spins, beside one that is busy for 5 of every 100 ms: r is 0.05 at most.
_CALM = (Part(VICTIM, _SPIN), Part(LIGHT, neighbour("bursty --processes 1 --duty-pct 5")))
# It wants a fifth of its CPU, and another takes what is left.
_SQUEEZED = (Part(VICTIM, neighbour("bursty --processes 1 --period-ms 20 --duty-pct 20")), Part(BATCH, _SPIN))
# The same beside one of a quarter of its weight, which has to give way whenever it wants the CPU.
_ROOMY = (_SQUEEZED[0], Part(BATCH, limited("--weight-pct 25", _SPIN)))
_MINUTELY = neighbour("bursty --processes 1 --period-ms 60000 --duty-pct 50")


def _neighbours() -> tuple[Episode, ...]:
    """Somebody arrives."""

    def arrives(name: str, truth: str, *commands: str, onset_s: float = 0.0) -> Episode:
        parts = tuple(Part(f"neighbour-{number}", command) for number, command in enumerate(commands, 1))
        return Episode(name, truth, Expectation.NEIGHBOURS, _CALM, parts, onset_s=onset_s)

    steps = " ".join(map(str, RAMP_PCT))
    step = f"timeout {RAMP_STEP_S} {neighbour('bursty --processes 1 --duty-pct')}"
    ramp = f"for pct in {steps}; do {step} $pct; done; exec {_SPIN}"
    return (
        arrives("neighbour", "a busy loop has half of the victim's CPU: r rises to 1/2", _SPIN),
        arrives(
            "light-neighbour",
            "a busy loop with a quarter of the usual weight has a fifth of the CPU: r rises to 1/5",
            limited("--weight-pct 25", _SPIN),
        ),
        arrives(
            "ramp",
            f"one that is busy for 10 ms of every 100 ms, and for 10 ms more each {RAMP_STEP_S} s: r rises to 1/2",
            ramp,
            onset_s=2.0 * RAMP_STEP_S,
        ),
        arrives(
            "every-minute",
            "a busy loop for half of every minute: r is 1/2 in it, 1/4 over a minute",
            _MINUTELY,
        ),
        arrives("two", "two busy loops in cgroups of their own: r rises to 2/3", _SPIN, _SPIN),
        arrives("crowd", "six busy loops in cgroups of their own: r rises to 6/7", *(_SPIN,) * 6),
    )


def _own_doing() -> tuple[Episode, ...]:
    """The victim waits longer since it wants more."""
    return (
        Episode(
            "own-load",
            "the victim begins to want all of its CPU, of which one of a quarter of its weight has always had the rest",
            Expectation.OWN_DOING,
            _ROOMY,
            (Part(VICTIM, _SPIN),),
        ),
        Episode(
            "own-threads",
            "three more of the victim's own processes spin: it waits for itself",
            Expectation.OWN_DOING,
            _CALM,
            (Part(VICTIM, neighbour("spin --processes 3")),),
        ),
        Episode(
            "deployment",
            "a new release, in a cgroup of its own, wants all of a CPU where the old one wanted a fifth of it",
            Expectation.OWN_DOING,
            (Part("release-1", _ROOMY[0].command), _ROOMY[1]),
            (Part("release-2", _SPIN),),
            ends=("release-1",),
            victims=("release-1", "release-2"),
        ),
    )


def _quotas() -> tuple[Episode, ...]:
    """A quota takes the CPU from a victim that spins."""
    own = limited("--quota-pct 40 --period-ms 50", "true")
    ancestors = limited("--parent --quota-pct 40 --period-ms 50", "true")
    return (
        Episode(
            "own-quota",
            "the victim, which spins, is given a quota of 40 % of a CPU",
            Expectation.THROTTLED,
            _CALM,
            (Part(VICTIM, own),),
        ),
        Episode(
            "ancestor-quota",
            "its parent is given that quota",
            Expectation.THROTTLED,
            _CALM,
            (Part("quota", ancestors),),
        ),
    )


def _nothing() -> tuple[Episode, ...]:
    """All goes on as before."""

    def quiet(name: str, truth: str, usual: tuple[Part, ...]) -> Episode:
        return Episode(name, truth, Expectation.NOTHING, usual)

    return (
        quiet(
            "nothing",
            "nothing changes: the victim spins beside one that is busy for 5 of every 100 ms",
            _CALM,
        ),
        quiet(
            "squeezed", "nothing changes: the victim has always shared its CPU with a busy loop", _SQUEEZED
        ),
        quiet(
            "habit",
            "nothing changes: a busy loop for half of every minute has always been there",
            (*_CALM, Part(BATCH, _MINUTELY)),
        ),
    )
