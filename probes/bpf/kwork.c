/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * workqueue_queue_work, workqueue_execute_start, workqueue_execute_end: what a kernel worker does for somebody is in
 * the ring as theirs, so that who waits behind it is told of them. Filling a terminal makes 11 ms of work for a worker
 * (flush_to_ldisc) in each ms of one's own. What a worker runs stays the kernel's, as in the kernel's books.
 *
 * Work is theirs in whose system call it was queued: a timer's or an interrupt's is the kernel's. Work that is queued
 * by such work is theirs as well.
 */

/* Work that waits, by its address: address << 16 | slot; one that was pushed out is the kernel's. */
BPF_F_TABLE("array", u32, u64, queued_work, NR_QUEUED_WORK, 0);

struct work_cpu {
	u64 queued, began; /* scratch, one of each hook's: read back they are numbers, no typed pointers */
	struct timing timing;
	u64 unused[2];
} __attribute__((aligned(64)));
BPF_F_TABLE("array", u32, struct work_cpu, work_cpus, NR_CPUS, BPF_F_MMAPABLE);

/* Whom the worker of this pid works for; it may have slept, or lost the CPU, in the middle. */
static __always_inline u32 works_for(u32 pid)
{
	u32 zero = 0, index = pid & (NR_TASK_RECORDS - 1);
	volatile struct lifecycle *cycle = lifecycle.lookup(&zero);
	volatile struct task_record *record = task_records.lookup(&index);
	if (!cycle || !record)
		return SLOT_KERNEL;
	u64 pid_slot = record->css_set_slot; /* of a kernel thread, which has no use for it: pid << 16 | slot */
	return pid_slot >> 16 == pid && record->generation == cycle->assigned ? pid_slot & 0xFFFF : SLOT_KERNEL;
}

#if HAVE_WORK
#define THREAD_BYTES 16384 /* THREAD_SIZE of x86-64 and arm64 */

/* Whether a hook runs on the stack of the CPU's task, where its arguments are: interrupts have one of their own. */
static __always_inline bool is_task_context(u64 *ctx, volatile u64 *scratch)
{
	*scratch = (u64)ctx;
	u64 here = *scratch;
	return here - peek64(bpf_get_current_task() + OFF_task_struct_stack) < THREAD_BYTES;
}

/*
 * Whether a task that is no kernel thread is in a system call. On x86 an interrupt that finds it in its own code is
 * handled on its stack (call_on_irqstack_cond()): one spinner was told 0.8 ms of work in a second.
 */
static __always_inline bool is_system_call(void)
{
#ifdef OFF_pt_regs_orig_ax
	return (s64)load64(bpf_task_pt_regs((void *)bpf_get_current_task_btf()), OFF_pt_regs_orig_ax) >= 0;
#else
	return 1;
#endif
}

static __always_inline u64 *place_of_work(u64 work)
{
	u32 index = (work * 0x9E3779B97F4A7C15ULL) >> QUEUED_WORK_SHIFT;
	return queued_work.lookup(&index);
}

int on_work_queue(u64 *ctx)
{
	u32 cpu = bpf_get_smp_processor_id();
	struct cpu_state *state = cpu_states.lookup(&cpu);
	struct work_cpu *mine = work_cpus.lookup(&cpu);
	if (!state || !mine || state->attached == 0 || state->shed & SHED_BLAME)
		return 0;
	begin_timing(&mine->timing);
	*(volatile u64 *)&mine->queued = ctx[ARG_WORK];
	u64 work = *(volatile u64 *)&mine->queued;
	struct slice *slice = slice_of(cpu, state->head);
	u64 *place = place_of_work(work);
	if (!slice || !place)
		return 0;
	u64 slot = slot_in(slice->start_slot);
	if (slot > SLOT_KERNEL && is_task_context(ctx, &mine->queued) && (state->slot == SLOT_KERNEL || is_system_call()))
		*place = work << 16 | slot;
	else if (*place >> 16 == work << 16 >> 16)
		*place = 0;
	end_timing(&mine->timing);
	return 0;
}

/* The clock of the run queue, which stands still between its updates, by the clock that does not. */
static __always_inline u64 clock_now(struct cpu_state *state)
{
	u64 now = bpf_ktime_get_ns() - state->clock_offset;
	return state->clock_offset && (s64)(now - state->since) > 0 ? now : state->since;
}

static __always_inline void work_begins(struct cpu_state *state, u32 cpu, u32 slot)
{
	u32 zero = 0, pid = state->runner - 1, index = pid & (NR_TASK_RECORDS - 1);
	struct task_record *record = task_records.lookup(&index);
	struct lifecycle *cycle = lifecycle.lookup(&zero);
	struct slice *slice = slice_of(cpu, state->head);
	if (!record || !cycle || !slice || record->pid != pid)
		return;
	record->css_set_slot = slot == SLOT_KERNEL ? 0 : (u64)pid << 16 | slot;
	record->generation = cycle->assigned;
	if (slot_in(slice->start_slot) != slot)
		push_label(state, cpu, clock_now(state), slot);
}

int on_work_start(u64 *ctx)
{
	u32 cpu = bpf_get_smp_processor_id();
	struct cpu_state *state = cpu_states.lookup(&cpu);
	struct work_cpu *mine = work_cpus.lookup(&cpu);
	if (!state || !mine || cpu >= NR_CPUS || state->slot != SLOT_KERNEL)
		return 0;
	begin_timing(&mine->timing);
	*(volatile u64 *)&mine->began = ctx[0];
	u64 work = *(volatile u64 *)&mine->began;
	struct slice *slice = slice_of(cpu, state->head);
	u64 *place = place_of_work(work), slot = SLOT_KERNEL;
	if (!slice || !place)
		return 0;
	if (*place >> 16 == work << 16 >> 16) {
		slot = *place & 0xFFFF;
		*place = 0;
	}
	if ((slot != SLOT_KERNEL || slot_in(slice->start_slot) != SLOT_KERNEL) && is_task_context(ctx, &mine->began))
		work_begins(state, cpu, slot);
	end_timing(&mine->timing);
	return 0;
}

/* Its time until the next begins, or until it leaves the CPU, is a microsecond, and no slice of its own. */
int on_work_end(u64 *ctx)
{
	u32 cpu = bpf_get_smp_processor_id();
	struct cpu_state *state = cpu_states.lookup(&cpu);
	if (!state || state->slot != SLOT_KERNEL)
		return 0;
	u32 pid = state->runner - 1, index = pid & (NR_TASK_RECORDS - 1);
	struct task_record *record = task_records.lookup(&index);
	if (record && record->css_set_slot >> 16 == pid)
		record->css_set_slot = 0;
	return 0;
}
#endif
