/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Cells: a cgroup has one on each CPU where it has run. A table has room for any of them (512 bytes a cgroup on 256 CPUs);
 * the cells, of 320 bytes, come from a queue of free ones when a cgroup first runs somewhere: that lock is not on the
 * usual way. The index is looked at each time, so a cell that it has no more is written to by nobody.
 *
 * A cell leaves the index (is detached) when a count in it is nearly full, by the hook, or when it lies idle and few are
 * left, by user space; what it holds stays its cgroup's. It is freed at the next reading. That of SLOT_OTHER is there
 * from the start, and takes the figures of those for whom there is none.
 */

static __always_inline u16 *index_of(u32 row, u32 slot)
{
	u32 at = slot * NR_ROWS + row, in_map = at / INDEX_CELLS;
	struct index_line *line = cell_index.lookup(&in_map);
	return line ? &line->cell[at & (INDEX_CELLS - 1)] : NULL;
}

static __always_inline u32 *owner_of(u32 cell)
{
	u32 group = cell / GROUP_CELLS;
	struct cell_owners *owners = cell_owners.lookup(&group);
	return owners ? &owners->of[cell & (GROUP_CELLS - 1)] : NULL;
}

/* A new cell in the index; NULL: there is none. */
static __always_inline struct slot_stats *claim_cell(u16 *index, u32 row, u32 slot)
{
	u32 cell = 0;
	if (free_cells.pop(&cell))
		return NULL;
	u32 *owner = owner_of(cell);
	struct cell *claimed = cells.lookup(&cell);
	if (!owner || !claimed)
		return NULL;
	__builtin_memset(claimed, 0, sizeof(*claimed));
	barrier();
	*owner = row << 16 | slot;
	*(volatile u16 *)index = cell;
	return &claimed->stats;
}

/* Whose figures go to SLOT_OTHER; that two CPUs tell of two at once and one is forgotten does not matter. */
static __always_inline void tell_crowded(u32 slot)
{
	u32 word = slot / 64;
	u64 *told = crowded_slots.lookup(&word);
	if (told)
		*told |= 1ULL << (slot & 63);
}

/* The figures of a slot on a row that is ours to write, which are SLOT_OTHER's where there is no cell. */
static __always_inline struct slot_stats *stats_of(u32 row, u32 *slot)
{
	u16 *index = index_of(row, *slot);
	if (!index)
		return NULL;
	u32 cell = *index;
	if (__builtin_expect(cell == 0, 0)) { /* out of the way of the usual */
		struct slot_stats *claimed = claim_cell(index, row, *slot);
		if (claimed)
			return claimed;
		tell_crowded(*slot);
		*slot = SLOT_OTHER;
		index = index_of(row, SLOT_OTHER);
		cell = index ? *index : 0;
	}
	return (struct slot_stats *)cells.lookup(&cell);
}

/* The same for a reader; NULL: it has not run there. */
static __always_inline struct slot_stats *known_stats_of(u32 row, u32 slot)
{
	u16 *index = index_of(row, slot);
	u32 cell = index ? *index : 0;
	return cell ? (struct slot_stats *)cells.lookup(&cell) : NULL;
}

/* A count is nearly full: from now on there is another cell. Where there is none, a full count stays as it is. */
static __always_inline void renew_cell(struct slot_stats *stats, u32 row, u32 slot)
{
	u16 *index = index_of(row, slot);
	if (!index)
		return;
	u32 old = *index;
	u32 *owner = owner_of(old);
	struct slot_stats *renewed = claim_cell(index, row, slot);
	if (!renewed || !owner)
		return;
	renewed->throttle_queue = stats->throttle_queue;
	renewed->throttle_seen_ns = stats->throttle_seen_ns;
	renewed->throttle_start = stats->throttle_start;
	renewed->throttle_end = stats->throttle_end;
	barrier();
	*owner |= DETACHED;
}
