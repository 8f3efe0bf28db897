/* SPDX-License-Identifier: ISC */
/* The journal of a queue: its file, and what of it still counts. */
#include "queue/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "queue/idmap.h"
#include "queue/journal_fill.h"
#include "queue/journal_view.h"

enum {
	FILE_BYTES = JOURNAL_HALVES * JOURNAL_HALF_BYTES,
	/* of each half, for ends: they always find room */
	ENDS_BYTES = 64 * 1024,
	FILL_MAX = 128, /* a batch waits for so many files, not for more */
	AGAIN_MS = 1000
};

/* An envelope that is here. */
struct entry {
	struct entry *next, **link;   /* the oldest first */
	struct journal_record record; /* its envelope is on disk only ... */
	uint64_t generation;
	unsigned half;
	size_t at; /* ... in the record here, in the half */
	int64_t since_ms;
	bool is_in_todo; /* perhaps */
};

struct journal {
	const struct queue_dir *dir;
	int fd;
	unsigned half; /* that is written now */
	uint64_t generation;
	size_t at;           /* in the half: all before it is durable */
	size_t reserved;     /* for this batch, and not added yet */
	struct buf unsynced; /* what goes there */
	size_t written;      /* of these bytes */
	size_t syncing;      /* of those written */
	bool is_full;        /* the half */
	bool is_broken;      /* the half: nothing behind at is certain */
	int64_t lost_ms;     /* clock_ms() of the last failure; or 0 */
	int64_t again_ms;    /* clock_ms(): after a failure; or 0 */
	struct entry *oldest, **newest_end;
	struct idmap entries;
};

/* -- entries */

static struct entry *
add_entry(struct journal *journal, const struct journal_record *record)
{
	struct entry *entry = xcalloc(1, sizeof(*entry));

	entry->record = *record;
	entry->record.envelope = NULL;
	entry->generation = journal->generation;
	entry->half = journal->half;
	entry->since_ms = clock_ms();
	entry->link = journal->newest_end;
	*entry->link = entry;
	journal->newest_end = &entry->next;
	idmap_put(&journal->entries, record->id, entry);
	return entry;
}

static void
remove_entry(struct journal *journal, struct entry *entry)
{
	*entry->link = entry->next;
	if (entry->next != NULL)
		entry->next->link = entry->link;
	else
		journal->newest_end = entry->link;
	idmap_remove(&journal->entries, entry->record.id);
	free(entry);
}

enum journal_place
journal_find(const struct journal *journal, uint64_t id)
{
	const struct entry *entry = idmap_get(&journal->entries, id);

	if (entry == NULL)
		return JOURNAL_NOT;
	return entry->is_in_todo ? JOURNAL_AND_TODO : JOURNAL_HERE;
}

/* -- what is written */

bool
journal_reserve(struct journal *journal, size_t length)
{
	size_t bytes = length + JOURNAL_BEFORE_ENVELOPE;

	if (length > JOURNAL_ENVELOPE_MAX || journal->is_broken)
		return false;
	if (journal->at + journal->unsynced.length + journal->reserved + bytes >
	    JOURNAL_HALF_BYTES - ENDS_BYTES) {
		journal->is_full = true;
		return false;
	}
	journal->reserved += bytes;
	return true;
}

void
journal_add(struct journal *journal, const struct journal_record *record)
{
	struct entry *entry = idmap_get(&journal->entries, record->id);

	if (entry != NULL) /* its message was taken away by hand */
		remove_entry(journal, entry);
	entry = add_entry(journal, record);
	entry->at = journal->at + journal->unsynced.length;
	journal_put_record(&journal->unsynced, journal->generation, record);
}

static void
put_end(struct journal *journal, uint64_t id)
{
	struct journal_record over = { .id = id, .is_over = true };

	journal_put_record(&journal->unsynced, journal->generation, &over);
}

void
journal_end(struct journal *journal, uint64_t id)
{
	struct entry *entry = idmap_get(&journal->entries, id);

	if (entry == NULL)
		return;
	remove_entry(journal, entry);
	put_end(journal, id);
}

static bool
has_room(const struct journal *journal)
{
	return journal->at + journal->unsynced.length <= JOURNAL_HALF_BYTES;
}

