/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * cgroup_mkdir and cgroup_rmdir: a new cgroup gets a slot before its first task runs, and a removed one is
 * reported, so that its figures are read once more before user space frees the slot. Both fire under
 * cgroup_mutex, so neither needs a lock. A kernfs id is never given twice, so a reused directory name or inode
 * cannot inherit history.
 */

/* The cgroup's key in the hierarchy that identifies cgroups on this host; 0 in any other hierarchy. */
static __always_inline u64 key_of_cgroup(u64 cgroup)
{
	u64 root = load64(cgroup, OFF_cgroup_root);
	u32 hierarchy = load32(root, OFF_cgroup_root_hierarchy_id);
	u64 id = load64(load64(cgroup, OFF_cgroup_kn), OFF_kernfs_node_id);
#if IDENTITY_V2
	if (hierarchy == 0)
		return id;
#endif
#if IDENTITY_V1
	if (hierarchy == V1_HIERARCHY_ID)
		return id | KEY_V1;
#endif
	return 0;
}

int on_cgroup_mkdir(u64 *ctx)
{
	u64 key = key_of_cgroup(ctx[0]);
	u32 zero = 0, index = slot_bucket_of(key);
	struct lifecycle *cycle = lifecycle.lookup(&zero);
	struct slot_bucket *bucket = slot_buckets.lookup(&index);
	if (!key || !cycle || !bucket)
		return 0;
	cycle->changes++;
	if (cycle->free_head == cycle->free_tail) {
		cycle->untracked++;
		return 0;
	}
	u32 place = cycle->free_head % NR_SLOTS;
	u64 *free = free_slots.lookup(&place);
	if (!free)
		return 0;
	u32 slot = *free;
	struct slot_name *name = slot_names.lookup(&slot);
	if (!name)
		return 0;
#pragma unroll
	for (int i = 0; i < SLOT_WAYS; i++) {
		if (bucket->way[i].key == 0) {
			name->key = key;
			s64 length = bpf_probe_read_kernel_str(name->path, PATH_BYTES, (void *)ctx[1]);
			name->length = length > 0 ? length - 1 : 0;
			bucket->way[i].slot = slot;
			bucket->way[i].key = key;
			cycle->free_head++;
			return 0;
		}
	}
	cycle->untracked++;
	return 0;
}

int on_cgroup_rmdir(u64 *ctx)
{
	u64 key = key_of_cgroup(ctx[0]);
	u32 zero = 0;
	struct lifecycle *cycle = lifecycle.lookup(&zero);
	if (!key || !cycle)
		return 0;
	cycle->changes++;
	u32 slot = slot_of_key(key);
	if (slot < FIRST_SLOT) {
		cycle->untracked--;
		return 0;
	}
	u32 place = cycle->died_head % NR_SLOTS;
	u64 *died = died_slots.lookup(&place);
	if (!died)
		return 0;
	*died = slot;
	cycle->died_head++;
	return 0;
}

/* cgroup_attach_task: a task was moved, so its css_set may go, and its address come again with another meaning. */
int on_cgroup_attach(u64 *ctx)
{
	u32 zero = 0;
	struct lifecycle *cycle = lifecycle.lookup(&zero);
	if (cycle) {
		cycle->changes++;
		cycle->moves++;
	}
	return 0;
}
