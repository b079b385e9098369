/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * block_rq_insert, block_rq_issue, block_rq_complete: whose requests a device served while another's waited. Nothing
 * runs without I/O. Only devices that have requests are seen: of a device mapper's volume, those of what it lies on.
 *
 * A ring per device holds who was served from when to when. A request that ends is laid over it: what of its time the
 * device served others in, is charged to them; where several were served at once, in proportion, as if they had
 * shared the device. Sums are exact, as each request's own time is counted whole; behind a deep queue the parts are
 * drawn at random places of the ring.
 */

#define NR_IO_REQUESTS 8192 /* that may be in flight; three may push each other out, and are then not counted. With one place
				for each, of 20 in flight one in 500 was. */
#define NR_IO_DEVICES 64
#define NR_IO_SLICES 1024
#define NR_IO_SAMPLES 24
#define NR_IO_BEFORE 32 /* requests that may be in service when another comes */
#define NR_IO_BUCKETS 24
/* PF_LOCAL_THROTTLE and PF_MEMALLOC_NOIO (include/linux/sched.h): a loop device's worker has both. */
#define PF_LOOP_WORKER 0x00180000
#define REQ_OP_MASK 0xFF
#define REQ_OP_WRITE 1

/* What others were served while a request waited: of the three that the samples met first; who comes later is nobody. */
struct io_part {
	u64 served_ns;
	u32 slot;
};

/* By the address of the kernel's struct request. */
struct io_request {
	u64 request;
	u64 start_ns;
	u64 issued_ns;
	u32 slot;
	u32 device;
	u32 first; /* head of the device's ring when it came */
	u32 place; /* of its own slice */
	/* Scratch of io_blame(), here so that the verifier need not follow it through the loop. */
	u64 own_ns;
	u64 served_ns;
	struct io_part parts[3];
};

/* Whose request was in service, and for how many times 16 ns, a minute at most; 0 while it is. */
struct io_slice {
	u64 issued_ns;
	u32 served;
	u16 slot;
	u16 device; /* see io_mark() */
};
#define IO_SERVED_SHIFT 4

/* Counted without a lock: two at once may take one place, and one slice is lost to blame. */
struct io_head {
	u32 head;
} __attribute__((aligned(64)));

struct io_key {
	u32 device;
	u16 slot;
	u16 aggressor; /* 0 in io_stats */
};

struct io_stats {
	u64 reads;
	u64 writes;
	u64 others; /* flushes, discards */
	u64 read_bytes;
	u64 written_bytes;
	u64 queue_ns;   /* from the request's start to its issue */
	u64 service_ns; /* from its issue to its end */
	u64 self_ns;    /* of both, while requests of the same cgroup were served; the rest is the pairs' */
	u64 unattributed_ns;
	u32 histogram[NR_IO_BUCKETS]; /* of the time in the queue; the first up to 1 µs, each twice as wide as the one before */
};

_Static_assert(sizeof(struct io_stats) == SIZE_IO_STATS, "probes/block_io.py disagrees on io_stats");

BPF_F_TABLE("array", u32, struct io_request, io_requests, NR_IO_REQUESTS, 0);
BPF_F_TABLE("array", u32, struct io_slice, io_slices, NR_IO_DEVICES * NR_IO_SLICES, 0);
BPF_F_TABLE("array", u32, struct io_head, io_heads, NR_IO_DEVICES, 0);
BPF_F_TABLE("hash", struct io_key, struct io_stats, io_stats, 8192, 0);
BPF_F_TABLE("hash", struct io_key, u64, io_pairs, 16384, 0);

#if HAVE_BLOCK

/* The place of a request, or one for it: the first of two, where the second is not it and not free. */
static __always_inline struct io_request *io_request_at(u64 number)
{
	u32 index = (number >> 6) * 0x9E3779B97F4A7C15ULL >> 51; /* NR_IO_REQUESTS */
	struct io_request *first = io_requests.lookup(&index);
	if (!first || first->request == number)
		return first;
	index ^= 1;
	struct io_request *second = io_requests.lookup(&index);
	return second && (second->request == number || (first->request && second->request == 0)) ? second : first;
}

static __always_inline u32 io_place(u32 device) { return (device * 0x9E3779B1U) >> 26; } /* NR_IO_DEVICES */

/* Tells devices of one place apart. */
static __always_inline u16 io_mark(u32 device) { return (device * 0x9E3779B1U) >> 10; }

/* MAJOR << 20 | minor, as the kernel has it; 0 where a request is for no disk. */
static __always_inline u32 io_device(u64 request)
{
#ifdef OFF_request_disk
	u64 disk = load64(request, OFF_request_disk);
#else
	u64 disk = load64(load64(request, OFF_request_queue), OFF_request_queue_disk);
#endif
	return load32(disk, OFF_gendisk_major) << 20 | load32(disk, OFF_gendisk_first_minor);
}

