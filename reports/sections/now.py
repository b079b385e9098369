"""Who suffers on a host right now, as three lines and as sections: the answer of `jostle` alone."""

from collections.abc import Iterator

from agent.documents.blame import Charge, WaitPart
from agent.documents.now import HostNow, Reason, Sufferer
from agent.documents.top import Lot
from reports.figures import counted, seconds, time_ns
from reports.sections.blame import waited_for
from reports.sections.model import (
    NAME,
    Kind,
    Listing,
    Report,
    ReportSection,
    Table,
    TableColumn,
    figure_columns,
)
from reports.sections.top import cpus

_WORDS = {
    Lot.SUFFERS: "suffers",
    Lot.STARVED: "is starved",
    Lot.QUOTA: "is held back by a quota",
    Lot.CROWDED: "is crowded by its own threads",
    Lot.FINE: "is fine",
}
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
    lost = f", lost {cpus(first.lost_cpus)} to others" if first.lot in _OTHERS_LOTS else ""
    had = f"wanted {cpus(first.wanted_cpus)} CPUs, got {cpus(first.got_cpus)}{lost} in {seconds(now.duration_s)}"
    return (
        f"{first.name} {_WORDS[first.lot]}{others}: {had}.",
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
    return Report(headline, sentence, tuple(_sections(now)))


def _sections(now: HostNow) -> Iterator[ReportSection]:
    if now.sufferers:
        yield Table(
            "Who does not fare well",
            (
                NAME,
                TableColumn("Lot"),
                *figure_columns("Want", "Got", "Lost"),
                TableColumn("Behind", Kind.NAME),
                *figure_columns("Share", "p99"),
                TableColumn("Why"),
            ),
            tuple(_row(each) for each in now.sufferers),
            note="In CPUs: Want, tasks that ran or waited; Got; Lost, what others had of it. Share is of its wait. "
            "What is normal for this host is in its history (jostle report --history).",
        )
        for each in now.sufferers:
            yield Listing(
                f"What to do for {each.name}" if len(now.sufferers) > 1 else "What to do", each.advice
            )
    if now.warnings:
        yield Listing("Warnings", now.warnings)


def _row(each: Sufferer) -> tuple[str, ...]:
    part = _told(each)
    return (
        each.name,
        each.lot,
        cpus(each.wanted_cpus),
        cpus(each.got_cpus),
        cpus(each.lost_cpus),
        waited_for(part),
        "" if part is None else _share(part),
        time_ns(each.wait_p99_ns),
        _settings(each),
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
        return _settings(each)
    own = each.behind[0]
    also = (
        f"; {_share(own)} is for {waited_for(own)}" if own.charge is Charge.SELF and own is not part else ""
    )
    return (
        f"{_share(part)} of its wait is for {waited_for(part)} (seen: it ran there meanwhile){also}; "
        f"{_settings(each)}; {cpus(now.busy_cpus)} of {now.cpus} CPUs were busy"
        if part.charge is not Charge.SELF and part.charge is not Charge.THROTTLED
        else f"{_share(part)} of its wait is for {waited_for(part)}; {_settings(each)}"
    )


def _settings(each: Sufferer) -> str:  # noqa: PLR0911  one for each reason
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
            return f"all CPUs are busy{_weights(each)}"
        case Reason.MOMENTS:
            return f"CPUs were idle at other moments{_weights(each)}"


def _weights(each: Sufferer) -> str:
    return "" if each.weight is None else f", and the weights are {each.weight} to {each.others_weight}"


def _listed(numbers: tuple[int, ...]) -> str:
    return ", ".join(map(str, numbers))
