/* SPDX-License-Identifier: GPL-2.0-only */
/* From a task to the slot its figures go to. */

static __always_inline u32 slot_bucket_of(u64 key) { return (key * 0x9E3779B97F4A7C15ULL) >> SLOT_BUCKET_SHIFT; }

#if IDENTITY_V2 && IDENTITY_V1
/* Whether v2 has no cgroup of this v1 cgroup's path, so that it tells more of its tasks than theirs of v2. */
static __always_inline bool tells_more(u64 key_v1)
{
	u32 index = slot_bucket_of(key_v1);
	struct slot_bucket *bucket = slot_buckets.lookup(&index);
	if (!bucket)
		return 0;
#pragma unroll
	for (int i = 0; i < SLOT_WAYS; i++)
		if (bucket->way[i].key == key_v1)
			return (bucket->way[i].slot & TELLS_MORE) != 0;
	return 0;
}
#endif

/*
 * A task's cgroup: its v2 cgroup; on hosts whose cpu controller is on v1, its v1 cpu cgroup when it sits in the root of
 * v2 (or there is no v2), or when that tells more. Containers of older runtimes are all in their daemon's v2 cgroup, and
 * each in a v1 cgroup of its own; units of systemd are in a v2 cgroup of their own, and in v1 in that or in one above it.
 */
static __always_inline u64 cgroup_key(u64 task)
{
	u64 css_set = load64(task, OFF_task_struct_cgroups);
#if IDENTITY_V2 && IDENTITY_V1
	u64 v2 = key_v2(css_set), v1 = key_v1(css_set);
	return v2 == ROOT_KEY_V2 || tells_more(v1) ? v1 : v2;
#elif IDENTITY_V2
	return key_v2(css_set);
#else
	return key_v1(css_set);
#endif
}

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

/* An address as a number to reckon with: a typed pointer is none to the verifier until it is read back. */
static __always_inline u64 number_of(struct cpu_state *state, u64 address)
{
	*(volatile u64 *)&state->scratch = address;
	return *(volatile u64 *)&state->scratch;
}

/*
 * The same, remembered from the last time: four cold cache lines less. A css_set stands for the same cgroups while it
 * lives, and a task that has not died keeps its own alive; the address is used again only after tasks were moved or
 * cgroups made or removed, which `generation` counts.
 */
static __always_inline u32 slot_of_next(struct cpu_state *state, u64 task, u32 pid)
{
	if (pid == 0)
		return SLOT_IDLE;
	if (load32(task, OFF_task_struct_flags) & PF_KTHREAD)
		return SLOT_KERNEL;
	u32 zero = 0, index = pid & (NR_TASK_RECORDS - 1);
	volatile struct lifecycle *cycle = lifecycle.lookup(&zero);
	volatile struct task_record *known = task_records.lookup(&index);
	if (!cycle || !known)
		return SLOT_OTHER;
	u64 css_set = number_of(state, load64(task, OFF_task_struct_cgroups)) << 16, generation = cycle->changes + cycle->assigned;
	if (known->generation == generation) {
		u64 css_set_slot = known->css_set_slot;
		if ((css_set_slot ^ css_set) <= 0xFFFF)
			return css_set_slot & 0xFFFF;
	}
	u32 slot = slot_of_key(cgroup_key(task));
	known->css_set_slot = css_set | slot;
	known->generation = generation;
	return slot;
}
