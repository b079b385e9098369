/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a piece of a hook costs, by the hook itself: one run in TIMED_EVERY is timed. BPF_ENABLE_STATS would time each,
 * of every program on the host, and asks for CAP_SYS_ADMIN. A prime, so that of switches to and fro not all are of one kind.
 *
 * The clock takes some 25 ns, thrice, and so 1 ns of each run. The second of the first two readings tells how long one
 * takes. Longer than LONGEST_RUN_NS is not the hook's doing: the hypervisor took the CPU meanwhile (interrupts are off).
 */
#define LONGEST_RUN_NS 65536

/* Read back from memory, `runs` and `from` are unknown to the verifier, which else would follow both ways to the end. */
static __always_inline void begin_timing(volatile struct timing *timing)
{
	if (++timing->runs < TIMED_EVERY)
		return;
	timing->clock_from = bpf_ktime_get_ns();
	timing->from = bpf_ktime_get_ns();
}

static __always_inline void end_timing(volatile struct timing *timing)
{
	if (timing->runs < TIMED_EVERY)
		return;
	timing->runs = 0;
	u64 to = bpf_ktime_get_ns(), from = timing->from, clock_ns = from - timing->clock_from, ns = to - from;
	if (ns > LONGEST_RUN_NS)
		return;
	timing->timed++;
	timing->timed_ns += saturating_sub(ns, clock_ns);
}

/* NULL where this part is left out. Disks and network are timed as one: both are rare beside switches. */
static __always_inline struct cpu_state *begin_io(u32 shed_flag)
{
	u32 cpu = bpf_get_smp_processor_id();
	struct cpu_state *state = cpu_states.lookup(&cpu);
	if (!state || state->shed & shed_flag)
		return 0;
	begin_timing(&state->io_timing);
	return state;
}
