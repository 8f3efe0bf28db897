/* SPDX-License-Identifier: ISC */
/* The journal of a queue: its segments, and what in them counts. */
#include "queue/journal.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/test_time.h"
#include "queue/idmap.h"
#include "queue/journal_scan.h"

enum {
	ENDS_SHARE = 16,               /* of a segment, a part for ends only */
	BUFFER_KEPT = 4 * 1024 * 1024, /* a larger one is given back */
	AGAIN_MS = 1000
};

static int64_t
again_ms(void)
{
	return test_time_ms("JOURNAL_AGAIN_MS", AGAIN_MS);
}

/* Made of written zeros, in which everything else is this name. */
static const char unfinished[] = QUEUE_JOURNAL ".new";

struct segment {
	bool is_ready;     /* its file is there, and to be written over */
	bool is_missing;   /* there was none, at the start */
	int fd;            /* or -1 */
	uint64_t messages; /* in it, that count */
};

struct journal {
	const struct queue_dir *dir;
	const struct journal_finder *finder; /* while it is opened */
	uint64_t segment_bytes, next_id;
	struct segment segments[JOURNAL_SEGMENTS];
	/* the segment that is written */
	uint64_t generation;
	size_t at;            /* all before it is durable */
	bool is_closed;       /* nothing more goes into it */
	struct buf batch;     /* from at on; its memory begins at a page, too */
	struct idmap added;   /* its messages */
	struct idmap settled; /* the ends that are durable with it */
	/* by id: journal_count() of where the message is; twice that, and 1
	 * for a message that was withdrawn */
	struct idmap messages, ends; /* those that count; not durable yet */
	int64_t failed_at_ms;        /* clock_ms() of the last failure; or 0 */
	int64_t again_at_ms;         /* no segment is begun before; or 0 */
};

static uint64_t
count_of(const struct journal *journal)
{
	return journal_count(journal->generation);
}

static struct segment *
segment_of(struct journal *journal, uint64_t count)
{
	return &journal->segments[count % JOURNAL_SEGMENTS];
}

/* -- files */

static int
write_zeros(int fd, uint64_t length)
{
	static const char zeros[64 * 1024];

	while (length > 0) {
		size_t some = length < sizeof(zeros) ? length : sizeof(zeros);

		if (file_write_all(fd, zeros, some) == -1)
			return -1;
		length -= some;
	}
	return 0;
}

/* A new file is written over in place on btrfs, too, which needs no room. */
static void
set_in_place(int fd)
{
	int flags;

	if (ioctl(fd, FS_IOC_GETFLAGS, &flags) == -1)
		return;
	flags |= FS_NOCOW_FL;
	ioctl(fd, FS_IOC_SETFLAGS, &flags); /* others do so anyway */
}

/* Makes a segment's file, or a new one in its place.  0, or -1 with errno. */
static int
make_segment(struct journal *journal, unsigned place, struct error *err)
{
	int lock = queue_dir_fd(journal->dir, QUEUE_LOCK, 0), result = 0, fd;
	struct segment *segment = &journal->segments[place];
	char name[JOURNAL_NAME_SIZE];

	journal_name(name, place);
	file_close(&segment->fd);
	unlinkat(lock, unfinished, 0);
	fd = openat(lock, unfinished,
	    O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd != -1)
		set_in_place(fd);
	if (fd == -1 || write_zeros(fd, journal->segment_bytes) == -1 ||
	    fsync(fd) == -1 || renameat(lock, unfinished, lock, name) == -1 ||
	    fsync(lock) == -1)
		result = error_sys(err,
		    "cannot make '%s/lock/%s' (%" PRIu64 " bytes)",
		    journal->dir->path, name, journal->segment_bytes);
	if (fd != -1) {
		int saved_errno = errno;

		posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
		if (result == -1)
			unlinkat(lock, unfinished, 0);
		errno = saved_errno;
	}
	file_close(&fd);
	segment->is_ready = result == 0;
	return result;
}

/*
 * Written past the page cache where the filesystem can do that: it takes less
 * of the CPU, and none of the memory.
 */
static int
open_to_write(struct journal *journal, unsigned place, struct error *err)
{
	int lock = queue_dir_fd(journal->dir, QUEUE_LOCK, 0);
	int flags = O_WRONLY | O_CLOEXEC | O_NOFOLLOW;
	struct segment *segment = &journal->segments[place];
	char name[JOURNAL_NAME_SIZE];

	if (segment->fd != -1)
		return 0;
	journal_name(name, place);
	segment->fd = openat(lock, name, flags | O_DIRECT);
	if (segment->fd == -1 && errno == EINVAL)
		segment->fd = openat(lock, name, flags);
	return segment->fd != -1 ? 0
				 : error_sys(err, "cannot open '%s/lock/%s'",
				       journal->dir->path, name);
}

