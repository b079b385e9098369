/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * mm_vmscan_memcg_reclaim_begin/_end, mm_vmscan_direct_reclaim_begin/_end: whose allocations had memory taken away, and
 * within which limit. Who needs a page that is not free takes it from somebody, in its own name: so pages reclaimed are
 * what each had beyond what there was. What kswapd reclaims ahead of that is in nobody's name, and not counted.
 *
 * A limit is told by its cgroup: of those above the task, itself included, the one that has least left to its limit (or
 * memory.high) when the reclaim begins. Nothing runs while memory suffices; a reclaim takes 10 µs and more.
 */

#define NR_RECLAIMING 4096 /* tasks at once */
#define NR_RECLAIM_LIMITS 8 /* levels of cgroups that are looked at */
#define RECLAIM_SLACK 1024 /* pages: a folio of 512 is refused while so many are left, and others may have given some back */
#define LIMIT_OF_HOST 0
#define LIMIT_UNKNOWN 1 /* somebody asked for a reclaim (memory.reclaim), or a kernel thread does it */

struct reclaim_begun {
	u64 began_ns;
	u64 limit; /* the cgroup's id, in the hierarchy of the memory controller */
};

struct reclaim_key {
	u64 limit;
	u64 slot;
};

struct reclaim_stats {
	u64 reclaims;
	u64 pages;
	u64 time_ns; /* that its tasks were at it */
};

BPF_F_TABLE("hash", u32, struct reclaim_begun, reclaim_begun, NR_RECLAIMING, 0);
BPF_F_TABLE("hash", struct reclaim_key, struct reclaim_stats, reclaim_stats, 4096, 0);

#if HAVE_RECLAIM

static __always_inline u64 limit_reached(void)
{
	u64 css_set = peek64(bpf_get_current_task() + OFF_task_struct_cgroups);
	u64 counter = peek64(css_set + OFF_css_set_memory_css) - OFF_mem_cgroup_css + OFF_mem_cgroup_memory;
	s64 least = RECLAIM_SLACK;
	u64 found = 0;
#pragma unroll
	for (int i = 0; i < NR_RECLAIM_LIMITS; i++) {
		u64 parent = peek64(counter + OFF_page_counter_parent);
		if (parent == 0) /* the root has no limit */
			break;
		u64 limit = peek64(counter + OFF_page_counter_max), high = peek64(counter + OFF_page_counter_high);
		s64 left = (high < limit ? high : limit) - peek64(counter + OFF_page_counter_usage);
		if (left < least) {
			least = left;
			found = counter;
		}
		counter = parent;
	}
	if (!found)
		return LIMIT_UNKNOWN;
	u64 cgroup = peek64(found - OFF_mem_cgroup_memory + OFF_mem_cgroup_css + OFF_cgroup_subsys_state_cgroup);
	return peek64(peek64(cgroup + OFF_cgroup_kn) + OFF_kernfs_node_id);
}

static __always_inline void reclaim_begins(u64 limit)
{
	u32 pid = bpf_get_current_pid_tgid();
	struct reclaim_begun begun = {.began_ns = bpf_ktime_get_ns(), .limit = limit};
	reclaim_begun.update(&pid, &begun);
}

static __always_inline void reclaim_ends(u64 pages)
{
	u32 pid = bpf_get_current_pid_tgid();
	struct reclaim_begun *begun = reclaim_begun.lookup(&pid);
	if (!begun)
		return;
	struct reclaim_key key = {.limit = begun->limit, .slot = slot_of_runner()};
	u64 time_ns = bpf_ktime_get_ns() - begun->began_ns;
	reclaim_begun.delete(&pid);
	struct reclaim_stats *stats = reclaim_stats.lookup(&key), none = {};
	if (!stats) {
		reclaim_stats.insert(&key, &none);
		stats = reclaim_stats.lookup(&key);
	}
	if (!stats)
		return;
	__sync_fetch_and_add(&stats->reclaims, 1);
	__sync_fetch_and_add(&stats->pages, pages);
	__sync_fetch_and_add(&stats->time_ns, time_ns);
}

int on_memcg_reclaim_begin(u64 *ctx)
{
	reclaim_begins(limit_reached());
	return 0;
}

int on_memcg_reclaim_end(u64 *ctx)
{
	reclaim_ends(ctx[0]);
	return 0;
}

int on_direct_reclaim_begin(u64 *ctx)
{
	reclaim_begins(LIMIT_OF_HOST);
	return 0;
}

int on_direct_reclaim_end(u64 *ctx)
{
	reclaim_ends(ctx[0]);
	return 0;
}
#endif
