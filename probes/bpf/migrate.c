/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * sched_migrate_task: a waiting task is moved to another CPU. What it has waited here, run_delay has just grown by
 * (sched_info_dequeue(), kernel/sched/stats.h), is charged by the slices of the CPU it leaves; its arrival adds the
 * rest. That CPU's run queue is locked, so its switch hook does not run, whichever CPU does the moving.
 *
 * Most calls are for a task that wakes on another CPU, and end at the first line.
 */

int on_migrate(u64 *ctx)
{
	u64 task = ctx[0];
	if (load8(task, OFF_task_struct_on_rq) != TASK_ON_RQ_MIGRATING) /* an int, a byte on 7.3; 0 to 2 in both */
		return 0;
	u64 cfs_rq = load64(task, OFF_task_struct_cfs_rq), rq = load64(cfs_rq, OFF_cfs_rq_rq);
	u64 now = load64(rq, OFF_rq_clock);
	u32 cpu = load32(rq, OFF_rq_cpu), pid = load32(task, OFF_task_struct_pid), index = pid & (NR_DEPARTURES - 1);
	struct row *row = rows.lookup(&cpu);
	struct departure *left = departures.lookup(&index);
	if (!row || !left || cpu >= NR_CPUS || row->attached == 0)
		return 0;
	u64 run_delay_ns = load64(task, OFF_task_struct_run_delay);
	if (!is_of(left, pid, run_delay_ns)) {
		if (load64(task, OFF_task_struct_pcount)) /* it left before the probe came: since when is not known */
			return 0;
		left->pid = pid;
		left->involuntary = 0;
		left->run_delay_ns = left->settled_ns = left->settled = 0;
	}
	u64 total_ns = run_delay_ns - left->run_delay_ns;
	u64 new_ns = less(total_ns, left->settled_ns), seen_ns = less(now, row->attached);
	if (new_ns > seen_ns)
		new_ns = seen_ns;
	u32 slot = slot_of_task(task, pid);
	struct slot_stats *stats = stats_of(cpu, slot);
	if (!stats || new_ns == 0)
		return 0;
	stats->wait_ns += new_ns;
	if (left->involuntary)
		stats->preempt_wait_ns += new_ns;
	u64 from = now - new_ns;
	/* A quota held it here, and when that ended another CPU was free sooner: one period in thirty beside others. */
	struct quiet quiet = throttled_in(stats, left, pid, cfs_rq, from, from);
	u64 throttled_ns = overlap(from, now, quiet.from, quiet.to);
	stats->throttled_ns += throttled_ns;
	if (row->shed & SHED_BLAME)
		stats->overrun_ns += new_ns - throttled_ns;
	else
		charge_slices(cpu, row->head, row, cpu, stats, slot, from, now, quiet.from, quiet.to);
	left->settled_ns = total_ns;
	left->settled = now;
	return 0;
}