/* All of it, from and to pages; with flags of pwritev2().  0 or -1. */
static int
write_pages(int fd, const struct buf *pages, size_t at, int flags)
{
	size_t done = 0;

	while (done < pages->length) {
		struct iovec left = { .iov_base = pages->data + done,
			.iov_len = pages->length - done };
		ssize_t n = pwritev2(fd, &left, 1, (off_t)(at + done), flags);
		int mode;

		if (n > 0)
			done += (size_t)n;
		else if (n == 0)
			errno = EIO;
		if (n > 0 || (n == -1 && errno == EINTR))
			continue;
		/* What is a page here need not be one for the device. */
		mode = fcntl(fd, F_GETFL);
		if (n == 0 || errno != EINVAL || !(mode & O_DIRECT) ||
		    fcntl(fd, F_SETFL, mode & ~O_DIRECT) == -1)
			return -1;
	}
	return 0;
}

/* -- the batch */

/* Of the segment that is written. */
static size_t
room_left(const struct journal *journal, bool is_for_ends)
{
	size_t whole = journal->segment_bytes,
	       used = journal->at + journal->batch.length;

	if (!is_for_ends)
		whole -= whole / ENDS_SHARE;
	return !journal->is_closed && used < whole ? whole - used : 0;
}

/* Room for so much more, and the rest of a page, in memory that is aligned. */
static void
reserve_batch(struct journal *journal, size_t extra)
{
	struct buf *batch = &journal->batch;
	size_t wanted = batch->length + extra + 2 * JOURNAL_PAGE_BYTES;
	size_t size = 2 * wanted / JOURNAL_PAGE_BYTES * JOURNAL_PAGE_BYTES;
	char *data;

	if (wanted <= batch->size)
		return;
	data = aligned_alloc(JOURNAL_PAGE_BYTES, size);
	if (data == NULL)
		fatal(111, "out of memory");
	if (batch->length > 0)
		memcpy(data, batch->data, batch->length);
	free(batch->data);
	batch->data = data;
	batch->size = size;
}

static void
reset_batch(struct journal *journal)
{
	journal->batch.length = 0;
	idmap_release(&journal->added);
	idmap_release(&journal->settled);
	if (journal->batch.size > BUFFER_KEPT)
		buf_release(&journal->batch);
}

static void
put_record(struct journal *journal, enum journal_type type,
    const struct journal_message *message, size_t bytes)
{
	struct journal_record record = { .type = type,
		.page = (uint32_t)(journal->at / JOURNAL_PAGE_BYTES),
		.message = *message };

	reserve_batch(journal, bytes);
	journal_put_record(&journal->batch, journal->generation, &record);
}

/* All ends that have room. */
static void
put_ends(struct journal *journal)
{
	for (size_t i = 0; i < journal->ends.size; i++) {
		const struct idmap_slot *slot = &journal->ends.slots[i];
		struct journal_message message = { .id = slot->id };
		bool is_withdrawn = (uintptr_t)slot->value & 1;

		if (slot->id == 0)
			continue;
		if (room_left(journal, true) < JOURNAL_END_BYTES)
			break;
		put_record(journal,
		    is_withdrawn ? JOURNAL_WITHDRAWN : JOURNAL_END, &message,
		    JOURNAL_END_BYTES);
		idmap_put(&journal->settled, slot->id, NULL);
	}
}

static void
forget_settled(struct journal *journal)
{
	for (size_t i = 0; i < journal->settled.size; i++)
		if (journal->settled.slots[i].id != 0)
			idmap_remove(
			    &journal->ends, journal->settled.slots[i].id);
	idmap_release(&journal->settled);
	if (journal->ends.count == 0)
		idmap_release(&journal->ends);
}

/* -- segments */

/* With errno, which stays. */
static void
segment_failed(struct journal *journal, uint64_t count)
{
	int saved_errno = errno;
	int64_t now_ms = clock_ms();
	char name[JOURNAL_NAME_SIZE];

	journal_name(name, count % JOURNAL_SEGMENTS);
	log_line("alert: cannot write '%s/lock/%s': %m; going on in the next "
		 "part of the journal",
	    journal->dir->path, name);
	if (saved_errno != ENOSPC && saved_errno != EDQUOT)
		segment_of(journal, count)->is_ready = false;
	if (journal->failed_at_ms != 0 &&
	    now_ms < journal->failed_at_ms + again_ms())
		journal->again_at_ms = now_ms + again_ms();
	journal->failed_at_ms = now_ms;
	errno = saved_errno;
}