bool
journal_has_unsynced(const struct journal *journal)
{
	return journal->unsynced.length > 0 && !journal->is_broken &&
	    has_room(journal);
}

int
journal_fd(const struct journal *journal)
{
	return journal->fd;
}

static off_t
place_of(unsigned half, size_t at)
{
	return (off_t)(half * (size_t)JOURNAL_HALF_BYTES + at);
}

/* All of it at its place in the half. */
static int
write_at(struct journal *journal, size_t at, const char *data, size_t length)
{
	size_t done = 0;

	while (done < length) {
		ssize_t n = pwrite(journal->fd, data + done, length - done,
		    place_of(journal->half, at + done));

		if (n == -1 && errno != EINTR)
			return -1;
		if (n > 0)
			done += (size_t)n;
	}
	return 0;
}

/* With errno, which stays. */
static void
is_lost(struct journal *journal, const char *what)
{
	int64_t now_ms = clock_ms();
	int saved_errno = errno;

	journal->is_broken = true;
	if (journal->lost_ms != 0 && now_ms < journal->lost_ms + AGAIN_MS)
		journal->again_ms = now_ms + AGAIN_MS; /* not over and over */
	journal->lost_ms = now_ms;
	log_line("alert: cannot %s '%s/lock/" QUEUE_JOURNAL
		 "': %m; going on in its other half",
	    what, journal->dir->path);
	errno = saved_errno;
}

int
journal_write(struct journal *journal)
{
	size_t left = journal->unsynced.length - journal->written;

	journal->reserved = 0;
	if (journal->unsynced.length == 0)
		return 0;
	if (journal->is_broken) { /* also when all of it is written */
		errno = EIO;
		return -1;
	}
	if (left == 0)
		return 0;
	if (!has_room(journal)) {
		journal->is_full = true;
		errno = ENOSPC;
		return -1;
	}
	if (write_at(journal, journal->at + journal->written,
		journal->unsynced.data + journal->written, left) == -1) {
		is_lost(journal, "write");
		return -1;
	}
	journal->written += left;
	return 0;
}

bool
journal_begin_sync(struct journal *journal)
{
	journal->syncing = journal->is_broken ? 0 : journal->written;
	return journal->syncing > 0;
}

void
journal_synced(struct journal *journal, int error)
{
	size_t done = journal->syncing;

	journal->syncing = 0;
	if (error == 0) {
		journal->at += done;
		journal->written -= done;
		buf_drop(&journal->unsynced, done);
		return;
	}
	/* The kernel may have dropped it, and the next sync would not say. */
	errno = error;
	is_lost(journal, "sync");
}

/* -- from here into todo/ */

/* The record of an entry; its envelope is in data, which has the room. */
static int
read_record(const struct journal *journal, const struct entry *entry,
    char *data, struct journal_record *record_out)
{
	size_t length = JOURNAL_BEFORE_ENVELOPE + entry->record.length, at = 0;
	ssize_t n = pread(
	    journal->fd, data, length, place_of(entry->half, entry->at));

	if (n == -1)
		return -1;
	errno = EBADMSG;
	return n == (ssize_t)length &&
		journal_get_record(
		    data, length, entry->generation, &at, record_out) &&
		record_out->length == entry->record.length &&
		record_out->id == entry->record.id
	    ? 0
	    : -1;
}

/* The records of these entries, with their envelopes in texts. */
static int
read_records(const struct journal *journal, struct entry **entries,
    size_t count, struct journal_record *records, struct buf *texts,
    struct error *err)
{
	size_t i, all = 0;

	for (i = 0; i < count; i++)
		all += JOURNAL_BEFORE_ENVELOPE + entries[i]->record.length;
	buf_reserve(texts, all);
	for (i = 0; i < count; i++) {
		if (read_record(journal, entries[i],
			texts->data + texts->length, &records[i]) == -1)
			return error_sys(err,
			    "cannot read an envelope in '%s/lock/" QUEUE_JOURNAL
			    "'",
			    journal->dir->path);
		texts->length += JOURNAL_BEFORE_ENVELOPE +
		    entries[i]->record.length;
	}
	return 0;
}

