/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Run at a reading for one group of cells after the other: adds up what each cgroup has in all its cells. 64,000 of them
 * (1,000 cgroups that ran on 64 CPUs) take some milliseconds here, and half a second in Python.
 *
 * Attached to nothing: user space runs it with BPF_PROG_TEST_RUN, as many times as there are groups, in one system call.
 * Map iterators (bpf_iter_bpf_map_elem), made for this, are refused by kernels of some providers.
 */

static __always_inline bool is_pending_free(u32 slot)
{
	u32 word = slot / 64;
	u64 *pending_free = pending_free_slots.lookup(&word);
	return pending_free && *pending_free >> (slot & 63) & 1;
}

/* A copy of a cell, with the slice in progress; whether that CPU's hook kept out of it. */
static __always_inline bool copy_once(struct slot_stats *copy, struct slot_stats *stats, volatile struct cpu_state *state, u32 slot)
{
	u64 settled = state->settled, switches = state->switches;
	barrier();
	*copy = *stats;
	barrier();
	u64 since = state->since, clock = state->clock;
	if (state->slot == slot && clock > since)
		copy->run_ns += clock - since;
	barrier();
	return settled == switches && state->switches == switches;
}

/*
 * From one moment. It takes some 20 ns, so that nothing but a reader that lost its CPU in between needs the second. No
 * loop: the compiler lays its head behind a fall-through, which until 6.1 at least is "back-edge" to the verifier.
 */
static __always_inline void copy_cell(struct slot_stats *copy, struct slot_stats *stats, volatile struct cpu_state *state, u32 slot)
{
	if (!copy_once(copy, stats, state, slot) && !copy_once(copy, stats, state, slot))
		copy_once(copy, stats, state, slot);
}

static __always_inline void add_up(u32 first_slot, u32 row, u32 slot, struct cell *cell)
{
	u32 place = slot - first_slot, zero = 0;
	struct slot_sums *sums = slot_sums.lookup(&place);
	struct cpu_state *state = cpu_states.lookup(&row);
	struct slot_stats *copy = cell_copies.lookup(&zero);
	if (!sums || !state || !copy)
		return;
	copy_cell(copy, &cell->stats, state, slot);
	u64 *times = &copy->run_ns, *rare = &copy->throttled_ns;
	u32 *counts = &copy->switches_in;
#pragma unroll
	for (int i = 0; i < 6; i++)
		sums->times[i] += times[i];
#pragma unroll
	for (int i = 0; i < 4; i++)
		sums->counts[i] += counts[i];
#pragma unroll
	for (int i = 0; i < 4; i++)
		sums->rare[i] += rare[i];
	sums->rare[4] += copy->newcomers;
#pragma unroll
	for (int i = 0; i < NR_BUCKETS; i++)
		sums->histogram[i] += copy->histogram[i];
#if NR_COUNTERS
#pragma unroll
	for (int i = 0; i < NR_COUNTERS; i++) {
		sums->counters[i].value += cell->counters[i].value;
		sums->counters[i].enabled_ns += cell->counters[i].enabled_ns;
		sums->counters[i].running_ns += cell->counters[i].running_ns;
	}
#endif
}

/* The index no longer has it; the hook of its CPU may be about to write to it for the last time. */
static __always_inline void detach_idle(u32 cell, u32 *owner, struct slot_stats *stats, u32 *mark)
{
	u32 row = *owner >> 16, slot = *owner & 0xFFFF;
	u32 now = (u32)stats->run_ns + (u32)stats->wait_ns + stats->switches_in + 1;
	u32 before = *mark;
	*mark = now;
	struct cpu_state *state = cpu_states.lookup(&row);
	u16 *index = index_of(row, slot);
	if (before != now || !state || state->slot == slot || !index || *index != cell)
		return;
	*(volatile u16 *)index = 0;
	*owner |= DETACHED;
}

static __always_inline void free_cell(u32 cell, u32 *owner)
{
	u16 *index = index_of(*owner >> 16 & 0x7FFF, *owner & 0xFFFF);
	if (index && *index == cell)
		*(volatile u16 *)index = 0;
	*owner = 0;
	free_cells.push(&cell, 0);
}

int on_cell(u64 *ctx)
{
	u32 zero = 0;
	volatile struct cell_walk *walk = cell_walks.lookup(&zero);
	if (!walk)
		return 0;
	u32 in_map = walk->next++;
	struct cell_owners *owners = cell_owners.lookup(&in_map);
	struct cell_marks *marks = cell_marks.lookup(&in_map);
	if (!owners || !marks)
		return 0;
#pragma clang loop unroll(disable)
	for (u32 i = 0; i < GROUP_CELLS; i++) {
		u32 cell = in_map * GROUP_CELLS + i, owner = *(volatile u32 *)&owners->of[i];
		if (walk->mode == WALK_OFFER) {
			if (owner == 0 && cell > NR_ROWS)
				free_cells.push(&cell, 0);
			continue;
		}
		if (owner == 0)
			continue;
		u32 slot = owner & 0xFFFF, row = owner >> 16 & 0x7FFF;
		walk->owned++;
		if (owner & DETACHED)
			walk->detached++;
		if (walk->mode == WALK_FREE) {
			if (is_pending_free(slot))
				free_cell(cell, &owners->of[i]);
			continue;
		}
		if (walk->mode != WALK_DETACH && slot - walk->first_slot >= NR_SUMS)
			continue;
		struct cell *held = cells.lookup(&cell);
		if (!held)
			continue;
		if (walk->mode == WALK_DETACH) {
			if (!(owner & DETACHED) && slot != SLOT_OTHER)
				detach_idle(cell, &owners->of[i], &held->stats, &marks->of[i]);
		} else {
			if (walk->mode == WALK_SUM || owner & DETACHED)
				add_up(walk->first_slot, row, slot, held);
			if (walk->mode == WALK_RETIRE && owner & DETACHED)
				free_cell(cell, &owners->of[i]);
		}
	}
	return 0;
}