static uint32_t
random_number(void)
{
	uint32_t number;

	if (getrandom(&number, sizeof(number), 0) != sizeof(number))
		fatal(111, "the system has no random numbers");
	return number;
}

/*
 * It is durable before anything follows: a record of what its place has held is
 * not written over while it could count, and no later segment is begun, which
 * may have the ends of that.
 */
static int
write_header(struct journal *journal, int fd, uint64_t generation)
{
	int result;

	reserve_batch(journal, JOURNAL_PAGE_BYTES);
	journal_put_header(&journal->batch, generation, journal->next_id);
	result = write_pages(fd, &journal->batch, 0, RWF_DSYNC);
	journal->batch.length = 0;
	return result;
}

/* What a new segment's place has held counts no more, without an end. */
static void
settle_ends(struct journal *journal)
{
	for (size_t i = 0; i < journal->ends.size; i++) {
		const struct idmap_slot *slot = &journal->ends.slots[i];

		if (slot->id != 0 &&
		    (uintptr_t)slot->value / 2 + JOURNAL_SEGMENTS <=
			count_of(journal))
			idmap_put(&journal->settled, slot->id, NULL);
	}
	forget_settled(journal);
}

/* With an empty batch: goes on in the next segment, if nothing there counts. */
static bool
begin_next(struct journal *journal)
{
	uint64_t count = count_of(journal) + 1,
		 generation = count << 32 | random_number();
	unsigned place = count % JOURNAL_SEGMENTS;
	struct segment *segment = &journal->segments[place];
	int64_t now_ms = clock_ms();
	struct error err;

	if (segment->messages > 0 || now_ms < journal->again_at_ms)
		return false;
	if ((!segment->is_ready && make_segment(journal, place, &err) == -1) ||
	    open_to_write(journal, place, &err) == -1) {
		if (journal->again_at_ms == 0)
			log_line("alert: %s; new mail waits", err.text);
		journal->again_at_ms = now_ms + again_ms();
		return false;
	}
	if (write_header(journal, segment->fd, generation) == -1) {
		segment_failed(journal, count);
		return false;
	}
	journal->again_at_ms = 0;
	journal->generation = generation;
	journal->at = JOURNAL_PAGE_BYTES;
	journal->is_closed = false;
	settle_ends(journal);
	return true;
}

/* -- messages and ends */

static size_t
bytes_of(const struct journal_message *message)
{
	return JOURNAL_NEW_BYTES + message->record_length +
	    (message->body == NULL ? 0 : message->size_bytes);
}

bool
journal_fits(
    const struct journal *journal, const struct journal_message *message)
{
	return bytes_of(message) + JOURNAL_PAGE_BYTES <=
	    journal->segment_bytes - journal->segment_bytes / ENDS_SHARE;
}

bool
journal_add(struct journal *journal, const struct journal_message *message)
{
	size_t bytes = bytes_of(message);
	uint64_t id = message->id, count;

	assert(!idmap_has(&journal->messages, id));
	if (room_left(journal, false) < bytes &&
	    (journal->batch.length > 0 || !journal_fits(journal, message) ||
		!begin_next(journal)))
		return false;
	if (id >= journal->next_id)
		journal->next_id = id + 1;
	put_record(journal, JOURNAL_NEW, message, bytes);
	count = count_of(journal);
	idmap_put(&journal->messages, id, (void *)(uintptr_t)count);
	segment_of(journal, count)->messages++;
	idmap_put(&journal->added, id, NULL);
	return true;
}

/* It counts no more, since its client was told of a failure, or has ended. */
static void
end_message(struct journal *journal, uint64_t id, bool is_withdrawn)
{
	uintptr_t count = (uintptr_t)idmap_get(&journal->messages, id);

	if (count == 0)
		return;
	idmap_remove(&journal->messages, id);
	segment_of(journal, count)->messages--;
	idmap_put(
	    &journal->ends, id, (void *)(2 * count + (is_withdrawn ? 1 : 0)));
}

void
journal_end(struct journal *journal, uint64_t id)
{
	end_message(journal, id, false);
}

void
journal_forget(struct journal *journal, uint64_t id)
{
	end_message(journal, id, true);
	/* One that has files has ended here before. */
	idmap_put(&journal->ends, id, (void *)(2 * count_of(journal) + 1));
}

bool
journal_is_ending(const struct journal *journal, uint64_t id)
{
	return idmap_has(&journal->ends, id);
}

bool
journal_has_unwritten(const struct journal *journal)
{
	return journal->added.count > 0 || journal->ends.count > 0;
}

