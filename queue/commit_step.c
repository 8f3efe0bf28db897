/* SPDX-License-Identifier: ISC */
/* The steps of one batch of the committer. */
#include "queue/commit_step.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "queue/exitcode.h"

enum { NO_TIME_CHANGE = 0 };

/* What the job does next depends on names in a folder that are durable. */
static void
need_folder(struct commit_batch *batch, struct commit_job *job,
    enum queue_folder folder)
{
	job->needs_folders_first = true;
	commit_add_folder_sync(
	    batch, queue_dir_fd(batch->dir, folder, job->id));
}

/* Content is written: start its write-back, and sync it with the batch. */
static void
add_file(struct commit_batch *batch, struct commit_job *job, int fd)
{
	sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE); /* only a hint */
	commit_add_sync(batch, fd, false, job);
}

/* Replaces the content of an open file. */
static int
put_content(int fd, const struct buf *content)
{
	size_t done = 0;
	struct stat st;

	while (done < content->length) {
		ssize_t n = pwrite(fd, content->data + done,
		    content->length - done, (off_t)done);

		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return -1;
		done += (size_t)n;
	}
	if (fstat(fd, &st) == -1)
		return -1;
	return st.st_size == (off_t)done ? 0 : ftruncate(fd, (off_t)done);
}

static void
write_new(struct commit_batch *batch, struct commit_job *job)
{
	off_t size = (off_t)job->size_bytes;
	struct stat st;

	job->is_journaled = batch->journal != NULL && !job->wants_file &&
	    journal_reserve(batch->journal, job->text[COMMIT_RECORD].length);
	if (!job->is_journaled &&
	    put_content(job->spare.envelope_fd, &job->text[COMMIT_RECORD]) ==
		-1) {
		commit_fail(job, QQ_INTD, "write envelope", "todo");
		return;
	}
	if (fstat(job->spare.mess_fd, &st) == -1 || st.st_size < size) {
		errno = EINVAL; /* the client said it wrote more */
		commit_fail(job, QQ_MESS, "use message", "mess");
		return;
	}
	if (st.st_size > size && ftruncate(job->spare.mess_fd, size) == -1) {
		commit_fail(job, QQ_WRITE_ERROR, "truncate", "mess");
		return;
	}
	if (!job->is_journaled)
		add_file(batch, job, job->spare.envelope_fd);
	add_file(batch, job, job->spare.mess_fd);
}

/* Writes one whole file under its final name (S5's files, made in S4). */
static void
write_file(struct commit_batch *batch, struct commit_job *job,
    enum commit_text text, enum queue_folder folder, time_t mtime)
{
	struct timespec times[2] = { { .tv_nsec = UTIME_NOW },
		{ .tv_sec = mtime } };
	int fd = queue_open_file(
	    batch->dir, folder, job->id, O_WRONLY | O_CREAT | O_TRUNC);

	job->files[text] = fd;
	if (fd == -1 || put_content(fd, &job->text[text]) == -1 ||
	    (mtime != NO_TIME_CHANGE && futimens(fd, times) == -1)) {
		commit_fail(
		    job, QQ_WRITE_ERROR, "write", queue_folder_name(folder));
		return;
	}
	add_file(batch, job, fd);
	commit_folder_changed(batch, folder, job->id);
}

static void
write_note(struct commit_batch *batch, struct commit_job *job)
{
	const struct buf *note = &job->text[COMMIT_BOUNCE];
	struct stat st;
	int fd;

	job->note_at = -1;
	if (note->length == 0)
		return;
	fd = queue_open_file(
	    batch->dir, QUEUE_BOUNCE, job->id, O_WRONLY | O_CREAT | O_APPEND);
	job->files[COMMIT_BOUNCE] = fd;
	if (fd == -1 || fstat(fd, &st) == -1) {
		commit_fail(job, QQ_WRITE_ERROR, "write", "bounce");
		return;
	}
	job->note_at = st.st_size;
	errno = ENOSPC; /* for a short count */
	if (write(fd, note->data, note->length) != (ssize_t)note->length) {
		commit_fail(job, QQ_WRITE_ERROR, "write", "bounce");
		return;
	}
	/* The note is durable, name and all, before anything is marked. */
	add_file(batch, job, fd);
	need_folder(batch, job, QUEUE_BOUNCE);
}

/*
 * The job will be done again, with its note: the report must not have it
 * twice, nor half of it.  An empty file would be a report of nothing.
 */