/* A loop device's requests are counted as its own; what its worker makes of them below is the same once more. */
static __always_inline bool io_is_below_loop(void)
{
	u32 flags = peek64(bpf_get_current_task() + OFF_task_struct_flags);
	return (flags & PF_LOOP_WORKER) == PF_LOOP_WORKER;
}

/*
 * A process that runs makes its own requests. What a kernel thread makes (writeback) is of whose cgroup the kernel says
 * (bi_blkg), which it does on v2 alone.
 */
static __always_inline u32 io_owner(u64 request)
{
	u32 slot = slot_of_runner();
	if (slot > SLOT_KERNEL)
		return slot;
#if IDENTITY_V2 && defined(OFF_bio_blkg)
	u64 blkg = load64(load64(request, OFF_request_bio), OFF_bio_blkg);
	u64 cgroup = load64(load64(blkg, OFF_blkg_blkcg), OFF_blkcg_cgroup);
	u64 id = load64(load64(cgroup, OFF_cgroup_kn), OFF_kernfs_node_id);
	if (id && id != ROOT_KEY_V2 && load32(load64(cgroup, OFF_cgroup_root), OFF_cgroup_root_hierarchy_id) == 0)
		return slot_of_key(id);
#endif
	return SLOT_KERNEL;
}

/* Whether a record is of this use of a request: one that was merged away after its insertion has no end. */
static __always_inline bool io_is_of(struct io_request *record, u64 request, u64 number)
{
	u64 start_ns = load64(request, OFF_request_start_time_ns);
	return record->request == number && (start_ns == 0 || record->start_ns == start_ns);
}

static __always_inline bool io_begin(struct io_request *record, u64 request, u64 number, u64 now)
{
	u32 device = io_device(request), place = io_place(device);
	struct io_head *head = io_heads.lookup(&place);
	if (!device || !head)
		return 0;
	u64 start_ns = load64(request, OFF_request_start_time_ns);
	record->start_ns = start_ns ? start_ns : now; /* 0 where the queue keeps no statistics */
	record->issued_ns = 0;
	record->slot = io_owner(request);
	if (record->slot == SLOT_KERNEL && io_is_below_loop())
		return 0;
	record->device = device;
	record->first = head->head;
	record->request = number;
	return 1;
}

/* With an I/O scheduler, in the context of who makes the request; a kernel thread may issue it later. */
static __always_inline void io_insert(u64 *ctx)
{
	u64 number = argument_number(ctx, ARG_REQUEST);
	struct io_request *record = io_request_at(number);
	if (record && !io_is_of(record, ctx[ARG_REQUEST], number))
		io_begin(record, ctx[ARG_REQUEST], number, bpf_ktime_get_ns());
}

static __always_inline void io_issue(u64 *ctx)
{
	u64 number = argument_number(ctx, ARG_REQUEST), now = bpf_ktime_get_ns();
	struct io_request *record = io_request_at(number);
	if (!record)
		return;
	if (!io_is_of(record, ctx[ARG_REQUEST], number) && !io_begin(record, ctx[ARG_REQUEST], number, now))
		return;
	u32 place = io_place(record->device);
	struct io_head *head = io_heads.lookup(&place);
	if (!head)
		return;
	u32 index = place * NR_IO_SLICES + (head->head & (NR_IO_SLICES - 1));
	struct io_slice *slice = io_slices.lookup(&index);
	if (!slice)
		return;
	record->issued_ns = slice->issued_ns = now;
	record->place = index;
	slice->served = 0;
	slice->slot = record->slot;
	slice->device = io_mark(record->device);
	head->head++;
}

static __always_inline struct io_stats *io_stats_of(struct io_key *key)
{
	struct io_stats *stats = io_stats.lookup(key);
	if (stats)
		return stats;
	struct io_stats none = {};
	io_stats.insert(key, &none);
	return io_stats.lookup(key);
}

static __always_inline bool io_add(struct io_part *part, u32 slot, u64 served_ns)
{
	if (part->served_ns && part->slot != slot)
		return 0;
	part->slot = slot;
	part->served_ns += served_ns;
	return 1;
}

static __always_inline u64 io_charge(struct io_key *key, struct io_part *part, u64 scale)
{
	u64 wait_ns = part->served_ns * scale >> 20;
	if (wait_ns == 0)
		return 0;
	key->aggressor = part->slot;
	u64 *sum = io_pairs.lookup(key), none = 0;
	if (!sum) {
		io_pairs.insert(key, &none);
		sum = io_pairs.lookup(key);
	}
	if (sum)
		__sync_fetch_and_add(sum, wait_ns);
	return sum ? wait_ns : 0;
}

static __always_inline u32 io_bucket(u64 wait_ns)
{
	u32 bucket = 0;
	wait_ns >>= 10;
#pragma unroll
	for (int i = 16; i; i >>= 1)
		if (wait_ns >> i) {
			wait_ns >>= i;
			bucket += i;
		}
	bucket += wait_ns != 0;
	return bucket < NR_IO_BUCKETS ? bucket : NR_IO_BUCKETS - 1;
}

