/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Hardware and software counters per cgroup, from one event per CPU: read where the CPU goes over to another
 * slot, and the difference since the last reading there is the slot's that leaves. User space fills
 * counter_events (probes/counters.py). With NR_COUNTERS 0 nothing of this is compiled.
 *
 * Only there, because a reading costs 25 ns and 45 more for each event (software events): the hook took 58 ns per
 * switch within one cgroup with 0, 1, 2 and 6 events alike, and between two cgroups 67, 142, 191 and 346 ns
 * (pipe ping-pong on one CPU, run-time statistics of BPF, median of 6 rounds in random order).
 */

#if NR_COUNTERS
struct cpu_counters {
	u64 slot;                         /* whose the next difference is */
	u64 changes;                      /* how often the events were read */
	struct timing timing;
	struct counter seen[NR_COUNTERS]; /* the last reading; enabled_ns 0 until the first */
};

BPF_PERF_ARRAY(counter_events, NR_CPUS * NR_COUNTERS);
BPF_F_TABLE("array", u32, struct cpu_counters, cpu_counters, NR_CPUS, BPF_F_MMAPABLE);

/* The first reading on a CPU, and one below the last (another event was put in its place), only begin anew. */
static __always_inline void count_since(struct counter *sum, struct counter *seen, struct counter *now)
{
	struct counter before = *seen;
	*seen = *now; /* first: a reader in between counts this difference later, not twice */
	if (!sum || before.enabled_ns == 0 || now->value < before.value || now->enabled_ns < before.enabled_ns ||
	    now->running_ns < before.running_ns)
		return;
	sum->value += now->value - before.value;
	sum->enabled_ns += now->enabled_ns - before.enabled_ns;
	sum->running_ns += now->running_ns - before.running_ns;
}

/* Everything counted on this CPU since the last call is that slot's whose cell this is (NULL: the idle task's); what follows is `next_slot`'s. */
static __always_inline void count(u32 cpu, struct slot_stats *stats, u32 next_slot)
{
	struct cpu_counters *here = cpu_counters.lookup(&cpu);
	if (!here)
		return;
	here->changes++;
	begin_timing(&here->timing);
#pragma unroll
	for (u32 i = 0; i < NR_COUNTERS; i++) {
		struct counter now = {};
		if (counter_events.perf_counter_value(cpu * NR_COUNTERS + i, &now, sizeof(now)) == 0)
			count_since(stats ? &((struct cell *)stats)->counters[i] : NULL, &here->seen[i], &now);
	}
	here->slot = next_slot;
	end_timing(&here->timing);
}
#else
static __always_inline void count(u32 cpu, struct slot_stats *stats, u32 next_slot) {}
#endif