/* At most FILL_MAX of the oldest, of which count is known to be there. */
static int
fill_oldest(struct journal *journal, size_t count, struct error *err)
{
	struct entry *entries[FILL_MAX], *entry = journal->oldest;
	struct journal_record records[FILL_MAX];
	struct buf texts = BUF_INIT;
	int result;
	size_t i;

	for (i = 0; i < count; i++, entry = entry->next)
		entries[i] = entry;
	result = read_records(journal, entries, count, records, &texts, err);
	if (result == 0) {
		for (i = 0; i < count; i++)
			entries[i]->is_in_todo = true;
		result = journal_fill(journal->dir, true, records, count, err);
	}
	for (i = 0; result == 0 && i < count; i++)
		journal_end(journal, records[i].id);
	buf_release(&texts);
	return result;
}

/* How many of the oldest, at most FILL_MAX, came before or are of the half. */
static size_t
count_oldest(const struct journal *journal, int64_t before_ms, int half)
{
	const struct entry *entry = journal->oldest;
	size_t count = 0;

	for (; entry != NULL && count < FILL_MAX; entry = entry->next) {
		if (entry->since_ms > before_ms && (int)entry->half != half)
			break;
		count++;
	}
	return count;
}

/* -- halves */

/* What is not durable gets the new generation; only ends still count. */
static void
renew_unsynced(struct journal *journal)
{
	struct buf old = journal->unsynced;
	uint64_t generation = journal->generation - 1;
	struct journal_record record;
	size_t at = 0;

	journal->unsynced = (struct buf)BUF_INIT;
	journal->written = 0;
	while (
	    journal_get_record(old.data, old.length, generation, &at, &record))
		if (record.is_over)
			put_end(journal, record.id);
	buf_release(&old);
}

/*
 * Goes on in the other half, where nothing counts any more.  Its header is
 * durable before anything follows it, so that no record of an earlier
 * generation is taken for one that counts.
 */
static int
begin_half(struct journal *journal, struct error *err)
{
	struct buf header = BUF_INIT;
	int result = 0;

	journal->half = !journal->half;
	journal_put_header(&header, journal->generation + 1);
	if (write_at(journal, 0, header.data, header.length) == -1 ||
	    fdatasync(journal->fd) == -1) {
		journal->half = !journal->half;
		journal->is_broken = true;
		result = error_sys(err,
		    "cannot write '%s/lock/" QUEUE_JOURNAL "'",
		    journal->dir->path);
	} else {
		journal->generation++;
		journal->at = JOURNAL_HEADER_BYTES;
		journal->is_full = journal->is_broken = false;
		renew_unsynced(journal);
	}
	buf_release(&header);
	return result;
}

static int
turn(struct journal *journal, struct error *err)
{
	size_t count;

	while ((count = count_oldest(journal, 0, !journal->half)) > 0)
		if (fill_oldest(journal, count, err) == -1)
			return -1;
	return begin_half(journal, err);
}

static void
try_again(struct journal *journal, int64_t now_ms, const struct error *err)
{
	log_line("alert: %s; will try again", err->text);
	journal->again_ms = now_ms + AGAIN_MS;
}

void
journal_tend(struct journal *journal, int64_t now_ms)
{
	struct error err;
	size_t count;

	journal->reserved = 0;
	if (now_ms < journal->again_ms)
		return;
	journal->again_ms = 0;
	count = count_oldest(journal, now_ms - JOURNAL_STAY_MS, -1);
	if (count > 0 && fill_oldest(journal, count, &err) == -1)
		try_again(journal, now_ms, &err);
	/* It may be possible all the same: it is about other envelopes. */
	if ((journal->is_full || journal->is_broken) &&
	    turn(journal, &err) == -1)
		try_again(journal, now_ms, &err);
}

int64_t
journal_next_ms(const struct journal *journal)
{
	if (journal->again_ms != 0)
		return journal->again_ms;
	if (journal->is_broken)
		return 1; /* at once */
	return journal->oldest == NULL
	    ? 0
	    : journal->oldest->since_ms + JOURNAL_STAY_MS;
}

/* -- the file */

