/* SPDX-License-Identifier: ISC */
/*
 * The steps of the keeper's jobs.  All jobs of a batch do a step, then what
 * they wait for is synced, then those that have not failed do the next one:
 *
 *   TODO         contents, mess/      todo/
 *   REMEMBER     contents, mess/,     info/            todo/ goes
 *                local/, remote/,
 *                bounce/
 *   MARK         note, bounce/        marks
 *   CHANNEL_END  local/ or remote/
 *   FORGET       what is beside       info/, todo/ go  mess/, pid/ go
 *                info/ or todo/ goes
 *   SWEEP        the same             mess/, pid/ go
 */
#include "base/file.h"
#include "queue/keep_private.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "queue/exitcode.h"
#include "queue/remembered.h"

enum { STEP_COUNT = 4, NO_TIME_CHANGE = 0 };

/* -- files */

static int
put_bytes(int fd, const struct buf *content)
{
	size_t done = 0;

	while (done < content->length) {
		ssize_t n = pwrite(fd, content->data + done,
		    content->length - done, (off_t)done);

		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return -1;
		done += (size_t)n;
	}
	return 0;
}

/*
 * A new file, always: after a power cut the name can be there, and be another
 * one for the file in todo/, too.
 */
static int
open_in_pid(const struct keep_syncs *syncs, uint64_t id)
{
	int flags = O_WRONLY | O_CREAT | O_EXCL;
	int fd = queue_open_file(syncs->dir, QUEUE_PID, id, flags);

	if (fd == -1 && errno == EEXIST &&
	    queue_unlink(syncs->dir, QUEUE_PID, id) == 0)
		fd = queue_open_file(syncs->dir, QUEUE_PID, id, flags);
	return fd;
}

/* Writes one whole file; the job waits for its content and its name. */
static void
write_kept_file(struct keep_syncs *syncs, struct keep_job *job,
    enum keep_text text, const struct buf *content, enum queue_folder folder,
    time_t mtime)
{
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT },
		{ .tv_sec = mtime } };
	const char *name = queue_folder_name(folder);
	int fd = folder == QUEUE_PID
	    ? open_in_pid(syncs, job->id)
	    : queue_open_file(
		  syncs->dir, folder, job->id, O_WRONLY | O_CREAT | O_TRUNC);

	job->files[text] = fd;
	if (fd == -1 || put_bytes(fd, content) == -1 ||
	    (mtime != NO_TIME_CHANGE && futimens(fd, times) == -1)) {
		keep_fail(job, "write", name);
		return;
	}
	keep_wait_file(syncs, job, fd, name);
	if (folder == QUEUE_PID)
		return; /* it gets another name */
	keep_changed(syncs, folder, job->id);
	keep_wait_folder(syncs, job, folder);
}

/* Removes a file, if it is there, and the job waits for that. */
static void
remove_kept_file(
    struct keep_syncs *syncs, struct keep_job *job, enum queue_folder folder)
{
	char name[QUEUE_NAME_SIZE];

	queue_name(name, job->id);
	if (unlinkat(queue_dir_fd(syncs->dir, folder, job->id), name, 0) == 0)
		keep_changed(syncs, folder, job->id);
	else if (errno != ENOENT)
		keep_fail(job, "remove", queue_folder_name(folder));
	keep_wait_folder(syncs, job, folder);
}

static int
move_kept_file(const struct keep_syncs *syncs, uint64_t id,
    enum queue_folder from, enum queue_folder to)
{
	char name[QUEUE_NAME_SIZE];

	queue_name(name, id);
	return renameat(queue_dir_fd(syncs->dir, from, id), name,
	    queue_dir_fd(syncs->dir, to, id), name);
}

/* -- TODO and REMEMBER */

static void
write_mess(struct keep_syncs *syncs, struct keep_job *job)
{
	if (job->has_new_file) {
		keep_changed(syncs, QUEUE_MESS, job->id);
		keep_wait_folder(syncs, job, QUEUE_MESS);
	}
	if (job->has_file)
		return;
	write_kept_file(syncs, job, KEEP_BODY,
	    job->body != NULL ? job->body : &job->text[KEEP_BODY], QUEUE_MESS,
	    job->birth);
	job->has_new_mess = job->files[KEEP_BODY] != -1;
}

static void
write_todo(struct keep_syncs *syncs, struct keep_job *job)
{
	write_mess(syncs, job);
	write_kept_file(syncs, job, KEEP_RECORD, &job->text[KEEP_RECORD],
	    QUEUE_PID, NO_TIME_CHANGE);
}

