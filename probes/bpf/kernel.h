/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The only place that reads kernel structures, always at offsets that Python took from the running kernel's BTF
 * (-D OFF_...), never through a header's idea of them.
 *
 * Where the program is typed (tp_btf, TYPED_POINTERS=1) the verifier knows what each pointer points to, checks
 * the access against BTF and turns it into one load: about 1 ns, where bpf_probe_read_kernel costs 20.
 */

#if TYPED_POINTERS
static __always_inline u64 load64(u64 object, u32 offset) { return *(volatile u64 *)(object + offset); }
static __always_inline u32 load32(u64 object, u32 offset) { return *(volatile u32 *)(object + offset); }
static __always_inline u8 load8(u64 object, u32 offset) { return *(volatile u8 *)(object + offset); }
#else
static __always_inline u64 load64(u64 object, u32 offset)
{
	u64 value = 0;
	bpf_probe_read_kernel(&value, sizeof(value), (void *)(object + offset));
	return value;
}
static __always_inline u32 load32(u64 object, u32 offset)
{
	u32 value = 0;
	bpf_probe_read_kernel(&value, sizeof(value), (void *)(object + offset));
	return value;
}
static __always_inline u8 load8(u64 object, u32 offset)
{
	u8 value = 0;
	bpf_probe_read_kernel(&value, sizeof(value), (void *)(object + offset));
	return value;
}
#endif

/* At an address that is but a number. */
static __always_inline u64 peek64(u64 address)
{
	u64 value = 0;
	bpf_probe_read_kernel(&value, sizeof(value), (void *)address);
	return value;
}

/* An argument of a tracepoint as a number: a typed pointer may be followed, but not calculated with. */
static __always_inline u64 argument_number(u64 *ctx, u32 argument) { return peek64((u64)(ctx + argument)); }

/* For the compiler; x86 keeps stores in order, elsewhere a reader may see the odd slice of the past. */
#define barrier() asm volatile("" ::: "memory")

#define PF_KTHREAD 0x00200000 /* include/linux/sched.h */
#define TASK_DEAD 0x80        /* include/linux/sched.h */
#define TASK_ON_RQ_MIGRATING 2 /* kernel/sched/sched.h */

/* Keys of v1 cgroups carry this bit, so that ids of two hierarchies never meet. */
#define KEY_V1 (1ULL << 63)

#if IDENTITY_V2
static __always_inline u64 key_v2(u64 css_set)
{
	u64 cgroup = load64(css_set, OFF_css_set_dfl_cgrp);
	return load64(load64(cgroup, OFF_cgroup_kn), OFF_kernfs_node_id);
}
#endif

#if IDENTITY_V1
static __always_inline u64 key_v1(u64 css_set)
{
	u64 css = load64(css_set, OFF_css_set_cpu_css);
	u64 cgroup = load64(css, OFF_cgroup_subsys_state_cgroup);
	return load64(load64(cgroup, OFF_cgroup_kn), OFF_kernfs_node_id) | KEY_V1;
}
#endif

#if HAVE_THROTTLING
/*
 * Is this task kept from running by an own or an ancestor's quota? Since e1fad12dcb66 (6.18) that is a task's own
 * state, entered on its way to user space; before, it was its queue's, and all tasks on it were.
 */
static __always_inline bool is_throttled(u64 task, u64 cfs_rq)
{
#ifdef OFF_task_struct_throttled
	return load8(task, OFF_task_struct_throttled);
#else
	return load32(cfs_rq, OFF_cfs_rq_throttle_count) != 0;
#endif
}
#endif
