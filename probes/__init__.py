"""Everything that knows the kernel's ABI: BPF programs, BTF, bpf(2), perf_event_open(2).

A probe hands out raw cumulative numbers and gives them no meaning. It must not aggregate over cgroups,
compare, or form an opinion, and it imports from no other package of this repository.
"""