static void
write_remember(struct keep_syncs *syncs, struct keep_job *job)
{
	const struct {
		enum keep_text text;
		enum queue_folder folder;
		time_t mtime;
	} rows[] = {
		{ KEEP_LOCAL, QUEUE_LOCAL, job->retry_at[0] },
		{ KEEP_REMOTE, QUEUE_REMOTE, job->retry_at[1] },
		{ KEEP_BOUNCE, QUEUE_BOUNCE, NO_TIME_CHANGE },
	};

	/* First: it says of the others that they are on their way. */
	write_kept_file(syncs, job, KEEP_RECORD, &job->text[KEEP_RECORD],
	    QUEUE_PID, job->birth);
	write_mess(syncs, job);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct buf *content = &job->text[rows[i].text];

		/* What an interrupted try left goes. */
		if (content->length == 0)
			remove_kept_file(syncs, job, rows[i].folder);
		else
			write_kept_file(syncs, job, rows[i].text, content,
			    rows[i].folder, rows[i].mtime);
	}
}

/* All that belongs to it is durable: from here on it is a kept message. */
static void
place_record(struct keep_syncs *syncs, struct keep_job *job)
{
	enum queue_folder to = job->type == KEEP_TODO ? QUEUE_TODO : QUEUE_INFO;

	if (move_kept_file(syncs, job->id, QUEUE_PID, to) == -1) {
		keep_fail(job, "place", queue_folder_name(to));
		return;
	}
	job->is_placed = true;
	keep_changed(syncs, to, job->id);
	keep_wait_folder(syncs, job, to);
}

/* Of S4.  Only away, so that it can come back if that cannot be synced. */
static void
take_todo_away(struct keep_syncs *syncs, struct keep_job *job)
{
	if (move_kept_file(syncs, job->id, QUEUE_TODO, QUEUE_PID) == -1) {
		if (errno != ENOENT) /* it was fresh */
			keep_fail(job, "take away", "todo");
		return;
	}
	job->is_todo_away = true;
	keep_changed(syncs, QUEUE_TODO, job->id);
	keep_wait_folder(syncs, job, QUEUE_TODO);
	/* What qmail-queue did not come to. */
	if (queue_unlink(syncs->dir, QUEUE_INTD, job->id) == -1)
		keep_fail(job, "remove", "intd");
}

static void
drop_todo(struct keep_syncs *syncs, struct keep_job *job)
{
	if (job->is_todo_away)
		queue_unlink(syncs->dir, QUEUE_PID, job->id);
}

/*
 * Takes back the name that makes it S4 or S5, or gives it back to the envelope
 * in S4: never both, as a crash could leave either without the other.
 */
static void
undo_place(struct keep_syncs *syncs, struct keep_job *job)
{
	if (job->is_todo_away) {
		if (move_kept_file(syncs, job->id, QUEUE_PID, QUEUE_TODO) == -1)
			log_line("alert: cannot put todo/%" PRIu64
				 " back from pid/: %m",
			    job->id);
		keep_changed(syncs, QUEUE_TODO, job->id);
		keep_wait_folder(syncs, job, QUEUE_TODO);
	} else if (job->is_placed)
		remove_kept_file(syncs, job,
		    job->type == KEEP_TODO ? QUEUE_TODO : QUEUE_INFO);
}

/* The rest, when it is certain that no record belongs to it any more. */
static void
undo_files(struct keep_syncs *syncs, struct keep_job *job)
{
	enum queue_folder placed_in = job->type == KEEP_TODO ? QUEUE_TODO
							     : QUEUE_INFO;

	/* Nor is anything taken from S4, whose todo was away and came back. */
	if (job->is_placed &&
	    (queue_has_file(syncs->dir, placed_in, job->id) != 0 ||
		!keep_is_durable(syncs, placed_in, job->id)))
		return;
	if (job->has_new_mess)
		remove_kept_file(syncs, job, QUEUE_MESS);
	if (job->type == KEEP_REMEMBER) {
		remove_kept_file(syncs, job, QUEUE_LOCAL);
		remove_kept_file(syncs, job, QUEUE_REMOTE);
		remove_kept_file(syncs, job, QUEUE_BOUNCE);
	}
	remove_kept_file(syncs, job, QUEUE_PID); /* which says what they are */
}

/* -- MARK */

