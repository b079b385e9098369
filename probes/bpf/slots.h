/* SPDX-License-Identifier: GPL-2.0-only */
/* From a task to the slot its figures go to. */

static __always_inline u32 slot_bucket_of(u64 key) { return (key * 0x9E3779B97F4A7C15ULL) >> SLOT_BUCKET_SHIFT; }

static __always_inline u32 slot_of_key(u64 key)
{
	u32 index = slot_bucket_of(key);
	struct slot_bucket *bucket = slot_buckets.lookup(&index);
	if (!bucket)
		return SLOT_OTHER;
#pragma unroll
	for (int i = 0; i < SLOT_WAYS; i++)
		if (bucket->way[i].key == key)
			return bucket->way[i].slot;
	return SLOT_OTHER;
}

static __always_inline u32 slot_of_task(u64 task, u32 pid)
{
	if (pid == 0)
		return SLOT_IDLE;
	if (load32(task, OFF_task_struct_flags) & PF_KTHREAD)
		return SLOT_KERNEL;
	return slot_of_key(cgroup_key(task));
}

static __always_inline struct slot_stats *stats_of(u32 row, u32 slot)
{
	u32 index = row * NR_SLOTS + slot;
	return slot_stats.lookup(&index);
}