/* The batch, and ends.  0; -1 with errno, ENOSPC when no end has room. */
static int
write_batch(struct journal *journal, int flags)
{
	struct buf *batch = &journal->batch;
	uint64_t count;
	size_t left;

	if (batch->length == 0 &&
	    room_left(journal, true) < JOURNAL_END_BYTES &&
	    !begin_next(journal)) {
		errno = ENOSPC;
		return -1;
	}
	put_ends(journal);
	left = batch->length % JOURNAL_PAGE_BYTES;
	if (left > 0) {
		left = JOURNAL_PAGE_BYTES - left;
		memset(batch->data + batch->length, 0, left);
		batch->length += left;
	}
	count = count_of(journal);
	if (batch->length == 0 ||
	    write_pages(
		segment_of(journal, count)->fd, batch, journal->at, flags) == 0)
		return 0;
	journal->is_closed = true; /* nothing is certain of what follows */
	segment_failed(journal, count);
	return -1;
}

int
journal_commit(struct journal *journal)
{
	int result;

	if (!journal_has_unwritten(journal))
		return 0;
	result = write_batch(journal, RWF_DSYNC);
	if (result == 0) {
		journal->at += journal->batch.length;
		forget_settled(journal);
	}
	for (size_t i = 0; result == -1 && i < journal->added.size; i++)
		if (journal->added.slots[i].id != 0)
			end_message(journal, journal->added.slots[i].id, true);
	reset_batch(journal);
	return result;
}

int
journal_write_ends(struct journal *journal)
{
	int result;

	assert(journal->added.count == 0);
	if (journal->ends.count == 0)
		return 0;
	/* The next batch goes to the same place, and has them, too. */
	result = write_batch(journal, 0);
	reset_batch(journal);
	return result;
}

/* -- how it is */

uint64_t
journal_next_id(const struct journal *journal)
{
	return journal->next_id;
}

uint64_t
journal_segment(const struct journal *journal)
{
	return count_of(journal);
}

uint64_t
journal_wanted(const struct journal *journal)
{
	uint64_t next = count_of(journal) + 1;

	return journal->segments[next % JOURNAL_SEGMENTS].messages > 0 &&
		(journal->is_closed || journal->at > journal->segment_bytes / 2)
	    ? next - JOURNAL_SEGMENTS
	    : 0;
}

void
journal_read_stats(
    const struct journal *journal, struct journal_stats *stats_out)
{
	unsigned place, current = count_of(journal) % JOURNAL_SEGMENTS;

	*stats_out = (struct journal_stats){ .size_bytes = JOURNAL_SEGMENTS *
		    journal->segment_bytes,
		.messages = journal->messages.count };
	for (place = 0; place < JOURNAL_SEGMENTS; place++)
		if (place == current && !journal->is_closed)
			stats_out->used_bytes += journal->at;
		else if (journal->segments[place].messages > 0)
			stats_out->used_bytes += journal->segment_bytes;
}

/* -- the beginning and the end */

/*
 * What a process that was killed has written is not durable yet, and must not
 * be relied upon before; and what a failed sync has left in memory never is.
 */
