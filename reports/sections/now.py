"""Who suffers on a host right now, as three lines and as sections: the answer of `jostle` alone."""

import shlex
from collections.abc import Iterator

from agent.documents.blame import Charge, WaitPart
from agent.documents.now import HostNow, Reason, Sufferer
from agent.documents.top import Lot
from reports.figures import counted, seconds, time_ns
from reports.sections.blame import mostly, waited_for
from reports.sections.model import (
    NAME,
    Kind,
    Listing,
    Report,
    ReportSection,
    ShellCommand,
    Table,
    TableColumn,
    figure_columns,
)
from reports.sections.top import FARES, about_usual, behind, cpus, usually

_OTHERS_LOTS = frozenset({Lot.SUFFERS, Lot.STARVED})


def answer(now: HostNow) -> tuple[str, str, str]:
    """The verdict in three lines: who and how much, why and behind whom, what to try."""
    if not now.sufferers:
        return _all_clear(now)
    first = now.sufferers[0]
    by_others = sum(each.lot in _OTHERS_LOTS for each in now.sufferers)
    others = (
        f" ({counted(by_others - 1, 'other')} too)" if by_others > 1 and first.lot in _OTHERS_LOTS else ""
    )
    usual = (
        f" (usually {cpus(first.usual.median_cpus)}, 95 % of the time below {cpus(first.usual.p95_cpus)})"
        if first.usual is not None and first.lot in _OTHERS_LOTS
        else ""
    )
    lost = f", lost {cpus(first.lost_cpus)} to others{usual}" if first.lot in _OTHERS_LOTS else ""
    had = f"wanted {cpus(first.wanted_cpus)} CPUs, got {cpus(first.got_cpus)}{lost} in {seconds(now.duration_s)}"
    return (
        f"{first.name} {FARES[first.lot]}{others}: {had}.",
        f"why: {_why(first, now)}.",
        f"try: {first.advice[0]}",
    )


def _all_clear(now: HostNow) -> tuple[str, str, str]:
    load = f"{cpus(now.busy_cpus)} of {now.cpus} CPUs were busy"
    if now.untold:
        return (
            f"Nobody is known to suffer on {now.hostname} in {seconds(now.duration_s)}, but not all is known.",
            f"why: {load}; {', '.join(now.untold[:3])} waited, and it was lost track of behind whom.",
            "try: record for longer (jostle record -d 60), with a larger --max-overhead.",
        )
    watched = f"{counted(now.cgroups, 'cgroup')} in {seconds(now.duration_s)}"
    return (
        f"Nobody suffers for want of a CPU on {now.hostname}: {watched}.",
        f"why: {load}, and none lost a tenth of its CPU time, to others or to a quota.",
        "try: nothing here; what is slow all the same is not the scheduler's doing: jostle experiment tells.",
    )


def now_report(now: HostNow) -> Report:
    """What bears the three lines out."""
    headline = "Now (partial)" if now.partial else "Now"
    sentence = (
        f"{seconds(now.duration_s)} of {counted(now.cgroups, 'cgroup')} on {now.hostname}; "
        f"{cpus(now.busy_cpus)} of {now.cpus} CPUs were busy, "
        f"{counted(len(now.sufferers), 'cgroup')} did not fare well."
    )
    return Report(headline, sentence, tuple(_sections(now)), answer(now))


def _sections(now: HostNow) -> Iterator[ReportSection]:
    if now.sufferers:
        known = any(each.usual for each in now.sufferers)
        yield Table(
            "Who does not fare well",
            (
                NAME,
                TableColumn("Lot"),
                *figure_columns("Want", "Got", "Lost", *(["Usual"] if known else [])),
                TableColumn("Behind", Kind.NAME),
                *figure_columns("p99"),
            ),
            tuple(_row(each, known=known) for each in now.sufferers),
            note="In CPUs: Want, tasks that ran or waited; Got; Lost, what others had of it. Behind has the share "
            f"of its wait. {about_usual(now.history, known=known)}",
        )
        yield Listing("Why, and what to do", tuple(_to_do(now)))
        worst = next((each for each in now.sufferers if each.confirm), None)
        if worst is not None:
            yield ShellCommand(f"To be sure of {worst.name}", tuple(map(shlex.quote, worst.confirm)))
    if now.warnings:
        yield Listing("Warnings", now.warnings)


