/* SPDX-License-Identifier: GPL-2.0-only */
/* A wait is charged, by overlap in time, to everyone who ran on that CPU while the victim waited. */

/* 1 unless x is 0. In arithmetic, hidden from the compiler: each branch costs the verifier a state per slice. */
static __always_inline u64 is_set(u32 x)
{
	u64 wide = x;
	asm volatile("" : "+r"(wide));
	return -wide >> 63;
}

static __always_inline u64 holds_another(struct pair *pair, u32 key) { return is_set(pair->key) & is_set(pair->key ^ key); }

/*
 * The pair's place: the first in its bucket of four that is free or its own; NULL when there is none. After others
 * were freed a pair may have two places: user space adds them up.
 */
static __always_inline struct pair *pair_of(u32 row_index, u32 victim, u32 aggressor)
{
	u32 key = victim << 16 | aggressor;
	/* A victim's pairs lie side by side, two in a bucket: one page holds 128 of them, and one hash would spread them. */
	u32 in_row = ((victim * 0x9E3779B1U >> PAIR_BUCKET_SHIFT) + (aggressor >> 1)) & (NR_PAIR_BUCKETS - 1);
	u32 index = row_index * NR_PAIR_BUCKETS + in_row;
	struct pair_bucket *bucket = pair_buckets.lookup(&index);
	if (!bucket)
		return NULL;
	u64 not_0 = holds_another(&bucket->way[0], key), not_1 = not_0 & holds_another(&bucket->way[1], key);
	u64 not_2 = not_1 & holds_another(&bucket->way[2], key), not_3 = not_2 & holds_another(&bucket->way[3], key);
	u64 way = not_0 + not_1 + not_2 + not_3;
	if (way >= PAIR_WAYS)
		return NULL;
	struct pair *pair = &bucket->way[way];
	if (pair->key == 0) {
		u32 place = in_row * PAIR_WAYS + way, word = row_index * CLAIMED_WORDS + place / 64;
		u64 *claimed = claimed_pairs.lookup(&word);
		if (!claimed)
			return NULL;
		/* free_pair() on another CPU may have come between this CPU's reading of the old total and its writing. */
		pair->wait_ns = 0;
		pair->preemptions = 0;
		barrier();
		pair->key = key;
		*claimed |= 1ULL << (place & 63);
	}
	return pair;
}

/*
 * How long before a moment a slice began, as its start is kept: << 16, and signed. What comes of it is hidden from the
 * verifier by number_of(): its ranges kept states apart, for 400 instead of 160 ms of on_task.
 */
static __always_inline s64 since_start(u64 start_slot, u64 moment) { return (moment << 16 | 0xFFFF) - start_slot; }

/* All bits of a slice that there was, none of one that there was not. */
static __always_inline u64 if_there(u64 start_slot) { return (s64)(start_slot | -start_slot) >> 63; }

/* When it began, by a moment that is near it; 0 where there was none. */
static __always_inline u64 start_of(struct cpu_state *state, u64 start_slot, u64 near)
{
	return number_of(state, (near - (since_start(start_slot, near) >> 16)) & if_there(start_slot));
}

static __always_inline u32 slot_in(u64 start_slot) { return start_slot & 0xFFFF; }

static __always_inline struct slice *slice_of(u32 row_index, u32 place)
{
	u32 index = row_index * NR_SLICES + (place & (NR_SLICES - 1));
	return slices.lookup(&index);
}

/* The slice is written before `head` says so: the wait scan reads the rings of other CPUs. */
static __always_inline void push_label(struct cpu_state *state, u32 cpu, u64 start, u32 slot)
{
	struct slice *slice = slice_of(cpu, state->head + 1);
	if (slice)
		slice->start_slot = start << 16 | slot;
	barrier();
	state->head++;
}

static __always_inline void push_slice(struct cpu_state *state, u32 cpu, u64 start, u32 slot)
{
	push_label(state, cpu, start, slot);
	state->slot = slot;
}

static __always_inline void charge(u32 row_index, struct slot_stats *victim, u32 victim_slot, u32 slot, u64 ns)
{
	if (slot == victim_slot) {
		victim->self_ns += ns;
	} else if (slot == SLOT_IDLE) {
		victim->wakeup_ns += ns;
	} else {
		struct pair *pair = pair_of(row_index, victim_slot, slot);
		if (pair)
			pair->wait_ns += ns;
		else
			victim->rest_ns += ns;
	}
}

/* Clocks of two CPUs may differ by a little: never below 0. */
static __always_inline u64 saturating_sub(u64 a, u64 b) { return a > b ? a - b : 0; }

/* Length of the part of [from, to) inside [low, high). */
static __always_inline u64 overlap(u64 from, u64 to, u64 low, u64 high)
{
	u64 start = from > low ? from : low;
	u64 end = to < high ? to : high;
	return saturating_sub(end, start);
}

/*
 * Who ran on `cpu` at a moment, by bisection: the ring is ordered by time, the newest (`head`) first. NULL when
 * that is older than the ring. Unless `is_far`, it is among the NEAR_SLICES newest: no cache holds the others.
 */
