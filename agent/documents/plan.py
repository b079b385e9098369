"""What an experiment will do, written before its first trial that counts; and, with `--plan`, what it can show."""

from agent.documents.codec import Document, Record

PLAN_FILE = "plan.json"


class Question(Record, frozen=True):
    """What is asked, whatever the seed: two plans of one question ask it twice."""

    victim: str  # its command line or its cgroup
    neighbours: tuple[str, ...]
    metrics: tuple[str, ...]  # as given, the primary first
    cpus: str | None  # the CPU list both are pinned to; null when not pinned
    threshold_pct: float


class Errors(Record, frozen=True):
    """The two-sided error of each claim over all looks together; each look has its part of it."""

    typical: float  # of the typical slowdown
    mean: float  # of the mean
    failures: float  # of what failed
    equivalence: float  # of harmlessness


class Power(Record, frozen=True):
    """What so much noise leaves to be seen, four times in five, at the last look."""

    trial_noise_pct: float  # standard deviation of one trial, from two pairs: it may be half or twice as much
    found_pct: float | None  # the smallest slowdown that is found; null: a single pair finds none
    clears: bool  # whether harmless neighbours are cleared
    pairs_to_clear: int | None  # how many pairs clear them; null: more than 1000
    duration_s: float  # how long all pairs take
    to_clear_s: float | None  # how long those that clear take


class RegisteredPlan(Document, frozen=True):
    """An experiment's plan. Its SHA-256, of the file as written, is in the verdict."""

    SCHEMA = "jostle.plan/1"

    question: Question
    seed: int  # of the orders and the pauses
    looks: tuple[int, ...]  # after so many pairs
    estimands: tuple[str, ...]  # what is claimed of the primary metric
    alpha: Errors
    power: Power | None = None  # left out: not asked for
