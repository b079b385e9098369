/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * sched_migrate_task: a waiting task is moved to another CPU. What it has waited here, run_delay has just grown by
 * (sched_info_dequeue(), kernel/sched/stats.h), is charged by the slices of the CPU it leaves; its arrival adds the
 * rest. That CPU's run queue is locked, so its switch hook does not run, whichever CPU does the moving.
 *
 * Most calls are for a task that wakes on another CPU, and end at the first line.
 */

static __always_inline void move(struct cpu_state *state, u32 cpu, u64 task, u64 cfs_rq, u64 now)
{
	u32 pid = load32(task, OFF_task_struct_pid), index = pid & (NR_TASK_RECORDS - 1);
	struct task_record *record = task_records.lookup(&index);
	if (!record)
		return;
	u64 run_delay_ns = load64(task, OFF_task_struct_run_delay);
	bool is_newcomer = !matches(record, pid, run_delay_ns);
	if (is_newcomer) {
		if (load64(task, OFF_task_struct_pcount)) /* it left before the probe came: since when is not known */
			return;
		take_over(record, pid);
	}
	u64 total_ns = run_delay_ns - record->run_delay_ns;
	u64 new_ns = saturating_sub(total_ns, record->accounted_ns), seen_ns = saturating_sub(now, state->attached);
	if (new_ns > seen_ns)
		new_ns = seen_ns;
	u32 slot = slot_of_task(task, pid);
	struct slot_stats *stats = stats_of(cpu, &slot);
	if (!stats)
		return;
	if (is_newcomer)
		stats->newcomers++;
	if (new_ns == 0)
		return;
	stats->wait_ns += new_ns;
	state->wait_ns += new_ns;
	if (record->involuntary)
		stats->preempt_wait_ns += new_ns;
	u64 from = now - new_ns;
	/* A quota held it here, and when that ended another CPU was free sooner: one period in thirty beside others. */
	struct throttled_span span = throttled_in(stats, state, record, pid, cfs_rq, from, from);
	u64 throttled_ns = overlap(from, now, span.from, span.to);
	stats->throttled_ns += throttled_ns;
	state->wait_ns -= throttled_ns;
	if (state->shed & SHED_BLAME)
		stats->unattributed_ns += new_ns - throttled_ns;
	else
		charge_slices(cpu, state->head, state, cpu, stats, slot, from, now, span.from, span.to);
	record->accounted_ns = total_ns;
	record->accounted_until = now;
}

int on_migrate(u64 *ctx)
{
	u64 task = ctx[0];
	if (load8(task, OFF_task_struct_on_rq) != TASK_ON_RQ_MIGRATING) /* an int, a byte on 7.3; 0 to 2 in both */
		return 0;
	u64 cfs_rq = load64(task, OFF_task_struct_cfs_rq), rq = load64(cfs_rq, OFF_cfs_rq_rq);
	u32 cpu = load32(rq, OFF_rq_cpu);
	struct cpu_state *state = cpu_states.lookup(&cpu);
	if (!state || cpu >= NR_CPUS || state->attached == 0)
		return 0;
	begin_timing(&state->move_timing);
	move(state, cpu, task, cfs_rq, load64(rq, OFF_rq_clock));
	end_timing(&state->move_timing);
	return 0;
}
