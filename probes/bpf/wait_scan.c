/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A task iterator, run once an interval: counts what the waiting tasks have waited so far, so that a starved task
 * shows while it starves, and remembers (task_record.accounted_ns) what it counted, so that its arrival adds the rest.
 * The first run also seeds what no switch has told yet: who runs on each CPU, and the records of all who sleep, so
 * that who does not switch is known to run, and no task's next wait is of unknown length.
 *
 * It runs beside the switch hook of other CPUs and writes to rows of its own. A task that arrives between being
 * read here and its `accounted_until` being written is counted twice: a window of some 100 ns per waiting task and scan.
 */

/*
 * A task that sleeps since before the probe came: nobody saw it leave. Without this, what it waits before a move
 * would be lost (on_migrate() finds run_delay grown, by how much unknown): 109 ms of 2 s in one run of five spinners.
 */
static __always_inline void seed_record(struct task_record *record, u64 task, u32 pid)
{
	if (record->pid || load64(task, OFF_task_struct_pcount) == 0)
		return;
	take_over(record, pid);
	record->run_delay_ns = load64(task, OFF_task_struct_run_delay);
}

/*
 * Asleep, whatever last_queued says: since delayed dequeue (152e11f6df29, 6.12) a sleeper that is moved to another
 * CPU before it is taken off its queue keeps the last_queued of that move until it next runs. The kernel's run_delay
 * then holds the sleep as well; here it counts from the last scan before the wakeup on.
 */
static __always_inline bool is_asleep(u64 task)
{
#ifdef OFF_task_struct_sched_delayed
	if (load8(task, OFF_task_struct_sched_delayed))
		return 1;
#endif
	return load8(task, OFF_task_struct_on_rq) == 0; /* see on_migrate() */
}

/*
 * A task that runs since before the probe came, on a CPU that has not switched since: beside one spinner alone on a CPU
 * that told 248, 275, 4 and 664 of 703 ms. `attached` goes last: by it the hook knows that the rest is there.
 */
static __always_inline void seed_runner(struct cpu_state *state, u32 cpu, u64 task, u32 pid, u64 rq, u64 now)
{
	if (state->attached)
		return;
	u32 slot = slot_of_task(task, pid);
#ifdef OFF_rq_clock_task
	state->stolen_seen_ns = now - load64(rq, OFF_rq_clock_task);
#endif
	push_slice(state, cpu, now, slot);
	state->since = state->clock = now;
	state->runner = pid + 1;
	barrier();
	state->attached = now;
}

/* Counts what a waiting task has waited since it was last counted, and charges it. */
static __always_inline void count_waiting(u64 task, u32 pid, struct task_record *record, struct wait *wait,
					  struct slot_stats *stats, struct cpu_state *ran, struct cpu_state *state, u32 cpu, u32 slot,
					  u64 cfs_rq, u64 queued, u64 now)
{
	u64 new_ns = saturating_sub(wait->total_ns, wait->accounted_ns);
	u64 here_ns = saturating_sub(now, wait->from);
	stats->wait_ns += new_ns;
	if (wait->preempted)
		stats->preempt_wait_ns += new_ns;
	if (new_ns > here_ns)
		stats->unattributed_ns += new_ns - here_ns;
	u64 span_from = 0, span_to = 0;
#if HAVE_THROTTLING
	struct slot_stats *local = known_stats_of(cpu, slot);
	u64 throttled_ns = load64(cfs_rq, OFF_cfs_rq_throttled_time);
	if (is_throttled(task, cfs_rq)) {
		bool open = local && local->throttle_queue == queue_id(state, cfs_rq) && local->throttle_start && !local->throttle_end;
		span_from = open ? local->throttle_start : queued;
		span_to = now;
		throttled_ns += now - span_from;
	} else if (local) {
		span_from = local->throttle_start;
		span_to = throttle_end(local, state, cfs_rq);
	}
	span_from = throttled_from(record, pid, cfs_rq, throttled_ns, span_from, span_to);
	if (record->throttle_queue)
		record->throttle_queue = record->pid == pid ? cfs_rq : 0;
	record->throttled_ns = throttled_ns;
	stats->throttled_ns += overlap(wait->from, now, span_from, span_to);
#endif
	ran->scanned_wait_ns += here_ns - overlap(wait->from, now, span_from, span_to);
	if (ran->shed & SHED_BLAME)
		stats->unattributed_ns += here_ns - overlap(wait->from, now, span_from, span_to);
	else
		charge_slices(cpu, ran->head, state, SCAN_ROW, stats, slot, wait->from, now, span_from, span_to);
}

int on_task(u64 *ctx)
{
	u64 task = ctx[1]; /* struct bpf_iter__task: meta, task */
	if (!task)
		return 0;
	if (load32(task, OFF_task_struct_state) & TASK_DEAD) /* a zombie: its pid may be another's any moment */
		return 0;
	u32 pid = load32(task, OFF_task_struct_pid), index = pid & (NR_TASK_RECORDS - 1), slot = slot_of_task(task, pid);
	u64 *tasks = slot_tasks.lookup(&slot);
	if (tasks)
		++*tasks;
	struct task_record *record = task_records.lookup(&index);
	u64 queued = load64(task, OFF_task_struct_last_queued);
	if (record && queued == 0)
		seed_record(record, task, pid);
	u64 cfs_rq = load64(task, OFF_task_struct_cfs_rq);
	u64 rq = load64(cfs_rq, OFF_cfs_rq_rq);
	u32 cpu = load32(rq, OFF_rq_cpu);
	u32 scan = SCAN_ROW;
	struct cpu_state *ran = cpu_states.lookup(&cpu), *state = cpu_states.lookup(&scan);
	if (!ran || !state || cpu >= NR_CPUS)
		return 0;
	u64 now = load64(rq, OFF_rq_clock);
	if (load64(rq, OFF_rq_curr) == task)
		seed_runner(ran, cpu, task, pid, rq, now);
	if (ran->attached == 0) /* idle since before the probe came, or whose runner is yet to be visited */
		return 0;
	if (now > ran->clock)
		ran->clock = now;
	/*
	 * An idle CPU's clock stands still, though tasks may wait there for their quota: then it is as late as on the others.
	 * A limit of 5 ms in 500 told windows of 100 ms in which nobody waited, and one in which a task waited for 495.
	 */
	if (now > state->clock)
		state->clock = now;
	else if (ran->runner == IDLE_RUNNER)
		now = state->clock;

	if (!record || queued == 0 || queued >= now)
		return 0;
	u32 of = slot;
	struct slot_stats *stats = slot == SLOT_IDLE ? NULL : stats_of(SCAN_ROW, &of);
	if (!stats)
		return 0;

	struct wait wait = wait_of(task, record, pid, queued, now, ran->attached);
	bool asleep = is_asleep(task);
	if (load64(task, OFF_task_struct_last_queued) != queued) /* it has just arrived, so run_delay holds the wait */
		return 0;
	if (!asleep)
		count_waiting(task, pid, record, &wait, stats, ran, state, cpu, of, cfs_rq, queued, now);
	if (record->pid != pid) { /* a new task that has never run, or one that left before the probe came */
		take_over(record, pid);
		if (wait.is_newcomer)
			stats->newcomers++;
		record->run_delay_ns = load64(task, OFF_task_struct_pcount) ? load64(task, OFF_task_struct_run_delay) : 0;
	}
	if (asleep)
		record->run_delay_ns += wait.total_ns; /* so that its next wait begins here, or when it wakes */
	record->accounted_ns = asleep ? 0 : wait.total_ns;
	record->accounted_until = now;
	return 0;
}
