/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the hooks write and user space reads through mmap. Each array has a row per possible CPU, written by that CPU
 * alone (so no atomics anywhere), and one more, SCAN_ROW, written by the wait scan. Figures of cgroups are in cells, of
 * which a row has one for each cgroup that has run there; see cells.h. `probes/layout.py` is the same in Python and
 * passes the sizes, which are asserted here.
 */

/* Reserved slots; cgroups start at FIRST_SLOT. */
#define SLOT_IDLE 0
#define SLOT_KERNEL 1
#define SLOT_OTHER 2
#define FIRST_SLOT 3

#define SCAN_ROW NR_CPUS
#define NR_ROWS (NR_CPUS + 1)

/* What the hooks may be told to leave out (see sched_probe.py), in the order 4, 1, 2. */
#define SHED_BLAME 1
#define SHED_HISTOGRAM 2
#define SHED_IO 4
#define SHED_NET 8

/* As struct bpf_perf_event_value (include/uapi/linux/bpf.h). */
struct counter {
	u64 value;
	u64 enabled_ns; /* how long it was wanted */
	u64 running_ns; /* and had a hardware register */
};

/*
 * Figures of one cgroup on one CPU. Times in ns of the run queue's clock; u32 counters wrap, those of the
 * histogram do not, for before one is full there is another cell. The first cache line is what every switch needs. An odd
 * number of lines, so that those of many cgroups do not all want the same places of the cache: at 512 bytes 8 of its 64
 * sets held all first lines.
 */
struct slot_stats {
	u64 run_ns;
	u64 wait_ns;         /* all of it: self, wakeup, throttled, unattributed and rest_ns are parts of it, the others are in the pairs */
	u64 self_ns;         /* behind threads of the same cgroup */
	u64 wakeup_ns;       /* the CPU was idle: wake-up latency */
	u64 preempt_wait_ns; /* across the others: waits that began with an involuntary switch */
	u64 stolen_ns;       /* part of run_ns that interrupts or the hypervisor took */
	u32 switches_in;
	u32 preempted_own;       /* involuntary switches, by who came next */
	u32 preempted_foreign;
	u32 preempted_throttled; /* the quota ran out: nobody preempted it */
	/* The last throttled episode seen on this CPU; kernel bookkeeping, not for user space. */
	u32 throttle_queue; /* the cfs_rq that the three below are about; see queue_id() */
	u32 newcomers;      /* tasks that were first seen here before they had ever run */
	u64 throttle_seen_ns;
	u64 throttle_start;
	u64 throttle_end; /* 0 while it lasts */
	u64 throttled_ns; /* on an own or an ancestor's quota */
	u64 unattributed_ns; /* older than the ring reaches, or on a CPU it was moved away from unseen */
	u64 rest_ns;      /* behind cgroups for which there was no room in the pairs */
	u64 sampled_ns;   /* across the others: how much of the wait was charged to those who ran at sampled moments */
	u16 histogram[NR_BUCKETS];
#define NEARLY_FULL 0xFF00
#define FULL 0xFFFF
} __attribute__((aligned(64)));

struct cell {
	struct slot_stats stats;
#if NR_COUNTERS
	struct counter counters[NR_COUNTERS];
#endif
} __attribute__((aligned(64)));

/* The same of one cgroup, summed over its cells by on_cell(). */
struct slot_sums {
	u64 times[6]; /* from run_ns on */
	u32 counts[4];
	u64 rare[5]; /* throttled_ns, unattributed_ns, rest_ns, sampled_ns, newcomers */
	u32 histogram[NR_BUCKETS];
#if NR_COUNTERS
	struct counter counters[NR_COUNTERS];
#endif
};

/* Numbers of cells, by slot and row; 0: there is none. Many to a value, as the kernel gives each at least 8 bytes. */
#define INDEX_CELLS 32
struct index_line {
	u16 cell[INDEX_CELLS];
};

/* Of 32 cells whose they are: row << 16 | slot, 0 when free; DETACHED once the index has it no more. */
#define DETACHED (1U << 31)
#define GROUP_CELLS 32
struct cell_owners {
	u32 of[GROUP_CELLS];
};

/* What a group of cells held when on_cell() last looked for those that lie idle; a sum, to tell a change. */
struct cell_marks {
	u32 of[GROUP_CELLS];
};

/* One walk of on_cell(), which runs once for each group of cells. */
#define WALK_SUM 0    /* adds up the cells of NR_SUMS slots from first_slot on */
#define WALK_RETIRE 1 /* the same of those that are detached, and frees them */
#define WALK_FREE 2   /* those of pending_free_slots */
#define WALK_DETACH 3 /* those that have not changed since the last such walk */
#define WALK_OFFER 4  /* all that have no owner, once, at the start */
struct cell_walk {
	u32 next; /* the group that it comes to next */
	u32 mode;
	u32 first_slot;
	u32 owned;    /* how many cells were met that have an owner, */
	u32 detached; /* and that are detached */
};

