/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * An iterator over the words of one row's claimed_pairs, run for each row at each reading: writes down which pairs
 * have grown since the last run, and by how much, and frees those of removed cgroups. Of 25,000 places some 10,000
 * grow in a second on a host where 200 cgroups wait for one another: 1 ms here for all rows, where Python took 15.
 *
 * It runs beside the switch hook, which only ever adds: what it misses of a pair is in the next run.
 */

static __always_inline bool is_doomed(u32 slot)
{
	u32 word = slot / 64;
	u64 *doomed = doomed_slots.lookup(&word);
	return doomed && *doomed >> (slot & 63) & 1;
}

static __always_inline void take_growth(struct growth *growth, struct pair *pair, struct taken *taken, u32 key)
{
	u64 wait_ns = *(volatile u64 *)&pair->wait_ns;
	u32 preemptions = *(volatile u32 *)&pair->preemptions, place = growth->records;
	if (wait_ns == taken->wait_ns && preemptions == taken->preemptions)
		return;
	struct pair *record = grown_pairs.lookup(&place);
	if (!record)
		return;
	record->key = key;
	record->preemptions = preemptions - taken->preemptions;
	record->wait_ns = wait_ns - taken->wait_ns;
	taken->preemptions = preemptions;
	taken->wait_ns = wait_ns;
	growth->records = place + 1;
}

/* The key goes last: by it the switch hook sees that the place is free. */
static __always_inline void free_pair(struct pair *pair, struct taken *taken)
{
	taken->wait_ns = pair->wait_ns = 0;
	taken->preemptions = pair->preemptions = 0;
	barrier();
	pair->key = 0;
}

int on_claimed(u64 *ctx)
{
	u32 *word = (u32 *)ctx[2]; /* struct bpf_iter__bpf_map_elem: meta, map, key, value */
	u32 zero = 0;
	struct growth *growth = growths.lookup(&zero);
	if (!word || !growth)
		return 0;
	u32 in_map = growth->row * CLAIMED_WORDS + *word;
	u64 *claimed = claimed_pairs.lookup(&in_map);
	if (!claimed || *claimed == 0)
		return 0;
	u64 places = *claimed;
#pragma clang loop unroll(disable)
	for (u32 i = 0; i < 64; i++) {
		u32 index = in_map * (64 / PAIR_WAYS) + i / PAIR_WAYS, way = i % PAIR_WAYS;
		if (!(places >> i & 1))
			continue;
		struct pair_bucket *bucket = pair_buckets.lookup(&index);
		struct taken_bucket *taken = taken_buckets.lookup(&index);
		u32 key = bucket ? *(volatile u32 *)&bucket->way[way].key : 0;
		if (!taken || key == 0)
			continue;
		take_growth(growth, &bucket->way[way], &taken->way[way], key);
		if (growth->dooms && (is_doomed(key >> 16) || is_doomed(key & 0xFFFF)))
			free_pair(&bucket->way[way], &taken->way[way]);
	}
	return 0;
}
