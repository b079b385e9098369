/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * sched_switch: the one hook on the hot path. No clock but for timing.h, no helper call but the CPU's number, no hash, no
 * atomics.
 *
 * When it fires, rq->clock is now, and next->sched_info.last_queued is when the incoming task became runnable;
 * their difference is what sched_info_arrive() (kernel/sched/stats.h) is about to add to run_delay.
 */

static __always_inline void leave(struct slot_stats *stats, struct cpu_state *state, u32 cpu, u64 prev, u32 prev_pid, u32 slot, u32 next_slot,
				  u64 now, bool involuntary, bool dead)
{
	u32 index = prev_pid & (NR_TASK_RECORDS - 1);
	struct task_record *record = task_records.lookup(&index);
	if (record) {
		if (record->pid != prev_pid) /* its arrival was before the probe's, or another task took its place since */
			remember(record, prev_pid, load64(prev, OFF_task_struct_run_delay));
		record->involuntary = involuntary;
		record->throttle_queue = 0;
		if (dead)
			record->pid = record->css_set_slot = 0;
	}
	if (!involuntary)
		return;
#if HAVE_THROTTLING
	u64 cfs_rq = load64(prev, OFF_task_struct_cfs_rq);
	if (record) {
		record->throttle_queue = cfs_rq;
		record->throttled_ns = load64(cfs_rq, OFF_cfs_rq_throttled_time);
	}
	if (is_throttled(prev, cfs_rq)) {
		stats->preempted_throttled++;
		begin_throttle(stats, state, cfs_rq, now);
		return;
	}
#endif
	if (slot == next_slot) {
		stats->preempted_own++;
		return;
	}
	stats->preempted_foreign++;
	struct pair *pair = pair_of(cpu, slot, next_slot);
	if (pair)
		pair->preemptions++;
}

/* Counts a wait that has ended; returns how much of it is new, the wait scan not having counted it before. */
static __always_inline u64 count_wait(struct slot_stats *stats, struct cpu_state *state, struct wait *wait)
{
	u64 new_ns = saturating_sub(wait->total_ns, wait->accounted_ns);
	stats->wait_ns += new_ns;
	state->wait_ns += new_ns;
	if (wait->preempted)
		stats->preempt_wait_ns += new_ns;
	if (!(state->shed & SHED_HISTOGRAM)) {
		u64 bucket = bucket_of(wait->total_ns);
		asm volatile("" : "+r"(bucket)); /* the verifier must see the check below, so the compiler may not know better */
		if (bucket < NR_BUCKETS) {
			u16 *count = &stats->histogram[bucket];
			if (*count < FULL)
				++*count;
			if (*count >= NEARLY_FULL)
				state->is_full = 1;
		}
	}
	return new_ns;
}

static __always_inline void arrive(struct slot_stats *stats, struct cpu_state *state, struct slice *slice, u32 cpu, u64 next,
				   u32 next_pid, u32 slot, u64 cfs_rq, u64 now)
{
	stats->switches_in++;
	u64 queued = load64(next, OFF_task_struct_last_queued);
	if (queued == 0 || queued > now) /* never left the queue: woken before it had gone to sleep */
		return;
	u32 index = next_pid & (NR_TASK_RECORDS - 1);
	struct task_record *record = task_records.lookup(&index);
	if (!record)
		return;
	struct wait wait = wait_of(next, record, next_pid, queued, now, state->attached);
	if (wait.is_newcomer)
		stats->newcomers++;
	remember(record, next_pid, load64(next, OFF_task_struct_run_delay) + (now - queued));
	u64 here_ns = saturating_sub(now, wait.from), new_ns = count_wait(stats, state, &wait);
	if (new_ns > here_ns)
		stats->unattributed_ns += new_ns - here_ns;
	struct throttled_span span = throttled_in(stats, state, record, next_pid, cfs_rq, queued, wait.from);
	u64 throttled_ns = overlap(wait.from, now, span.from, span.to);
	stats->throttled_ns += throttled_ns;
	state->wait_ns -= throttled_ns;
	if (state->shed & SHED_BLAME)
		stats->unattributed_ns += here_ns - throttled_ns;
	else if (since_start(slice->start_slot, wait.from) >= 0 && span.to == 0)
		charge(cpu, stats, slot, slot_in(slice->start_slot), here_ns); /* nearly always: the last slice covers it */
	else
		charge_slices(cpu, state->head, state, cpu, stats, slot, wait.from, now, span.from, span.to);
}

/*
 * The task that leaves is not the one that came last. Either nobody has come yet, or the kernel switched without
 * calling the hook: on a 6.18 guest some switches away from a few threads, five a second, are in no tracer's record.
 * Then the task that leaves came when its last_arrival says, and its whole wait is what run_delay grew by. On a busy
 * host the first turn of a throttled task after its quota came back was among them once in a hundred periods.
 */
