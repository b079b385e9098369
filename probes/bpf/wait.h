/* SPDX-License-Identifier: GPL-2.0-only */
/* One wait, from the departure of a task to its next arrival, and where its time goes. */

/* How long the task has waited since it left a CPU, or 0 with nothing counted yet if that was not seen. */
struct wait {
	u64 total_ns;   /* including waits on CPUs it was moved away from */
	u64 accounted_ns; /* of that, what was counted before, or passed before the probe was there */
	u64 from;       /* start of the part on this CPU that is not counted yet */
	u32 preempted;
	bool is_newcomer; /* it has never run, and was not seen before */
};

/* The record was another task's: its pid is the same in the last 16 bits, or was given again. */
static __always_inline void take_over(struct task_record *record, u32 pid)
{
	record->pid = pid;
	record->involuntary = 0;
	record->throttle_queue = 0;
	record->run_delay_ns = record->accounted_ns = record->accounted_until = 0;
}

/*
 * Whether a record is of this task's, which has waited for `run_delay_ns` in all. A pid is given again, to a task whose
 * run_delay begins anew: in a minute of fork storm on 32,768 pids that made a wait of -8 s, which is 2^64 ns.
 */
static __always_inline bool matches(struct task_record *record, u32 pid, u64 run_delay_ns)
{
	return record->pid == pid && (s64)(run_delay_ns - record->run_delay_ns) >= 0;
}

/*
 * run_delay grows on arrival, and when a waiting task is moved to another CPU (sched_info_dequeue(),
 * kernel/sched/stats.h); its growth since the departure is therefore the wait spent on other CPUs.
 */
static __always_inline struct wait wait_of(u64 task, struct task_record *record, u32 pid, u64 queued, u64 now, u64 attached)
{
	struct wait wait = {.total_ns = now - queued, .from = queued};
	u64 run_delay_ns = load64(task, OFF_task_struct_run_delay);
	if (matches(record, pid, run_delay_ns + wait.total_ns)) {
		wait.total_ns += run_delay_ns - record->run_delay_ns;
		wait.accounted_ns = record->accounted_ns;
		wait.preempted = record->involuntary;
		if (record->accounted_until > wait.from)
			wait.from = record->accounted_until;
	} else if (load64(task, OFF_task_struct_pcount) == 0) {
		wait.total_ns += run_delay_ns; /* a new task: all its waiting is this wait */
		wait.is_newcomer = 1;
	}
	if (attached > wait.from) { /* it waited before the probe was there: that part is not ours to count */
		u64 unseen_ns = saturating_sub(wait.total_ns, saturating_sub(now, attached));
		if (unseen_ns > wait.accounted_ns)
			wait.accounted_ns = unseen_ns;
		wait.from = attached;
	}
	return wait;
}

/* A cfs_rq in 32 bits, to be told from another: the same only of those whose addresses lie whole 256 GiB apart. */
static __always_inline u32 queue_id(struct cpu_state *state, u64 cfs_rq) { return number_of(state, cfs_rq) >> 6; }

/*
 * The last throttled episode on this CPU. The kernel keeps, per cfs_rq, the total time that it was
 * throttled, by its own or an ancestor's quota, with tasks queued (throttled_clock_self_time, 677ea015f231; older
 * kernels: throttled_clock_pelt_time); when it has grown, an episode has ended since this slot last ran here. It
 * began when the slot left the CPU throttled, else (woken while throttled) when its first waiter was queued.
 */
static __always_inline void update_throttle(struct slot_stats *stats, struct cpu_state *state, u64 cfs_rq, u64 queued)
{
	u64 seen_ns = load64(cfs_rq, OFF_cfs_rq_throttled_time);
	if (stats->throttle_queue != queue_id(state, cfs_rq)) {
		stats->throttle_queue = queue_id(state, cfs_rq);
		stats->throttle_start = stats->throttle_end = 0;
	} else if (stats->throttle_seen_ns != seen_ns) {
		if (stats->throttle_start == 0 || stats->throttle_end != 0)
			stats->throttle_start = queued;
		stats->throttle_end = stats->throttle_start + (seen_ns - stats->throttle_seen_ns);
	} else {
		return;
	}
	stats->throttle_seen_ns = seen_ns;
}