static void
undo_note(struct commit_batch *batch, struct commit_job *job)
{
	int fd = job->files[COMMIT_BOUNCE];

	if (job->note_at == -1 || job->is_note_kept)
		return;
	if (job->note_at > 0
		? ftruncate(fd, job->note_at) == -1
		: queue_unlink(batch->dir, QUEUE_BOUNCE, job->id) == -1)
		log_line("warning: a failure's note in bounce/%" PRIu64
			 " cannot be taken back, and may be reported twice: %m",
		    job->id);
}

static void
write_remember(struct commit_batch *batch, struct commit_job *job)
{
	/* What an interrupted try left must not be added to. */
	if (queue_unlink(batch->dir, QUEUE_LOCAL, job->id) == -1 ||
	    queue_unlink(batch->dir, QUEUE_REMOTE, job->id) == -1 ||
	    queue_unlink(batch->dir, QUEUE_BOUNCE, job->id) == -1) {
		commit_fail(job, QQ_WRITE_ERROR, "remove old files of", "info");
		return;
	}
	write_file(batch, job, COMMIT_RECORD, QUEUE_INFO, job->birth);
	if (job->text[COMMIT_LOCAL].length > 0)
		write_file(
		    batch, job, COMMIT_LOCAL, QUEUE_LOCAL, job->retry_at[0]);
	if (job->text[COMMIT_REMOTE].length > 0)
		write_file(
		    batch, job, COMMIT_REMOTE, QUEUE_REMOTE, job->retry_at[1]);
	write_note(batch, job);
}

/*
 * The files of an S5 that was begun and not completed, before the envelope
 * goes: else they would be taken for the next message with this number.
 */
static void
write_finish(struct commit_batch *batch, struct commit_job *job)
{
	static const enum queue_folder others[] = { QUEUE_LOCAL, QUEUE_REMOTE,
		QUEUE_BOUNCE, QUEUE_INFO };
	size_t i;

	if (!job->has_leftovers)
		return;
	for (i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		if (queue_unlink(batch->dir, others[i], job->id) == -1) {
			commit_fail(job, QQ_WRITE_ERROR, "remove old files of",
			    queue_folder_name(others[i]));
			return;
		}
		need_folder(batch, job, others[i]);
	}
}

void
commit_write(struct commit_batch *batch, struct commit_job *job)
{
	job->result = QQ_OK;
	job->needs_folders_first = false;
	switch (job->type) {
	case COMMIT_NEW:
		write_new(batch, job);
		break;
	case COMMIT_REMEMBER:
		write_remember(batch, job);
		break;
	case COMMIT_MARK:
		write_note(batch, job);
		break;
	case COMMIT_FINISH:
		write_finish(batch, job);
		break;
	case COMMIT_CHANNEL_END:
	case COMMIT_FORGET:
	case COMMIT_SWEEP:
	case COMMIT_TYPE_COUNT:
		break;
	}
}

static void
fail_folders(const struct commit_batch *batch, struct commit_job *job)
{
	errno = batch->folder_error;
	commit_fail(job, QQ_SYNC_FOLDER, "sync the folders of", "queue");
}

/* The content is synced: who finds the record finds the message, too. */
static void
journal_new(struct commit_batch *batch, struct commit_job *job)
{
	const struct buf *envelope = &job->text[COMMIT_RECORD];
	struct journal_record record = { .id = job->id,
		.size_bytes = job->size_bytes,
		.envelope = envelope->data,
		.length = envelope->length };
	struct stat st;

	if (fstat(job->spare.mess_fd, &st) == -1) {
		commit_fail(job, QQ_MESS, "stat", "mess");
		return;
	}
	record.mtime_s = st.st_mtime;
	journal_add(batch->journal, &record);
}

static void
name_todo(struct commit_batch *batch, struct commit_job *job)
{
	char from[QUEUE_NAME_SIZE], to[QUEUE_NAME_SIZE];

	spare_envelope_name(from, job->id);
	queue_name(to, job->id, "");
	if (renameat(queue_dir_fd(batch->dir, QUEUE_PID, job->id), from,
		queue_dir_fd(batch->dir, QUEUE_TODO, job->id), to) == -1)
		commit_fail(job, QQ_LINK_TODO, "place", "todo");
	else
		commit_folder_changed(batch, QUEUE_TODO, job->id);
}

static void
place_new(struct commit_batch *batch, struct commit_job *job)
{
	if (!job->spare.is_named)
		commit_folder_changed(batch, QUEUE_MESS, job->id);
	if (job->is_journaled)
		journal_new(batch, job);
	else
		name_todo(batch, job);
	if (job->result != QQ_OK)
		return;
	job->spare.is_named = true; /* when this batch is synced */
	batch->needs_folder_sync = true;
}