/* Who waited for whom: victim << 16 | aggressor, 0 when free. */
struct pair {
	u32 key;
	u32 preemptions;
	u64 wait_ns;
};

#define PAIR_WAYS 4
struct pair_bucket {
	struct pair way[PAIR_WAYS];
};

/* What was drained of a bucket's pairs; beside them, so that a bucket of those stays one cache line. */
struct drained_bucket {
	u64 wait_ns[PAIR_WAYS];
	u32 preemptions[PAIR_WAYS];
};

/* One walk of on_claimed(), which runs once for each word of claimed_pairs. */
struct growth {
	u32 next;             /* the word that it comes to next */
	u32 any_pending_free; /* user space says whether there are pending_free_slots */
	u64 records;          /* how many of grown_pairs were written */
};

/*
 * Who ran from `start` until the next slice's start: start << 16 | slot, 0 where there was none yet. In one word, so that the
 * wait scan never sees half of another CPU's, and half of the memory. 48 bits of a clock go round in 78 hours: see
 * since_start(), which is asked within half of that.
 */
struct slice {
	u64 start_slot;
};

/* What is left to charge of a wait; see charge_slices(). */
struct walk {
	u64 from;
	u64 end;
	u64 span_from;
	u64 span_to;
	u64 most;
};

/* What one of some runs took; see timing.h. */
struct timing {
	u32 runs; /* since the last that was timed */
	u32 timed;
	u64 timed_ns; /* of all that were, without the clock's own part */
	u64 clock_from;
	u64 from;
};

/* The head of a row: who runs on that CPU, since when. */
struct cpu_state {
	u64 attached; /* clock of the first switch seen */
	u64 since;    /* clock of the last switch */
	u64 clock;    /* newest clock seen, by the wait scan as well */
	u64 stolen_seen_ns;
	u32 slot; /* who runs now */
	u32 head; /* of the ring */
	u32 shed;
	u32 runner; /* pid + 1 of who runs now; 0: not known yet */
#define IDLE_RUNNER 1
	u64 switches;
	u64 settled; /* of these, whose figures are written: less than `switches` within the hook */
	u64 scratch; /* see number_of() */
	struct walk walk;
	u64 run_ns;  /* of everybody but the idle task */
	u64 wait_ns; /* of everybody, less throttled */
	struct timing switch_timing, move_timing, io_timing;
	u64 unreported;    /* switches that the kernel made without calling the hook; see resume() */
	u64 scanned_wait_ns; /* waiting on this CPU, less throttled, that the wait scan counted in its own row */
	u64 clock_offset; /* of ktime to the run queue's clock, as it was last; 0: not known yet */
	u32 is_full;      /* a count of the histogram of who comes is nearly full */
	u32 unused;
} __attribute__((aligned(64))); /* no cache line belongs to two CPUs */

/* Bitmap of pairs ever used: where on_claimed() has to look. */
#define CLAIMED_WORDS (NR_PAIR_BUCKETS * PAIR_WAYS / 64)

/* A task as it last came to a CPU and left it: direct-mapped by pid, so two tasks may push each other out; `pid` tells. */
struct task_record {
	u32 pid;
	u32 involuntary;
	u64 run_delay_ns; /* when it came; it grows again with its next wait */
	u64 accounted_ns;    /* of the wait since then, what the wait scan or a move has already counted */
	u64 accounted_until; /* and up to which clock */
	u64 css_set_slot; /* css_set << 16 | slot; see slot_of_next(). In one word, as two tasks may write at once. */
	u64 generation;   /* of css_set_slot */
	u64 throttle_queue; /* its cfs_rq, when it left without wanting to; else 0 */
	u64 throttled_ns;   /* for how long that had been throttled by then, or by `accounted_until` */
} __attribute__((aligned(64)));

/* cgroup key to slot; with the slot, of a v1 cgroup, whether it TELLS_MORE than v2, once user space has seen that. */
#define TELLS_MORE (1ULL << 32)
#define SLOT_WAYS 4
struct slot_bucket {
	struct {
		u64 key; /* 0 when free */
		u64 slot;
	} way[SLOT_WAYS];
};

#define PATH_BYTES 240
struct slot_name {
	u64 key;
	u64 length;
	char path[PATH_BYTES];
};

/* Births and deaths of cgroups. The kernel serialises them (cgroup_mutex), so plain counters do. */
struct lifecycle {
	u64 free_head; /* next slot to take, by the mkdir hook */
	u64 free_tail; /* one past the last slot offered, by user space */
	u64 died_head; /* next place to report a death, by the rmdir hook */
	s64 untracked;  /* cgroups without a slot born, less those removed: they are counted as SLOT_OTHER */
	u64 changes;   /* cgroups made, removed, or given a task: what a css_set's address stands for may change */
	u64 assigned;  /* times that user space gave or took slots */
	u64 moves;     /* times that a process was moved to another cgroup */
	u64 unwatched; /* 1 + the number of a CPU that has no row */
};