/* Lays a request that has ended over what its device served meanwhile. */
static __always_inline void io_blame(struct io_stats *stats, struct io_key *key, struct io_request *record, u64 now)
{
	u64 total_ns = saturating_sub(now, record->start_ns);
	record->own_ns = record->served_ns = now - record->issued_ns;
	record->parts[0].served_ns = record->parts[1].served_ns = record->parts[2].served_ns = 0;
	u32 place = io_place(record->device), step = 1, random = now;
	struct io_head *head = io_heads.lookup(&place);
	if (!head)
		return;
	u32 newest = head->head, span = newest - record->first + NR_IO_BEFORE;
	if (span > NR_IO_SLICES)
		span = NR_IO_SLICES;
#pragma unroll
	for (int i = 0; i < 6; i++)
		if (step * NR_IO_SAMPLES < span)
			step <<= 1;
	for (u32 i = 0; i < NR_IO_SAMPLES; i++) {
		random = random * 1664525 + 1013904223;
		u32 back = i * step + 1 + (random >> 16 & (step - 1));
		if (back > span)
			break;
		u32 index = place * NR_IO_SLICES + (newest - back & (NR_IO_SLICES - 1));
		struct io_slice *slice = io_slices.lookup(&index);
		if (!slice || slice->device != io_mark(record->device) || index == record->place)
			continue;
		u64 from = slice->issued_ns, served = slice->served, to = from + (served << IO_SERVED_SHIFT);
		if (from < record->start_ns)
			from = record->start_ns;
		if (served == 0 || to > now)
			to = now;
		if (to <= from)
			continue;
		u64 served_ns = (to - from) * step;
		u32 slot = slice->slot;
		record->served_ns += served_ns;
		if (slot == record->slot)
			record->own_ns += served_ns;
		else if (!io_add(&record->parts[0], slot, served_ns) && !io_add(&record->parts[1], slot, served_ns))
			io_add(&record->parts[2], slot, served_ns);
	}
	/* Behind a deep queue more was served than time went by: each gets its part. */
	u64 scale = record->served_ns > total_ns ? (total_ns << 20) / record->served_ns : 1 << 20;
	u64 own_ns = record->own_ns * scale >> 20, charged_ns = own_ns;
	__sync_fetch_and_add(&stats->self_ns, own_ns);
#pragma unroll
	for (int i = 0; i < 3; i++)
		charged_ns += io_charge(key, &record->parts[i], scale);
	if (total_ns > charged_ns)
		__sync_fetch_and_add(&stats->unattributed_ns, total_ns - charged_ns);
}

static __always_inline void io_complete(u64 *ctx)
{
	u64 number = argument_number(ctx, 0), now = bpf_ktime_get_ns();
	u32 bytes = ctx[2];
	struct io_request *record = io_request_at(number);
	if (!record || record->request != number || record->issued_ns == 0)
		return;
	struct io_key key = {.device = record->device, .slot = record->slot};
	struct io_stats *stats = io_stats_of(&key);
	if (!stats)
		return;
	u32 op = load32(ctx[0], OFF_request_cmd_flags) & REQ_OP_MASK;
	if (op <= REQ_OP_WRITE)
		__sync_fetch_and_add(op ? &stats->written_bytes : &stats->read_bytes, bytes);
	if (bytes < load32(ctx[0], OFF_request_data_len)) /* the rest is still to come */
		return;
	u32 index = record->place;
	struct io_slice *slice = io_slices.lookup(&index);
	u64 served = (now - record->issued_ns >> IO_SERVED_SHIFT) + 1;
	if (slice && slice->issued_ns == record->issued_ns)
		slice->served = served < (u32)-1 ? served : (u32)-1;
	u64 queue_ns = saturating_sub(record->issued_ns, record->start_ns);
	__sync_fetch_and_add(op == 0 ? &stats->reads : op == REQ_OP_WRITE ? &stats->writes : &stats->others, 1);
	__sync_fetch_and_add(&stats->queue_ns, queue_ns);
	__sync_fetch_and_add(&stats->service_ns, now - record->issued_ns);
	u32 bucket = io_bucket(queue_ns);
	asm volatile("" : "+r"(bucket));
	if (bucket < NR_IO_BUCKETS)
		__sync_fetch_and_add(&stats->histogram[bucket], 1);
	io_blame(stats, &key, record, now);
	record->request = 0;
}

int on_rq_insert(u64 *ctx)
{
	struct cpu_state *state = begin_io(SHED_IO);
	if (!state)
		return 0;
	io_insert(ctx);
	end_timing(&state->io_timing);
	return 0;
}

int on_rq_issue(u64 *ctx)
{
	struct cpu_state *state = begin_io(SHED_IO);
	if (!state)
		return 0;
	io_issue(ctx);
	end_timing(&state->io_timing);
	return 0;
}

int on_rq_complete(u64 *ctx)
{
	struct cpu_state *state = begin_io(SHED_IO);
	if (!state)
		return 0;
	io_complete(ctx);
	end_timing(&state->io_timing);
	return 0;
}
#endif