/* The envelope in the journal counts no more.  Is there one in todo/? */
static bool
end_journaled(struct commit_batch *batch, uint64_t id)
{
	enum journal_place place;

	if (batch->journal == NULL)
		return true;
	place = journal_find(batch->journal, id);
	journal_end(batch->journal, id);
	return place != JOURNAL_HERE;
}

static void
place_finish(struct commit_batch *batch, struct commit_job *job)
{
	int todo = queue_dir_fd(batch->dir, QUEUE_TODO, job->id);
	int pid = queue_dir_fd(batch->dir, QUEUE_PID, job->id);
	bool is_whole = job->spare.mess_fd != -1 &&
	    job->spare.envelope_fd != -1;
	char from[QUEUE_NAME_SIZE], to[QUEUE_NAME_SIZE];

	/* Without its envelope the message is over: S2, and a pair. */
	if (!end_journaled(batch, job->id)) {
		commit_add_pair(batch, &job->spare, !is_whole);
		return;
	}
	commit_folder_changed(batch, QUEUE_TODO, job->id);
	if (!is_whole) {
		if (queue_unlink(batch->dir, QUEUE_TODO, job->id) == -1)
			commit_fail(job, QQ_LINK_TODO, "remove", "todo");
		else
			commit_add_pair(batch, &job->spare, true);
		return;
	}
	queue_name(from, job->id, "");
	spare_envelope_name(to, job->id);
	/*
	 * A power cut can have left both names to the file, and then a rename
	 * of one to the other does nothing.
	 */
	unlinkat(pid, to, 0);
	if (renameat(todo, from, pid, to) == 0)
		commit_add_pair(batch, &job->spare, false);
	else if (errno != ENOENT) /* or it was taken away: over all the same */
		commit_fail(job, QQ_LINK_TODO, "take away", "todo");
}

static void
place_mark(struct commit_batch *batch, struct commit_job *job)
{
	int which = job->channel == QUEUE_REMOTE;
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT },
		{ .tv_sec = job->retry_at[which] } };
	int fd = queue_open_file(batch->dir, job->channel, job->id, O_WRONLY);
	size_t i;

	/* Synced; and a mark without its note would be a lost report. */
	job->is_note_kept = true;
	job->files[COMMIT_TEXT_COUNT] = fd;
	if (fd == -1) {
		commit_fail(job, QQ_WRITE_ERROR, "open",
		    queue_folder_name(job->channel));
		return;
	}
	for (i = 0; i < job->mark_count; i++)
		if (pwrite(fd, "D", 1, (off_t)job->marks[i]) != 1) {
			commit_fail(job, QQ_WRITE_ERROR, "mark",
			    queue_folder_name(job->channel));
			return;
		}
	if (job->retry_at[which] != NO_TIME_CHANGE && futimens(fd, times) == -1)
		commit_fail(job, QQ_WRITE_ERROR, "set the time of",
		    queue_folder_name(job->channel));
	if (job->mark_count > 0) {
		commit_add_sync(batch, fd, false, job);
		batch->needs_folder_sync = true; /* syncs the marks too */
	}
}

static void
place_forget(struct commit_batch *batch, struct commit_job *job)
{
	/* Those that went before, as jobs of their own, are as little durable.
	 */
	commit_folder_changed(batch, QUEUE_TODO, job->id);
	commit_folder_changed(batch, QUEUE_LOCAL, job->id);
	commit_folder_changed(batch, QUEUE_REMOTE, job->id);
	commit_folder_changed(batch, QUEUE_BOUNCE, job->id);
	commit_folder_changed(batch, QUEUE_INFO, job->id);
	if (queue_unlink(batch->dir, QUEUE_BOUNCE, job->id) == -1)
		commit_fail(job, QQ_WRITE_ERROR, "remove", "bounce");
	else if (queue_unlink(batch->dir, QUEUE_INFO, job->id) == -1)
		commit_fail(job, QQ_WRITE_ERROR, "remove", "info");
	else
		commit_add_pair(batch, &job->spare, true);
}

static bool
is_absent(const struct commit_batch *batch, enum queue_folder folder,
    uint64_t id, const char *suffix)
{
	char name[QUEUE_NAME_SIZE];

	queue_name(name, id, suffix);
	return faccessat(queue_dir_fd(batch->dir, folder, id), name, F_OK,
		   AT_SYMLINK_NOFOLLOW) == -1 &&
	    errno == ENOENT;
}

