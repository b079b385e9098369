/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The slot of the task that runs here, as the switch hook has it; but some switches are in no tracer's record (see
 * resume() in switch.c), and then of 7,000 requests a second up to 46 were taken for another's.
 */
static __always_inline u32 slot_of_runner(void)
{
	u32 cpu = bpf_get_smp_processor_id(), pid = bpf_get_current_pid_tgid();
	struct cpu_state *state = cpu_states.lookup(&cpu);
	if (state && state->runner == pid + 1)
		return state->slot;
	u64 task = bpf_get_current_task();
	if (pid == 0 || (u32)peek64(task + OFF_task_struct_flags) & PF_KTHREAD)
		return SLOT_KERNEL;
	u64 css_set = peek64(task + OFF_task_struct_cgroups), key = 0;
#if IDENTITY_V2
	key = peek64(peek64(peek64(css_set + OFF_css_set_dfl_cgrp) + OFF_cgroup_kn) + OFF_kernfs_node_id);
#endif
#if IDENTITY_V1
	u64 cgroup = peek64(peek64(css_set + OFF_css_set_cpu_css) + OFF_cgroup_subsys_state_cgroup);
	u64 v1 = peek64(peek64(cgroup + OFF_cgroup_kn) + OFF_kernfs_node_id) | KEY_V1;
#if IDENTITY_V2
	if (key == ROOT_KEY_V2 || tells_more(v1))
#endif
		key = v1;
#endif
	return slot_of_key(key);
}