/* A task left the CPU because the quota is used up: an episode has begun, unless another task began it before. */
static __always_inline void begin_throttle(struct slot_stats *stats, struct cpu_state *state, u64 cfs_rq, u64 now)
{
	if (stats->throttle_queue == queue_id(state, cfs_rq) && stats->throttle_start && !stats->throttle_end)
		return;
	u64 start = 0;
#ifdef OFF_cfs_rq_throttled_since
	start = load64(cfs_rq, OFF_cfs_rq_throttled_since);
#endif
	stats->throttle_queue = queue_id(state, cfs_rq);
	stats->throttle_seen_ns = load64(cfs_rq, OFF_cfs_rq_throttled_time);
	stats->throttle_start = start ? start : now;
	stats->throttle_end = 0;
}

/* The end of the last episode, for a reader on another CPU: it may have ended since this slot last ran. */
static __always_inline u64 throttle_end(struct slot_stats *stats, struct cpu_state *state, u64 cfs_rq)
{
	if (stats->throttle_queue != queue_id(state, cfs_rq))
		return 0;
	if (stats->throttle_end)
		return stats->throttle_end;
	return stats->throttle_start + (load64(cfs_rq, OFF_cfs_rq_throttled_time) - stats->throttle_seen_ns);
}

/*
 * A wait may hold several episodes, where more tasks share a quota than get a turn in one period: three spinners on
 * 30 ms per 100 ms lost 30 % of their throttled time on a 5.10 guest. How long they were in all, the kernel's account
 * tells, and where the earlier ones lay does not matter to the sum: returns where one of that length would have begun.
 */
static __always_inline u64 throttled_from(struct task_record *record, u32 pid, u64 cfs_rq, u64 throttled_ns, u64 from, u64 to)
{
	if (record->pid != pid || record->throttle_queue != cfs_rq || to == 0)
		return from;
	u64 all_ns = saturating_sub(throttled_ns, record->throttled_ns);
	return all_ns > to - from ? saturating_sub(to, all_ns) : from;
}

/* The throttled time in a wait that ended on this CPU and began at `from`: [from, to), both 0 where there was none. */
struct throttled_span {
	u64 from, to;
};

#if HAVE_THROTTLING
static __always_inline struct throttled_span throttled_in(struct slot_stats *stats, struct cpu_state *state, struct task_record *record, u32 pid, u64 cfs_rq,
						 u64 queued, u64 from)
{
	struct throttled_span span = {0, 0};
	update_throttle(stats, state, cfs_rq, queued);
	if (stats->throttle_end > from) {
		span.to = stats->throttle_end;
		span.from = throttled_from(record, pid, cfs_rq, stats->throttle_seen_ns, stats->throttle_start, span.to);
	}
	return span;
}
#else
static __always_inline struct throttled_span throttled_in(struct slot_stats *stats, struct cpu_state *state, struct task_record *record, u32 pid, u64 cfs_rq,
						 u64 queued, u64 from)
{
	return (struct throttled_span){0, 0};
}
#endif

/*
 * A task has come: run_delay is this until it waits again. Kept now and not when it leaves, so that a wait between two
 * switches that the kernel made without calling the hook is not lost but in the task's next one.
 */
static __always_inline void remember(struct task_record *record, u32 pid, u64 run_delay_ns)
{
	if (record->pid != pid)
		take_over(record, pid);
	record->run_delay_ns = run_delay_ns;
	record->accounted_ns = 0;
	record->accounted_until = 0;
}

/* log2 with four linear steps per octave, from 256 ns; the last bucket is open (from 7.5 s). */
static __always_inline u32 bucket_of(u64 wait_ns)
{
	u64 v = wait_ns >> 8;
	if (v < 4)
		return v;
	if (v >= 7ULL << 22)
		return NR_BUCKETS - 1;
	u32 w = v, log2 = 0, step;
	step = (w > 0xFFFF) << 4; w >>= step; log2 = step;
	step = (w > 0xFF) << 3; w >>= step; log2 |= step;
	step = (w > 0xF) << 2; w >>= step; log2 |= step;
	step = (w > 0x3) << 1; w >>= step; log2 |= step;
	log2 |= w >> 1;
	return (log2 - 1) * 4 + (((u32)v >> (log2 - 2)) & 3);
}