/*
 * Here, in the thread that gives messages their names, the files cannot move
 * between one look and the next.
 */
static void
place_sweep(struct commit_batch *batch, struct commit_job *job)
{
	char name[QUEUE_NAME_SIZE];
	struct stat st;

	queue_name(name, job->id, "");
	if (fstatat(queue_dir_fd(batch->dir, QUEUE_MESS, job->id), name, &st,
		AT_SYMLINK_NOFOLLOW) == -1 ||
	    st.st_mtime >= time(NULL) - COMMIT_GARBAGE_S ||
	    !is_absent(batch, QUEUE_TODO, job->id, "") ||
	    !is_absent(batch, QUEUE_INFO, job->id, "") ||
	    !is_absent(batch, QUEUE_PID, job->id, ".e"))
		return;
	if (queue_unlink(batch->dir, QUEUE_INTD, job->id) == -1)
		commit_fail(job, QQ_WRITE_ERROR, "remove", "intd");
	else if (queue_unlink(batch->dir, QUEUE_MESS, job->id) == -1)
		commit_fail(job, QQ_WRITE_ERROR, "remove", "mess");
}

void
commit_place(struct commit_batch *batch, struct commit_job *job)
{
	if (job->needs_folders_first && batch->folder_error != 0) {
		fail_folders(batch, job);
		return;
	}
	switch (job->type) {
	case COMMIT_NEW:
		place_new(batch, job);
		break;
	case COMMIT_FINISH:
		place_finish(batch, job);
		break;
	case COMMIT_REMEMBER:
		batch->needs_folder_sync = true;
		break;
	case COMMIT_MARK:
		place_mark(batch, job);
		break;
	case COMMIT_CHANNEL_END:
		if (queue_unlink(batch->dir, job->channel, job->id) == -1)
			commit_fail(job, QQ_WRITE_ERROR, "remove",
			    queue_folder_name(job->channel));
		commit_folder_changed(batch, job->channel, job->id);
		break;
	case COMMIT_FORGET:
		place_forget(batch, job);
		break;
	case COMMIT_SWEEP:
		place_sweep(batch, job);
		break;
	case COMMIT_TYPE_COUNT:
		break;
	}
}

/* Nobody will hear 250 for it: what was placed goes away again. */
static void
undo_new(struct commit_batch *batch, struct commit_job *job)
{
	if (end_journaled(batch, job->id)) {
		queue_unlink(batch->dir, QUEUE_TODO, job->id);
		commit_folder_changed(batch, QUEUE_TODO, job->id);
	}
	commit_add_pair(batch, &job->spare, true);
	commit_note_waiting(batch, clock_us());
}

/* info and the others are durable: the envelope may go. */
static void
end_remember(struct commit_batch *batch, struct commit_job *job)
{
	char name[QUEUE_NAME_SIZE];

	if (end_journaled(batch, job->id)) {
		if (queue_unlink(batch->dir, QUEUE_TODO, job->id) == -1)
			commit_fail(job, QQ_LINK_TODO, "remove", "todo");
		commit_folder_changed(batch, QUEUE_TODO, job->id);
	} else {
		/* It would be one more file for each message that waits. */
		spare_envelope_name(name, job->id);
		unlinkat(queue_dir_fd(batch->dir, QUEUE_PID, job->id), name, 0);
	}
	spare_close(&job->spare);
}

void
commit_end(struct commit_batch *batch, struct commit_job *job)
{
	bool needs_folders = job->type == COMMIT_NEW ||
	    job->type == COMMIT_REMEMBER;
	size_t i;

	if (job->type == COMMIT_MARK && job->result != QQ_OK)
		undo_note(batch, job);
	for (i = 0; i < sizeof(job->files) / sizeof(job->files[0]); i++) {
		if (job->files[i] != -1)
			close(job->files[i]);
		job->files[i] = -1;
	}
	if (needs_folders && batch->folder_error != 0)
		fail_folders(batch, job);
	if (job->is_journaled && batch->journal_error != 0) {
		errno = batch->journal_error;
		commit_fail(
		    job, QQ_SYNC, "sync the envelope of", "lock/journal");
	}
	if (job->type == COMMIT_NEW && job->result != QQ_OK)
		undo_new(batch, job);
	if (job->type == COMMIT_REMEMBER && job->result == QQ_OK)
		end_remember(batch, job);
}