static void
write_note(struct keep_syncs *syncs, struct keep_job *job)
{
	const struct buf *note = &job->text[KEEP_BOUNCE];
	struct stat st;
	int fd;

	job->note_at = -1;
	if (note->length == 0)
		return;
	fd = queue_open_file(
	    syncs->dir, QUEUE_BOUNCE, job->id, O_WRONLY | O_CREAT | O_APPEND);
	job->files[KEEP_BOUNCE] = fd;
	if (fd == -1 || fstat(fd, &st) == -1) {
		keep_fail(job, "write", "bounce");
		return;
	}
	job->note_at = st.st_size;
	if (st.st_size == 0)
		keep_changed(syncs, QUEUE_BOUNCE, job->id);
	errno = ENOSPC; /* for a short count */
	if (write(fd, note->data, note->length) != (ssize_t)note->length) {
		keep_fail(job, "write", "bounce");
		return;
	}
	/* The note is durable, name and all, before anything is marked. */
	keep_wait_file(syncs, job, fd, "bounce");
	keep_wait_folder(syncs, job, QUEUE_BOUNCE);
}

/*
 * The job will be done again, with its note: the report must not have it
 * twice, nor half of it.  An empty file would be a report of nothing.
 */
static void
undo_note(struct keep_syncs *syncs, struct keep_job *job)
{
	int result;

	if (job->note_at == -1 || job->is_note_kept)
		return;
	if (job->note_at > 0)
		result = ftruncate(job->files[KEEP_BOUNCE], job->note_at);
	else {
		result = queue_unlink(syncs->dir, QUEUE_BOUNCE, job->id);
		keep_changed(syncs, QUEUE_BOUNCE, job->id);
	}
	if (result == -1)
		log_line("warning: a failure's note in bounce/%" PRIu64
			 " cannot be taken back, and may be reported twice: %m",
		    job->id);
}

/*
 * How often it was tried: over the digits that are there, for a next process.
 * The file's time is the message's birth, and stays.
 */
static void
put_attempt(struct keep_syncs *syncs, struct keep_job *job)
{
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT },
		{ .tv_sec = job->birth } };
	char tried[REMEMBERED_TRY_BYTES + 1];
	ssize_t length = job->has_told ? REMEMBERED_TRY_BYTES
				       : REMEMBERED_ATTEMPT_DIGITS;
	int fd;

	if (job->attempt_at == 0)
		return;
	remembered_try(job->attempt, job->is_told, tried);
	fd = queue_open_file(syncs->dir, QUEUE_INFO, job->id, O_WRONLY);
	job->files[KEEP_RECORD] = fd;
	if (fd == -1 ||
	    pwrite(fd, tried, (size_t)length, job->attempt_at) != length ||
	    futimens(fd, times) == -1)
		keep_fail(job, "write", "info");
}

static void
put_marks(struct keep_syncs *syncs, struct keep_job *job)
{
	bool is_remote = job->channel == QUEUE_REMOTE;
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT },
		{ .tv_sec = job->retry_at[is_remote] } };
	const char *where = queue_folder_name(job->channel);
	int fd = queue_open_file(syncs->dir, job->channel, job->id, O_WRONLY);

	/* Synced; and a mark without its note would be a lost report. */
	job->is_note_kept = true;
	job->files[is_remote ? KEEP_REMOTE : KEEP_LOCAL] = fd;
	if (fd == -1) {
		keep_fail(job, "open", where);
		return;
	}
	for (size_t i = 0; i < job->mark_count; i++)
		if (pwrite(fd, "D", 1, (off_t)job->marks[i]) != 1) {
			keep_fail(job, "mark", where);
			return;
		}
	if (times[1].tv_sec != NO_TIME_CHANGE && futimens(fd, times) == -1)
		keep_fail(job, "set the time of", where);
	if (job->mark_count > 0)
		keep_wait_file(syncs, job, fd, where);
	put_attempt(syncs, job);
}

/* -- the end */

/* Not synced: who forgets the message waits for it. */
static void
end_channel(struct keep_syncs *syncs, struct keep_job *job)
{
	enum queue_folder other = job->channel == QUEUE_LOCAL ? QUEUE_REMOTE
							      : QUEUE_LOCAL;
	int has_other = queue_has_file(syncs->dir, other, job->id);

	if (has_other == -1)
		keep_fail(job, "look for", queue_folder_name(other));
	job->has_other_channel = has_other == 1;
	if (queue_unlink(syncs->dir, job->channel, job->id) == -1)
		keep_fail(job, "remove", queue_folder_name(job->channel));
	keep_changed(syncs, job->channel, job->id);
}

static void
remove_beside(struct keep_syncs *syncs, struct keep_job *job)
{
	remove_kept_file(syncs, job, QUEUE_BOUNCE);
	remove_kept_file(syncs, job, QUEUE_LOCAL);
	remove_kept_file(syncs, job, QUEUE_REMOTE);
	remove_kept_file(syncs, job, QUEUE_INTD);
}