static __always_inline void resume(struct cpu_state *state, u32 cpu, u64 prev, u32 prev_pid, u64 now, u64 stolen_total_ns)
{
	u32 slot = slot_of_task(prev, prev_pid);
	if (state->attached == 0) {
		state->attached = state->since = now;
		state->stolen_seen_ns = stolen_total_ns;
		push_slice(state, cpu, now, slot);
		count(cpu, NULL, slot);
		return;
	}
	state->unreported++;
	u64 since = state->since, came = load64(prev, OFF_task_struct_last_arrival);
	if (prev_pid == 0 || came < since || came > now)
		came = since;
	u32 index = (state->runner - 1) & (NR_TASK_RECORDS - 1), last_slot = state->slot;
	struct task_record *record = task_records.lookup(&index);
	if (record && record->pid == state->runner - 1)
		record->involuntary = 0; /* it left unseen: why is not known */
	struct slot_stats *stats = NULL;
	if (last_slot != SLOT_IDLE && (stats = stats_of(cpu, &last_slot))) {
		stats->run_ns += came - since;
		state->run_ns += came - since;
	}
	state->since = came;
	count(cpu, stats, slot);
	push_slice(state, cpu, came, slot);

	index = prev_pid & (NR_TASK_RECORDS - 1);
	record = task_records.lookup(&index);
	if (!record || prev_pid == 0 || !(stats = stats_of(cpu, &slot)))
		return;
	stats->switches_in++;
	u64 run_delay_ns = load64(prev, OFF_task_struct_run_delay);
	if (!matches(record, prev_pid, run_delay_ns))
		return;
	struct wait wait = {
		.total_ns = run_delay_ns - record->run_delay_ns,
		.accounted_ns = record->accounted_ns,
		.preempted = record->involuntary,
	};
	if (wait.total_ns == 0)
		return;
	remember(record, prev_pid, run_delay_ns);
	u64 new_ns = count_wait(stats, state, &wait), from = saturating_sub(came, new_ns), cfs_rq = load64(prev, OFF_task_struct_cfs_rq);
	struct throttled_span span = throttled_in(stats, state, record, prev_pid, cfs_rq, from, from);
	u64 throttled_ns = overlap(from, came, span.from, span.to), others_ns = new_ns - throttled_ns;
	u64 behind_last_ns = came - since;
	if (behind_last_ns > others_ns)
		behind_last_ns = others_ns;
	charge(cpu, stats, slot, last_slot, behind_last_ns);
	stats->throttled_ns += throttled_ns;
	state->wait_ns -= throttled_ns;
	stats->unattributed_ns += others_ns - behind_last_ns;
}

/* A CPU was added for which there is no room. */
static __always_inline int tell_unwatched(u32 cpu)
{
	u32 zero = 0;
	struct lifecycle *cycle = lifecycle.lookup(&zero);
	if (cycle)
		cycle->unwatched = (u64)cpu + 1;
	return 0;
}

int on_switch(u64 *ctx)
{
	u64 prev = ctx[ARG_PREV], next = ctx[ARG_NEXT];
	u32 cpu = bpf_get_smp_processor_id();
	struct cpu_state *state = cpu_states.lookup(&cpu);
	if (!state || cpu >= NR_CPUS)
		return tell_unwatched(cpu);
	begin_timing(&state->switch_timing);
	u64 cfs_rq = load64(next, OFF_task_struct_cfs_rq);
	u64 rq = load64(cfs_rq, OFF_cfs_rq_rq);
	u64 now = load64(rq, OFF_rq_clock);
	u32 prev_pid = load32(prev, OFF_task_struct_pid), next_pid = load32(next, OFF_task_struct_pid);
	u32 next_slot = slot_of_next(state, next, next_pid);
#ifdef ARG_PREV_STATE
	u32 prev_state = ctx[ARG_PREV_STATE];
#else
	u32 prev_state = load32(prev, OFF_task_struct_state);
#endif
	u64 stolen_total_ns = 0;
#ifdef OFF_rq_clock_task
	stolen_total_ns = now - load64(rq, OFF_rq_clock_task);
#endif
	state->switches++;
	barrier();
	if (state->runner != prev_pid + 1)
		resume(state, cpu, prev, prev_pid, now, stolen_total_ns);
	state->runner = next_pid + 1;
	struct slice *slice = slice_of(cpu, state->head); /* of the task that leaves */
	if (!slice)
		return 0;

	u32 slot = state->slot;
	struct slot_stats *stats = NULL, *next_stats = NULL;
	if (next_pid)
		next_stats = stats_of(cpu, &next_slot);
	u32 label = next_slot == SLOT_KERNEL ? works_for(next_pid) : next_slot; /* for whom it runs */
	if (prev_pid && (stats = stats_of(cpu, &slot))) {
		stats->run_ns += now - state->since;
		state->run_ns += now - state->since;
		stats->stolen_ns += stolen_total_ns - state->stolen_seen_ns;
		leave(stats, state, cpu, prev, prev_pid, slot, label, now, (bool)ctx[ARG_PREEMPT] || prev_state == 0,
		      prev_state & TASK_DEAD);
	}
	if (next_stats)
		arrive(next_stats, state, slice, cpu, next, next_pid, next_slot, cfs_rq, now);

	if (next_slot != slot)
		count(cpu, stats, next_slot);
	if (label != slot_in(slice->start_slot))
		push_label(state, cpu, now, label);
	state->slot = next_slot;
	state->stolen_seen_ns = stolen_total_ns;
	state->since = now;
	state->clock = now;
	if (__builtin_expect(state->is_full, 0)) {
		state->is_full = 0;
		if (next_stats)
			renew_cell(next_stats, cpu, next_slot);
	}
	barrier();
	state->settled = state->switches;
	if (state->switch_timing.runs >= TIMED_EVERY)
		state->clock_offset = state->switch_timing.from - now;
	end_timing(&state->switch_timing);
	return 0;
}