/* All zeros, so that writing in it changes nothing but its content. */
static int
make_file(const struct queue_dir *dir, struct error *err)
{
	static const char zeros[64 * 1024], name[] = "journal.new";
	int lock = queue_dir_fd(dir, QUEUE_LOCK, 0), result = 0, i;
	int fd;

	/* A power cut can have left it as another name of the journal. */
	unlinkat(lock, name, 0);
	fd = openat(lock, name,
	    O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	for (i = 0;
	     fd != -1 && result == 0 && i < FILE_BYTES / (int)sizeof(zeros);
	     i++)
		result = file_write_all(fd, zeros, sizeof(zeros));
	if (fd == -1 || result == -1 || fsync(fd) == -1 ||
	    renameat(lock, name, lock, QUEUE_JOURNAL) == -1 ||
	    fsync(lock) == -1)
		result = error_sys(err,
		    "cannot make '%s/lock/" QUEUE_JOURNAL "' (%d bytes)",
		    dir->path, FILE_BYTES);
	if (fd != -1)
		close(fd);
	if (result == -1)
		unlinkat(lock, name, 0);
	return result;
}

static int
open_file(const struct queue_dir *dir)
{
	return openat(queue_dir_fd(dir, QUEUE_LOCK, 0), QUEUE_JOURNAL,
	    O_RDWR | O_CLOEXEC | O_NOFOLLOW);
}

/* The descriptor of a whole file, made if there is none; or -1. */
static int
open_whole(const struct queue_dir *dir, struct error *err)
{
	int fd = open_file(dir);
	struct stat st;

	if (fd != -1 && fstat(fd, &st) == 0 && st.st_size == FILE_BYTES)
		return fd;
	if (fd != -1)
		close(fd);
	else if (errno != ENOENT)
		return error_sys(
		    err, "cannot open '%s/lock/" QUEUE_JOURNAL "'", dir->path);
	if (make_file(dir, err) == -1)
		return -1;
	fd = open_file(dir);
	return fd != -1
	    ? fd
	    : error_sys(
		  err, "cannot open '%s/lock/" QUEUE_JOURNAL "'", dir->path);
}

static int
set_aside(const struct queue_dir *dir, const struct journal_record *record,
    struct error *err)
{
	if (journal_set_aside(dir, record, err) == -1)
		return -1;
	log_line("alert: mess/%" PRIu64 " is not the message that was queued "
		 "with this number; the envelope is kept as "
		 "'%s/lock/envelope.%" PRIu64 "' (do they belong together all "
		 "the same? stop the queue and move it to todo/%" PRIu64 ")",
	    record->id, dir->path, record->id, record->id);
	return 0;
}

/* Only one that has its message goes into todo/. */
static int
check_messages(const struct queue_dir *dir, bool is_repair,
    struct journal_view *view, struct error *err)
{
	size_t i, kept = 0;

	for (i = 0; i < view->count; i++) {
		const struct journal_record *record = &view->records[i];

		switch (journal_match(dir, record)) {
		case JOURNAL_OTHER:
			if (set_aside(dir, record, err) == -1)
				return -1;
			continue;
		case JOURNAL_ABSENT:
			if (is_repair) /* perhaps in another folder */
				break;
			/* The next message may get the number any moment. */
			log_line("warning: the envelope of %" PRIu64
				 " has no message, so it was never "
				 "acknowledged; dropped",
			    record->id);
			continue;
		case JOURNAL_MATCH:
		case JOURNAL_UNKNOWN:
			break;
		}
		view->records[kept++] = *record;
	}
	view->count = kept;
	return 0;
}

/*
 * What cannot be read may be what somebody looks for; beside what was kept
 * before.
 */
static int
keep_damaged(const struct queue_dir *dir, struct error *err)
{
	int lock = queue_dir_fd(dir, QUEUE_LOCK, 0), result, number = 0;
	char name[sizeof(QUEUE_DAMAGED) + 16];

	do
		snprintf(name, sizeof(name), QUEUE_DAMAGED "%d", ++number);
	while ((result = renameat2(
		    lock, QUEUE_JOURNAL, lock, name, RENAME_NOREPLACE)) == -1 &&
	    errno == EEXIST);
	if (result == -1 || fsync(lock) == -1)
		return error_sys(err,
		    "cannot rename '%s/lock/" QUEUE_JOURNAL "'", dir->path);
	log_line("alert: '%s/lock/" QUEUE_JOURNAL
		 "' was damaged, as by a power "
		 "cut in the middle of a write, or by the disk; should a "
		 "message be missed, 'strings' shows the addresses in lock/%s",
	    dir->path, name);
	return 0;
}

/* What an earlier process left goes into todo/. */
static int
take_over(const struct queue_dir *dir, bool is_repair,
    struct journal_view *view, struct error *err)
{
	if (check_messages(dir, is_repair, view, err) == -1 ||
	    journal_fill(dir, false, view->records, view->count, err) == -1 ||
	    (view->is_damaged && keep_damaged(dir, err) == -1))
		return -1;
	if (view->count > 0)
		log_line("took %zu envelopes from lock/" QUEUE_JOURNAL
			 " to todo/",
		    view->count);
	return 0;
}

/* Makes all of it durable, outside of a batch. */
static int
flush(struct journal *journal, struct error *err)
{
	int result = journal_write(journal);

	if (result == 0 && journal_begin_sync(journal)) {
		result = fdatasync(journal->fd);
		journal_synced(journal, result == 0 ? 0 : errno);
	}
	return result == 0
	    ? 0
	    : error_sys(err, "cannot write '%s/lock/" QUEUE_JOURNAL "'",
		  journal->dir->path);
}

static void
release(struct journal **journal_in)
{
	struct journal *journal = *journal_in;

	while (journal->oldest != NULL)
		remove_entry(journal, journal->oldest);
	idmap_release(&journal->entries);
	buf_release(&journal->unsynced);
	if (journal->fd != -1)
		close(journal->fd);
	free(journal);
	*journal_in = NULL;
}

/*
 * Both halves are begun anew, since nothing in them counts.  Only then that is
 * certain: ends that we have read may not be on the disk, when their sync
 * failed and the process was killed, and no later sync would say so.
 */
static int
start(struct journal *journal, struct error *err)
{
	journal->fd = open_whole(journal->dir, err);
	return journal->fd != -1 && begin_half(journal, err) == 0 &&
		begin_half(journal, err) == 0
	    ? 0
	    : -1;
}

/* For the reason in err: goes on without, and nobody ever finds it there. */
static int
remove_file(const struct queue_dir *dir, struct error *err)
{
	int lock = queue_dir_fd(dir, QUEUE_LOCK, 0);

	log_line("warning: %s; each message gets a file in todo/ instead, "
		 "until the next start",
	    err->text);
	if ((unlinkat(lock, QUEUE_JOURNAL, 0) == -1 && errno != ENOENT) ||
	    fsync(lock) == -1)
		return error_sys(err,
		    "cannot remove '%s/lock/" QUEUE_JOURNAL "'", dir->path);
	return 0;
}

int
journal_open(const struct queue_dir *dir, bool is_repair,
    struct journal **journal_out, struct error *err)
{
	struct journal *journal = xcalloc(1, sizeof(*journal));
	struct journal_view view;
	int result;

	*journal_out = NULL;
	journal->dir = dir;
	journal->fd = -1;
	journal->newest_end = &journal->oldest;
	result = journal_view_open(dir, &view, err);
	if (result == 0) {
		journal->half = view.generations[1] > view.generations[0];
		journal->generation = view.generations[journal->half];
		result = take_over(dir, is_repair, &view, err);
		journal_view_release(&view);
	}
	if (result == 0 && start(journal, err) == 0) {
		*journal_out = journal;
		return 0;
	}
	if (result == 0)
		result = remove_file(dir, err);
	release(&journal);
	return result;
}

int
journal_close(struct journal **journal_in)
{
	struct journal *journal = *journal_in;
	struct error err;
	int result = 0;

	if (journal == NULL)
		return 0;
	while (result == 0 && journal->oldest != NULL)
		result = fill_oldest(
		    journal, count_oldest(journal, INT64_MAX, -1), &err);
	if (result == 0 && (journal->is_full || journal->is_broken))
		result = turn(journal, &err);
	if (result == 0)
		result = flush(journal, &err);
	if (result == -1)
		log_line("alert: %s; envelopes are left in the journal, and "
			 "qmail-send or queue-fix has to take them out",
		    err.text);
	release(journal_in);
	return result;
}
