"""What counting adds to a switch between cgroups: as the hook says itself, and by the kernel's accounts of two hooks.

Both probes see the same switches, one after the other. A third, attached before them, warms the caches for both; it
has the kernel's figures first, so that the two differ by the counting alone.

    .venv/bin/python -m benchmarks.counting_cost [--rounds N]
"""

import argparse
import contextlib
from statistics import median

from agent.recording.counting_cost import STAND_INS, switch_often
from agent.recording.self_cost import CostMeter, measure
from collectors.host.hierarchy import detect_layout
from collectors.sources.ebpf import open_probe

ROUND_S = 0.5


def main() -> None:
    """Print the median of each over the rounds, and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    rounds = measured(parser.parse_args().rounds)
    by_accounts = median(account for account, _ in rounds)
    by_hook = median(own for _, own in rounds)
    print(f"{len(STAND_INS)} software events, {len(rounds)} rounds of {ROUND_S:g} s, per switch:")
    print(f"by the kernel's accounts of two hooks   {by_accounts:6.0f} ns")
    print(f"as the hook times itself                {by_hook:6.0f} ns")
    print(f"ratio                                   {by_hook / by_accounts:6.2f}")


def measured(rounds: int) -> list[tuple[float, float]]:
    """The cost in each round as (by the accounts, by the hook itself), in ns per switch."""
    layout = detect_layout()
    with contextlib.ExitStack() as stack:
        stack.enter_context(open_probe(layout))
        plain, counting = (stack.enter_context(open_probe(layout, events)) for events in ((), STAND_INS))
        found = []
        for _ in range(rounds):
            with measure(plain) as without, measure(counting) as with_:
                switch_often(ROUND_S)
            found.append(difference(without, with_))
    return found


def difference(without: CostMeter, with_: CostMeter) -> tuple[float, float]:
    """(by the accounts, by the hook itself); both were measured or there is nothing to print."""
    if without.ns_per_switch is None or with_.ns_per_switch is None or with_.counters_ns_per_switch is None:
        raise SystemExit("this host keeps no accounts of BPF programs, or counts no software events")
    return with_.ns_per_switch - without.ns_per_switch, with_.counters_ns_per_switch


if __name__ == "__main__":
    main()
