/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Run once, on the loader's own behalf, before anything is attached: reads the current task at the offsets in use
 * and lets user space compare them with what helpers and system calls say. Wrong offsets load without complaint.
 */

struct canary {
	u64 pid_tgid; /* by the helper */
	u64 pid;      /* by offset */
	u64 key;      /* of the cgroup, by offset */
	u64 run_delay_ns;
};

BPF_F_TABLE("array", u32, struct canary, canaries, 1, BPF_F_MMAPABLE);

int on_canary(u64 *ctx)
{
	u32 zero = 0;
	struct canary *canary = canaries.lookup(&zero);
	if (!canary)
		return 0;
	u64 task = bpf_get_current_task();
	u64 css_set = peek64(task + OFF_task_struct_cgroups);
#if IDENTITY_V2
	u64 cgroup = peek64(css_set + OFF_css_set_dfl_cgrp);
#else
	u64 cgroup = peek64(peek64(css_set + OFF_css_set_cpu_css) + OFF_cgroup_subsys_state_cgroup);
#endif
	canary->pid_tgid = bpf_get_current_pid_tgid();
	canary->pid = (u32)peek64(task + OFF_task_struct_pid);
	canary->key = peek64(peek64(cgroup + OFF_cgroup_kn) + OFF_kernfs_node_id);
	canary->run_delay_ns = peek64(task + OFF_task_struct_run_delay);
	return 0;
}