static void
settle_files(const struct queue_dir *dir)
{
	int lock = queue_dir_fd(dir, QUEUE_LOCK, 0);

	for (unsigned place = 0; place < JOURNAL_SEGMENTS; place++) {
		char name[JOURNAL_NAME_SIZE];
		int fd;

		journal_name(name, place);
		fd = openat(
		    lock, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
		if (fd == -1)
			continue; /* journal_scan() has the reason */
		if (fdatasync(fd) == -1)
			log_line("alert: cannot sync '%s/lock/%s': %m",
			    dir->path, name);
		posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
		close(fd);
	}
}

static void
take_up(const struct journal_message *message, enum journal_type over,
    uint64_t count, void *context)
{
	struct journal *journal = context;
	const struct journal_finder *finder = journal->finder;

	if (over == JOURNAL_END && finder->ended != NULL)
		finder->ended(message->id, &message->uuid, finder->context);
	if (over != JOURNAL_NEW)
		return;
	idmap_put(&journal->messages, message->id, (void *)(uintptr_t)count);
	segment_of(journal, count)->messages++;
	if (finder->message != NULL)
		finder->message(message, count, finder->context);
}

/*
 * Keeps what may have more in it than could be read, under another name beside
 * those that were kept before, until its place is used again; then only there.
 */
static void
keep_damaged(const struct queue_dir *dir, unsigned place)
{
	int lock = queue_dir_fd(dir, QUEUE_LOCK, 0), number = 0, result;
	char from[JOURNAL_NAME_SIZE], to[sizeof(QUEUE_DAMAGED) + 16];
	struct stat st;

	journal_name(from, place);
	if (fstatat(lock, from, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    st.st_nlink > 1)
		return; /* an earlier start has done so */
	do
		snprintf(to, sizeof(to), QUEUE_DAMAGED "%d", ++number);
	while ((result = linkat(lock, from, lock, to, 0)) == -1 &&
	    errno == EEXIST);
	if (result == -1 || fsync(lock) == -1)
		log_line("alert: '%s/lock/%s' is damaged, and cannot be kept "
			 "as '%s': %m",
		    dir->path, from, to);
	else
		log_line("alert: '%s/lock/%s' was damaged, as by the disk, or "
			 "is of a newer release; all that could be read of it "
			 "is used, and it is kept for people: should a message "
			 "be missed, 'strings' may show it in lock/%s",
		    dir->path, from, to);
}

/*
 * The next one, and those that are not there: later there may be no room, and
 * ends have to be noted.  Another one, even if it is damaged, may have ends of
 * messages that are elsewhere.  On a full disk none has to be there: what is in
 * the queue is delivered meanwhile.
 */
static int
make_missing(struct journal *journal, struct error *err)
{
	uint64_t next = count_of(journal) + 1, count;

	for (count = next; count < next + JOURNAL_SEGMENTS; count++) {
		const struct segment *segment = segment_of(journal, count);

		if (segment->is_ready || segment->messages > 0 ||
		    (count > next && !segment->is_missing) ||
		    make_segment(journal, count % JOURNAL_SEGMENTS, err) == 0)
			continue;
		if (errno != ENOSPC && errno != EDQUOT)
			return -1;
		log_line("alert: %s; new mail will have to wait", err->text);
		return 0;
	}
	return 0;
}

static int
read_segments(struct journal *journal, struct error *err)
{
	struct journal_teller teller = {
		.message = take_up, .context = journal, .wants_all = true
	};
	struct journal_scan scan;

	if (journal_scan(journal->dir, &teller, &scan, err) == -1)
		return -1;
	journal->next_id = scan.next_id;
	journal->generation = scan.newest << 32;
	for (unsigned place = 0; place < JOURNAL_SEGMENTS; place++) {
		const struct journal_found *found = &scan.segments[place];

		journal->segments[place].is_missing = found->size_bytes == 0;
		journal->segments[place].is_ready = found->size_bytes ==
			journal->segment_bytes &&
		    !found->is_damaged;
		if (found->is_damaged)
			keep_damaged(journal->dir, place);
	}
	return 0;
}

static void
free_journal(struct journal **journal_in)
{
	struct journal *journal = *journal_in;

	for (unsigned place = 0; place < JOURNAL_SEGMENTS; place++)
		file_close(&journal->segments[place].fd);
	buf_release(&journal->batch);
	idmap_release(&journal->added);
	idmap_release(&journal->settled);
	idmap_release(&journal->messages);
	idmap_release(&journal->ends);
	free(journal);
	*journal_in = NULL;
}

int
journal_open(const struct queue_dir *dir, uint64_t size_bytes,
    const struct journal_finder *finder, struct journal **journal_out,
    struct error *err)
{
	struct journal *journal = xcalloc(1, sizeof(*journal));

	*journal_out = NULL;
	journal->dir = dir;
	journal->finder = finder;
	journal->segment_bytes = size_bytes / JOURNAL_SEGMENTS /
	    JOURNAL_PAGE_BYTES * JOURNAL_PAGE_BYTES;
	if (journal->segment_bytes < JOURNAL_SEGMENT_MIN)
		journal->segment_bytes = JOURNAL_SEGMENT_MIN;
	/* Nothing is written behind what another process wrote. */
	journal->at = journal->segment_bytes;
	journal->is_closed = true;
	for (unsigned place = 0; place < JOURNAL_SEGMENTS; place++)
		journal->segments[place].fd = -1;
	settle_files(dir);
	if (read_segments(journal, err) == -1 ||
	    make_missing(journal, err) == -1) {
		free_journal(&journal);
		return -1;
	}
	journal->finder = NULL;
	*journal_out = journal;
	return 0;
}

int
journal_close(struct journal **journal_in)
{
	struct journal *journal = *journal_in;
	int result;

	if (journal == NULL)
		return 0;
	result = journal_commit(journal);
	if (result == -1)
		log_line("alert: not all that has ended could be noted in "
			 "'%s/lock/" QUEUE_JOURNAL ".*': %m; it will be "
			 "delivered again",
		    journal->dir->path);
	free_journal(journal_in);
	return result;
}