static void
forget_beside(struct keep_syncs *syncs, struct keep_job *job)
{
	int has_todo = queue_has_file(syncs->dir, QUEUE_TODO, job->id);

	if (has_todo == -1) {
		keep_fail(job, "look for", "todo");
		return;
	}
	remove_beside(syncs, job);
	/* Of an S5 that was begun: without todo/ID it would be one. */
	if (has_todo == 1)
		remove_kept_file(syncs, job, QUEUE_INFO);
}

static void
remove_record(struct keep_syncs *syncs, struct keep_job *job)
{
	remove_kept_file(syncs, job, QUEUE_INFO);
	remove_kept_file(syncs, job, QUEUE_TODO);
}

/*
 * Nothing belongs to it any more.  If it comes back it is S2.  What a step to
 * S5 that was interrupted has left in pid/ goes last: until then it says what
 * the others are.
 */
static void
remove_mess(struct keep_syncs *syncs, struct keep_job *job)
{
	if (queue_unlink(syncs->dir, QUEUE_MESS, job->id) == -1)
		keep_fail(job, "remove", "mess");
	else if (queue_unlink(syncs->dir, QUEUE_PID, job->id) == -1)
		keep_fail(job, "remove", "pid");
}

/*
 * Here, in the thread that gives kept messages their names, the files cannot
 * move between one look and the next.  Recipients whose record is lost, and not
 * in pid/ still, are a damage, and no garbage.
 */
static bool
is_garbage(struct keep_syncs *syncs, uint64_t id)
{
	struct stat st;
	int has_mess = queue_stat(syncs->dir, QUEUE_MESS, id, &st);

	if (has_mess == -1 ||
	    (has_mess == 1 && st.st_mtime >= time(NULL) - KEEP_GARBAGE_S))
		return false;
	if (queue_has_file(syncs->dir, QUEUE_TODO, id) != 0 ||
	    queue_has_file(syncs->dir, QUEUE_INFO, id) != 0)
		return false;
	return queue_has_file(syncs->dir, QUEUE_PID, id) == 1 ||
	    (queue_has_file(syncs->dir, QUEUE_LOCAL, id) == 0 &&
		queue_has_file(syncs->dir, QUEUE_REMOTE, id) == 0);
}

static void
sweep_beside(struct keep_syncs *syncs, struct keep_job *job)
{
	job->is_garbage = is_garbage(syncs, job->id);
	if (job->is_garbage)
		remove_beside(syncs, job);
}

static void
sweep_mess(struct keep_syncs *syncs, struct keep_job *job)
{
	if (job->is_garbage)
		remove_mess(syncs, job);
}

/* -- the batch */

typedef void keep_step(struct keep_syncs *syncs, struct keep_job *job);

static keep_step *const steps[KEEP_TYPE_COUNT][STEP_COUNT] = {
	[KEEP_TODO] = { write_todo, place_record },
	[KEEP_REMEMBER] = { write_remember, place_record, take_todo_away,
	    drop_todo },
	[KEEP_MARK] = { write_note, put_marks },
	[KEEP_CHANNEL_END] = { end_channel },
	[KEEP_FORGET] = { forget_beside, remove_record, remove_mess },
	[KEEP_SWEEP] = { sweep_beside, sweep_mess },
};

static keep_step *const undo_steps[KEEP_TYPE_COUNT][STEP_COUNT] = {
	[KEEP_TODO] = { undo_place, undo_files },
	[KEEP_REMEMBER] = { undo_place, undo_files },
	[KEEP_MARK] = { undo_note },
};

/* Those whose result is as said do their step, and wait for it. */
static void
run_step(struct keep_syncs *syncs, struct keep_jobs *jobs, unsigned step,
    keep_step *const table[KEEP_TYPE_COUNT][STEP_COUNT], bool wants_ok)
{
	struct keep_job *job;

	STAILQ_FOREACH(job, jobs, in_list)
		if ((job->result == QQ_OK) == wants_ok &&
		    table[job->type][step] != NULL)
			table[job->type][step](syncs, job);
	keep_sync(syncs);
}

static void
close_kept_files(struct keep_job *job)
{
	for (int i = 0; i < KEEP_TEXT_COUNT; i++) {
		file_close(&job->files[i]);
	}
}

void
keep_run(struct keep_syncs *syncs, struct keep_jobs *jobs)
{
	struct keep_job *job;

	for (unsigned step = 0; step < STEP_COUNT; step++)
		run_step(syncs, jobs, step, steps, true);
	for (unsigned step = 0; step < STEP_COUNT; step++)
		run_step(syncs, jobs, step, undo_steps, false);
	STAILQ_FOREACH(job, jobs, in_list)
		close_kept_files(job);
}
