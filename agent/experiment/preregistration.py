"""An experiment's plan as it stands before the first trial that counts, and who asked the same before."""

import contextlib
import hashlib
import json
import math
import os
from collections.abc import Sequence
from pathlib import Path

from agent.analysis.observation import Blocks, TrialResult
from agent.documents.plan import PLAN_FILE, Errors, Power, Question, RegisteredPlan
from agent.documents.strict_json import strict_json
from agent.experiment.plan import Plan
from agent.experiment.runner import better, complete_pairs, valid_blocks
from agent.experiment.trial import SETTLE_S
from agent.statistics.design import (
    ALPHA,
    FAILURES_ALPHA,
    LONGEST_PAUSE,
    MEAN_ALPHA,
    PAUSED_PAIRS,
    TYPICAL_ALPHA,
    plan_looks,
)
from agent.statistics.effect import to_pct
from agent.statistics.power import foresee, spread_of, spread_to_clear
from collectors.windows.sched import NS_PER_S
from probes.errors import UsageError

# A plan of ours has some 1,000 bytes, and its commands; beyond this a file is not one.
_MOST_BYTES = 1 << 20


def registered(plan: Plan, power: Power | None = None) -> RegisteredPlan:
    """What will be done and claimed."""
    return RegisteredPlan(
        question=Question(
            victim=plan.victim_text,
            neighbours=(*plan.neighbours, *plan.neighbour_cgroups),
            metrics=tuple(spec.text for spec in plan.metrics),
            cpus=",".join(map(str, plan.cpus)) if plan.cpus else None,
            threshold_pct=plan.threshold_pct,
        ),
        seed=plan.seed,
        looks=plan_looks(plan.pairs, plan.max_pairs).looks,
        estimands=("typical", "mean", "failures"),
        alpha=Errors(TYPICAL_ALPHA, MEAN_ALPHA, FAILURES_ALPHA, ALPHA),
        power=power,
    )


def as_text(plan: RegisteredPlan) -> str:
    """The document as it is written, and hashed."""
    return strict_json(plan.to_document(), indent=2) + "\n"


def sha256(text: str) -> str:
    """Of a plan as written; the same as `sha256sum plan.json` says."""
    return hashlib.sha256(text.encode()).hexdigest()


def asked_before(directory: Path, text: str) -> int:
    """In how many experiments beside that in `directory` the same was asked; files that are no plans count for none."""
    question = _question_in(text.encode())
    return sum(
        _question_in(_read(path)) == question
        for path in directory.absolute().parent.glob(f"*/{PLAN_FILE}")
        if path.parent != directory.absolute()
    )


def _read(path: Path) -> bytes:
    # Not of a pipe, which would wait for somebody to write.
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return b""
    with os.fdopen(descriptor, "rb") as file, contextlib.suppress(OSError):
        return file.read(_MOST_BYTES) or b""
    return b""


def _question_in(text: bytes) -> Question | None:
    try:
        return RegisteredPlan.from_document(json.loads(text)).question
    except (ValueError, RecursionError, UsageError):
        return None


def power_of(plan: Plan, trials: Sequence[TrialResult]) -> Power:
    """What the plan can show, from the few trials that were run to tell.

    Raises:
        UsageError: They are fewer than two pairs.
    """
    pairs, looks = complete_pairs(trials), plan_looks(plan.pairs, plan.max_pairs)
    spread = spread_of(pairs, better(trials))
    seen = foresee(spread, plan.threshold_pct, looks, spread_to_clear(pairs, better(trials)))
    blocks = valid_blocks(trials)
    trials_s = sum(a.seen.duration_s + b.seen.duration_s for a, b in blocks) / len(blocks) + 2 * SETTLE_S

    def lasts_s(pairs: int) -> float:
        if plan.slots:
            return cycle_s(blocks) * (pairs + plan.warmup)
        return trials_s * (pairs + min(pairs, PAUSED_PAIRS) * LONGEST_PAUSE / 2 + plan.warmup / 2)

    most, enough = looks.looks[-1], seen.pairs_to_clear
    return Power(
        trial_noise_pct=to_pct(spread / math.sqrt(2)),
        found_pct=seen.found_pct,
        clears=enough is not None and enough <= most,
        pairs_to_clear=enough,
        duration_s=lasts_s(most),
        to_clear_s=None if enough is None else lasts_s(enough),
    )


def cycle_s(blocks: Blocks) -> float:
    """How long a pair of slots' cycles takes, of two pairs and more: from the end of the first to that of the last.

    Between treated slots neighbours are left alone for as long as they may not be stopped.
    """
    ends_ns = [max(a.window.end_ns, b.window.end_ns) for a, b in blocks]
    return (ends_ns[-1] - ends_ns[0]) / NS_PER_S / (len(blocks) - 1)