_Static_assert(sizeof(struct cell) == SIZE_CELL, "probes/layout.py disagrees on cell");
_Static_assert(sizeof(struct slot_sums) == SIZE_SLOT_SUMS, "probes/layout.py disagrees on slot_sums");
_Static_assert(sizeof(struct cell_walk) == SIZE_CELL_WALK, "probes/layout.py disagrees on cell_walk");
_Static_assert(sizeof(struct cpu_state) == SIZE_CPU_STATE, "probes/layout.py disagrees on cpu_state");
_Static_assert(sizeof(struct task_record) == SIZE_TASK_RECORD, "probes/layout.py disagrees on task_record");
_Static_assert(sizeof(struct slot_bucket) == SIZE_SLOT_BUCKET, "probes/layout.py disagrees on slot_bucket");
_Static_assert(sizeof(struct slot_name) == SIZE_SLOT_NAME, "probes/layout.py disagrees on slot_name");
_Static_assert(sizeof(struct growth) == SIZE_GROWTH, "probes/layout.py disagrees on growth");
_Static_assert(sizeof(struct lifecycle) == SIZE_LIFECYCLE, "probes/layout.py disagrees on lifecycle");

/* Values stay small: bcc's compile time grows with them (a row with its ring and pairs inside: 1.1 s). */
#define BPF_F_MMAPABLE 0x400
BPF_F_TABLE("array", u32, struct cell, cells, NR_CELLS, BPF_F_MMAPABLE);
BPF_F_TABLE("array", u32, struct cell_owners, cell_owners, NR_CELLS / GROUP_CELLS, BPF_F_MMAPABLE);
BPF_F_TABLE("array", u32, struct cell_marks, cell_marks, NR_CELLS / GROUP_CELLS, 0);
BPF_F_TABLE("array", u32, struct index_line, cell_index, NR_SLOTS * NR_ROWS / INDEX_CELLS + 1, BPF_F_MMAPABLE);
BPF_QUEUESTACK("queue", free_cells, u32, NR_CELLS, 0); /* the oldest first, so that none is given again at once */
BPF_F_TABLE("array", u32, u64, crowded_slots, NR_SLOTS / 64, BPF_F_MMAPABLE); /* a bit for each that found no free cell */
BPF_F_TABLE("array", u32, struct cell_walk, cell_walks, 1, BPF_F_MMAPABLE);
BPF_F_TABLE("array", u32, struct slot_stats, cell_copies, 1, 0); /* scratch of on_cell() */
BPF_F_TABLE("array", u32, struct slot_sums, slot_sums, NR_SUMS, BPF_F_MMAPABLE);
BPF_F_TABLE("array", u32, struct cpu_state, cpu_states, NR_ROWS, BPF_F_MMAPABLE);
BPF_F_TABLE("array", u32, struct slice, slices, NR_ROWS * NR_SLICES, BPF_F_MMAPABLE);
BPF_F_TABLE("array", u32, struct pair_bucket, pair_buckets, NR_ROWS * NR_PAIR_BUCKETS, BPF_F_MMAPABLE);
BPF_F_TABLE("array", u32, u64, claimed_pairs, NR_ROWS * CLAIMED_WORDS, BPF_F_MMAPABLE);
BPF_F_TABLE("array", u32, struct drained_bucket, drained_buckets, NR_ROWS * NR_PAIR_BUCKETS, 0);
BPF_F_TABLE("array", u32, struct growth, growths, 1, BPF_F_MMAPABLE);
BPF_F_TABLE("array", u32, struct pair, grown_pairs, NR_GROWN_PAIRS, BPF_F_MMAPABLE);
BPF_F_TABLE("array", u32, u64, pending_free_slots, NR_SLOTS / 64, BPF_F_MMAPABLE); /* a bit for each */
BPF_F_TABLE("array", u32, struct task_record, task_records, NR_TASK_RECORDS, BPF_F_MMAPABLE);
BPF_F_TABLE("array", u32, struct slot_bucket, slot_buckets, NR_SLOT_BUCKETS, BPF_F_MMAPABLE);
BPF_F_TABLE("array", u32, struct slot_name, slot_names, NR_SLOTS, BPF_F_MMAPABLE);
BPF_F_TABLE("array", u32, struct lifecycle, lifecycle, 1, BPF_F_MMAPABLE);
BPF_F_TABLE("array", u32, u64, slot_tasks, NR_SLOTS, BPF_F_MMAPABLE); /* that the wait scan met; cleared before it */
BPF_F_TABLE("array", u32, u64, free_slots, NR_SLOTS, BPF_F_MMAPABLE);
BPF_F_TABLE("array", u32, u64, died_slots, NR_SLOTS, BPF_F_MMAPABLE);
