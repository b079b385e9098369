"""What a victim slept on for longer beside its neighbours: what is known of the time that no other cause explains."""

from collections.abc import Iterator, Mapping, Sequence

from agent.analysis.observation import Pairs, VictimObservation, owner_of
from agent.documents.verdict import Cause, CauseKind
from agent.documents.verdict_parts import Blocked
from collectors.host.workloads import name_by_path

# A change below this share of a trial is within what looking now and then can show.
LEAST_CHANGE_RATIO = 0.01
_Key = tuple[str, str | None, str | None]


def blocked(pairs: Pairs, neighbours: Mapping[str, str]) -> tuple[Blocked, ...]:
    """What it slept on for longer or shorter in a mean trial, the most added first.

    Args:
        pairs: At least one.
        neighbours: Display name of each neighbour's cgroup.
    """
    without, with_ = (_mean_s(arm, list(neighbours)) for arm in zip(*pairs, strict=True))
    mean_s = sum(seen.duration_s for _, seen in pairs) / len(pairs)
    victim = pairs[0][0].victim.path
    rows = [
        Blocked(
            on=on,
            what=what,
            without_s=without.get((on, what, holder), 0.0),
            with_s=with_.get((on, what, holder), 0.0),
            holder=_name(holder, neighbours, victim),
            holder_cgroup=holder,
        )
        for on, what, holder in dict.fromkeys([*with_, *without])
    ]
    changed = [row for row in rows if abs(row.with_s - row.without_s) > LEAST_CHANGE_RATIO * mean_s]
    return tuple(sorted(changed, key=lambda row: row.without_s - row.with_s))


def _mean_s(arm: Sequence[VictimObservation], neighbours: Sequence[str]) -> dict[_Key, float]:
    found: dict[_Key, float] = {}
    for seen in arm:
        for asleep, seconds in seen.asleep_s.items():
            holder = (
                None if asleep.holder is None else owner_of(asleep.holder, [*neighbours, seen.victim.path])
            )
            key = asleep.on, asleep.what, holder
            found[key] = found.get(key, 0.0) + seconds / len(arm)
    return found


def _name(holder: str | None, neighbours: Mapping[str, str], victim: str) -> str | None:
    if holder is None:
        return None
    return "the victim itself" if holder == victim else neighbours.get(holder, name_by_path(holder))


def is_unexplained(causes: Sequence[Cause]) -> bool:
    """Whether most of the extra time is neither running nor waiting for anything that is accounted for."""
    return bool(causes) and max(causes, key=lambda cause: cause.share_pct).cause is CauseKind.UNEXPLAINED


def clauses(rows: Sequence[Blocked]) -> Iterator[str]:
    """What to say of an extra time that is unexplained, without capital or full stop."""
    longer = [row for row in rows if row.with_s > row.without_s]
    if not longer:
        yield "what the victim slept on was not seen"
        return
    first = longer[0]
    what = f" ({first.what})" if first.what else ""
    holder = f", held by {first.holder}" if first.holder else ""
    extra_s = first.with_s - first.without_s
    yield f"in each trial the victim was asleep for {extra_s:.2g} s more on: {first.on}{what}{holder}"
