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
/* struct bpf_perf_event_value (include/uapi/linux/bpf.h). */
struct counter {
	u64 value;
	u64 enabled_ns; /* how long it was wanted */
	u64 running_ns; /* and had a hardware register */
};

struct slot_counters {
	struct counter of[NR_COUNTERS];
};

struct cpu_counters {
	u64 slot;                         /* whose the next difference is */
	u64 changes;                      /* how often the events were read */
	u64 timed;                        /* how often that was timed, and how long it took */
	u64 timed_ns;
	struct counter seen[NR_COUNTERS]; /* the last reading; enabled_ns 0 until the first */
};

BPF_PERF_ARRAY(counter_events, NR_CPUS * NR_COUNTERS);
BPF_F_TABLE("array", u32, struct slot_counters, slot_counters, NR_CPUS * NR_SLOTS, BPF_F_MMAPABLE);
BPF_F_TABLE("array", u32, struct cpu_counters, cpu_counters, NR_CPUS, BPF_F_MMAPABLE);

/* The first reading on a CPU, and one below the last (another event was put in its place), only begin anew. */
static __always_inline void count_since(struct counter *sum, struct counter *seen, struct counter *now)
{
	struct counter before = *seen;
	*seen = *now; /* first: a reader in between counts this difference later, not twice */
	if (before.enabled_ns == 0 || now->value < before.value || now->enabled_ns < before.enabled_ns ||
	    now->running_ns < before.running_ns)
		return;
	sum->value += now->value - before.value;
	sum->enabled_ns += now->enabled_ns - before.enabled_ns;
	sum->running_ns += now->running_ns - before.running_ns;
}

/*
 * One reading in so many is timed, never the first: the clock takes some 25 ns, thrice, and so 1 ns of each reading.
 * The second of the first two clock readings tells how long one takes. Longer than LONGEST_READING_NS is not the
 * reading's doing: the hypervisor took the CPU meanwhile (interrupts are off).
 */
#define TIMED_EVERY 64
#define LONGEST_READING_NS 65536

static __always_inline void add_time(struct cpu_counters *here, u64 clock_from, u64 from, u64 to)
{
	u64 clock_ns = from - clock_from, ns = to - from;
	if (ns > LONGEST_READING_NS)
		return;
	here->timed++;
	here->timed_ns += saturating_sub(ns, clock_ns);
}

/* Everything counted on this CPU since the last call is `slot`'s; what follows is `next_slot`'s. */
static __always_inline void count(u32 cpu, u32 slot, u32 next_slot)
{
	struct cpu_counters *here = cpu_counters.lookup(&cpu);
	if (!here)
		return;
	u64 clock_from = 0, from = 0;
	if (++here->changes % TIMED_EVERY == 0) {
		clock_from = bpf_ktime_get_ns();
		from = bpf_ktime_get_ns();
	}
	u32 index = cpu * NR_SLOTS + slot;
	struct slot_counters *sums = slot_counters.lookup(&index);
	if (!sums)
		return;
#pragma unroll
	for (u32 i = 0; i < NR_COUNTERS; i++) {
		struct counter now = {};
		if (counter_events.perf_counter_value(cpu * NR_COUNTERS + i, &now, sizeof(now)) == 0)
			count_since(&sums->of[i], &here->seen[i], &now);
	}
	here->slot = next_slot;
	if (from)
		add_time(here, clock_from, from, bpf_ktime_get_ns());
}
#else
static __always_inline void count(u32 cpu, u32 slot, u32 next_slot) {}
#endif