def _to_do(now: HostNow) -> Iterator[str]:
    """What several have in common is said once."""
    told: dict[tuple[str, ...], str] = {}
    for each in now.sufferers:
        what = f"as for {told[each.advice]}" if each.advice in told else "; ".join(each.advice)
        told.setdefault(each.advice, each.name)
        yield f"{each.name}: {_why(each, now)}; to do: {what}"


def _row(each: Sufferer, *, known: bool) -> tuple[str, ...]:
    part = _told(each)
    return (
        each.name,
        each.lot,
        cpus(each.wanted_cpus),
        cpus(each.got_cpus),
        cpus(each.lost_cpus),
        *([usually(each.usual)] if known else []),
        behind(part),
        time_ns(each.wait_p99_ns),
    )


def _told(each: Sufferer) -> WaitPart | None:
    """Whom a cgroup that suffers from others waits for most of them, else what it waits for most."""
    first = each.behind[0] if each.behind else None
    return each.aggressor or first if each.lot in _OTHERS_LOTS else first


def _share(part: WaitPart) -> str:
    return f"{part.share_pct:.0f} %"


def _why(each: Sufferer, now: HostNow) -> str:
    part = _told(each)
    if part is None:
        return _settings(each, now)
    whom = part.name if part.within else waited_for(part)
    wait = f"{_share(part)} of its wait is for {whom}"
    if part.charge in {Charge.SELF, Charge.THROTTLED}:
        return f"{wait}; {_settings(each, now)}"
    if each.waits_for_many:
        wait = f"it waits for many, {_share(part)} for {whom}"
    own = each.behind[0]
    also = f"; {_share(own)} is for {waited_for(own)}" if own.charge is Charge.SELF else ""
    seen = mostly(part) or (" (seen: it ran there meanwhile)" if part.charge is Charge.CGROUP else "")
    return f"{wait}{seen}{also}; {_settings(each, now)}"


def _settings(each: Sufferer, now: HostNow) -> str:  # noqa: PLR0911  one for each reason
    """The setting or the state of the CPUs that holds it there."""
    match each.reason:
        case Reason.PINNED:
            own, idle = (_listed(numbers) for numbers in (each.allowed_cpus or (), each.idle_cpus))
            return f"its tasks may run on CPU {own} alone, which is busy, while CPU {idle} has room"
        case Reason.QUOTA:
            if each.quota_cpus is None or each.quota_cgroup is None:
                return "the quota is there no more, or cannot be read"
            whose = (
                "its own quota" if each.quota_cgroup == each.cgroup else f"the quota of {each.quota_cgroup}"
            )
            return f"{whose} is {cpus(each.quota_cpus)} CPUs"
        case Reason.THREADS:
            return "it has more runnable threads than CPUs"
        case Reason.STEAL:
            return "the hypervisor gave the CPUs to other guests"
        case Reason.FULL:
            return f"all CPUs are busy ({cpus(now.busy_cpus)} of {now.cpus}){_weights(each)}"
        case Reason.MOMENTS:
            busy = f"{cpus(now.busy_cpus)} of {now.cpus} CPUs were busy"
            return f"CPUs were idle at other moments: {busy}{_weights(each)}"


def _weights(each: Sufferer) -> str:
    """Its weight, and whether it has what that promises: the one who is too heavy is found by it."""
    if each.weight is None:
        return ""
    if each.had_pct is None or each.promised_pct is None:
        return f"; the weights are {each.weight} to {each.others_weight}"
    side = "below" if each.is_below_promise else "not below"
    return (
        f"; it has {each.had_pct:.0f} % of what the two have, {side} the {each.promised_pct:.0f} % "
        f"that its weight promises ({each.weight} to {each.others_weight})"
    )


def _listed(numbers: tuple[int, ...]) -> str:
    return ", ".join(map(str, numbers))