static __always_inline struct slice *slice_at(u32 cpu, u32 head, u64 moment, bool is_far)
{
	u64 newer = 0; /* slices that began after it */
#pragma unroll
	for (u32 step = NR_SLICES / 2; step; step >>= 1) {
		if (step >= NEAR_SLICES && !is_far)
			continue;
		struct slice *slice = slice_of(cpu, head - (newer + step - 1));
		if (!slice)
			return NULL;
		s64 is_newer = since_start(slice->start_slot, moment) & if_there(slice->start_slot);
		asm volatile("" : "+r"(is_newer)); /* as in is_set() */
		newer += is_newer >> 63 & step;
	}
	struct slice *slice = slice_of(cpu, head - newer);
	return slice && slice->start_slot && since_start(slice->start_slot, moment) >= 0 ? slice : NULL;
}

/*
 * How much work a wait is worth: what must not take long is short. A slice takes 25 to 85 ns, a draw 100 and more. A wait
 * behind no more slices than the first is charged by them all; of another's, the newest few, and draws for the rest.
 */
static __always_inline u32 at_most(u64 count, u32 limit) { return count < limit ? count : limit; }
static __always_inline u32 slices_if_all(u64 wait_ns) { return at_most(6 + (wait_ns >> 19), NR_EXACT); }
static __always_inline u32 slices_to_walk(u64 wait_ns) { return at_most(wait_ns >> 21, NR_EXACT); }
static __always_inline u32 slices_to_draw(u64 wait_ns) { return at_most(1 + (wait_ns >> 21), NR_SAMPLES); }

/*
 * Charges what is left of a walk to those who ran at some moments in it, the first at random and the others at equal
 * distances: an equal part each. So a slice is drawn as often as it is long, and the parts add up.
 */
static __always_inline void charge_sampled(u32 cpu, u32 head, struct cpu_state *state, volatile struct walk *walk, u32 row_index,
					   struct slot_stats *victim, u32 victim_slot)
{
	u64 from = walk->from, end = walk->end, span_from = walk->span_from, span_to = walk->span_to;
	if (span_from < from)
		span_from = from;
	walk->span_from = span_from;
	u64 span_ns = saturating_sub(span_to < end ? span_to : end, span_from), left_ns = saturating_sub(end, from + span_ns);
	u32 samples = slices_to_draw(left_ns);
	u64 part_ns = left_ns / samples, seed = end + victim->sampled_ns; /* a clock's last bits are as good as random */
	victim->sampled_ns += left_ns;
	walk->span_to = span_ns;
	walk->end = part_ns;
	walk->from = from + (part_ns * (seed * 0x9E3779B97F4A7C15ULL >> 48) >> 16);
	u64 ns = left_ns - part_ns * (samples - 1);
	walk->most = samples;
	struct slice *farthest = slice_of(cpu, head - (NEAR_SLICES - 1));
	if (!farthest)
		return;
	bool is_far = start_of(state, farthest->start_slot, from) > from;
#pragma clang loop unroll(disable)
	for (u32 i = 0; i < NR_SAMPLES && i < walk->most; i++) {
		u64 moment = walk->from;
		walk->from = moment + walk->end;
		if (moment >= walk->span_from)
			moment += walk->span_to;
		struct slice *slice = slice_at(cpu, head, moment, is_far);
		if (slice)
			charge(row_index, victim, victim_slot, number_of(state, slot_in(slice->start_slot)), ns);
		else
			victim->unattributed_ns += ns;
		ns = walk->end;
	}
}

/*
 * Charges [from, to), less the victim's throttled episode [span_from, span_to), by the slices of `cpu`, newest
 * (`head`) first, into row `row_index` (that CPU's own, but for the wait scan): one by one as many as the wait is worth, what is
 * before them by a sample. Walking a run queue of 200 cgroups that run 12 us each would add 3,600 ns to each switch.
 *
 * The bounds live in `state`, not in registers: reloaded in each round they are unknown numbers again, so the
 * verifier's states meet at the head of the loop.
 */
static __always_inline void charge_slices(u32 cpu, u32 head, struct cpu_state *state, u32 row_index, struct slot_stats *victim,
					  u32 victim_slot, u64 from, u64 to, u64 span_from, u64 span_to)
{
	volatile struct walk *walk = &state->walk;
	walk->from = from;
	walk->end = to;
	walk->span_from = span_from;
	walk->span_to = span_to;
	u32 all = slices_if_all(to - from);
	struct slice *oldest = slice_of(cpu, head - (all - 1));
	if (!oldest)
		return;
	walk->most = start_of(state, oldest->start_slot, from) > from ? slices_to_walk(to - from) : all;
#pragma clang loop unroll(disable)
	for (u32 i = 0; i < NR_EXACT && i < walk->most; i++) {
		struct slice *slice = slice_of(cpu, head - i);
		if (!slice)
			return;
		u64 start_slot = slice->start_slot, low = walk->from, end = walk->end;
		u64 start = start_of(state, start_slot, low);
		bool last = start <= low;
		if (!last)
			low = start;
		if (low < end) {
			u64 ns = end - low - overlap(low, end, walk->span_from, walk->span_to);
			if (start)
				charge(row_index, victim, victim_slot, number_of(state, slot_in(start_slot)), ns);
			else
				victim->unattributed_ns += ns;
			walk->end = low;
		}
		if (last)
			return;
	}
	charge_sampled(cpu, head, state, walk, row_index, victim, victim_slot);
}
