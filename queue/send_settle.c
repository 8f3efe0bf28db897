/* SPDX-License-Identifier: ISC */
/*
 * What is remembered of a message, and what follows when a try is over:
 *
 *   S4, all done             bounce if needed, then FINISH  -> S1
 *   S4, something left       REMEMBER                       -> S5, retry
 *   S5, ends not marked yet  MARK, with the notes of failures
 *   S5, something left       MARK of the next time only     -> retry
 *   S5, a channel all done   CHANNEL_END; the last one: bounce, FORGET -> S1
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "queue/exitcode.h"
#include "queue/send.h"

enum {
	AGAIN_MS = 10000,
	NOTES_READ_BYTES = 8 * 1024 * 1024, /* more than we write ourselves */
	TROUBLE_S = 60 /* until the next try after trouble of our own */
};

/* The steps of the quadratic schedule (reference: the schedule table). */
static const unsigned retry_steps[ROUTE_CHANNEL_COUNT] = {
	[ROUTE_LOCAL] = 10,
	[ROUTE_REMOTE] = 20,
};

static const enum queue_folder folders[ROUTE_CHANNEL_COUNT] = {
	[ROUTE_LOCAL] = QUEUE_LOCAL,
	[ROUTE_REMOTE] = QUEUE_REMOTE,
};

/* What a job of the committer belongs to. */
struct step {
	struct send *send;
	struct message *message;
};

static void
post(struct send *send, struct message *message, struct commit_job *job,
    void (*done)(struct commit_job *, void *))
{
	struct step *step = xmalloc(sizeof(*step));

	*step = (struct step){ .send = send, .message = message };
	job->done = done;
	job->context = step;
	send->commits_running++;
	commit_post(send->committer, job);
}

/* Ends a job: gives back what it belonged to. */
static struct step
take_step(struct commit_job *job, void *context)
{
	struct step step = *(struct step *)context;

	free(context);
	step.send->commits_running--;
	if (job->result != QQ_OK)
		log_line("alert: %s; will try again", job->err.text);
	return step;
}

static void
try_again(struct message *message)
{
	message->is_settling = false;
	message->settle_after = clock_ms() + AGAIN_MS;
}

static size_t
count_left(const struct message *message, enum route_channel channel)
{
	return message->waiting[channel] + message->deferred[channel];
}

static void
over(struct send *send, struct message *message)
{
	uint64_t id = message->id;
	bool is_in_todo_too = message->is_in_todo_too;

	log_line("end msg %" PRIu64, id);
	send->health.finished++;
	message_free(send, message);
	/* Of its own or of the next message with this inode? */
	if (is_in_todo_too && settle_has_file(send, QUEUE_TODO, id) != 0)
		backlog_add_todo(send, id);
}

static void
finish_done(struct commit_job *job, void *context)
{
	struct step step = take_step(job, context);

	if (job->result == QQ_OK)
		over(step.send, step.message);
	else {
		step.message->spare = job->spare;
		job->spare = (struct spare)SPARE_NONE;
		try_again(step.message);
	}
	commit_job_free(&job);
}

/* S4 -> S1 */
static void
finish(struct send *send, struct message *message)
{
	struct commit_job *job = commit_job_new(COMMIT_FINISH, message->id);

	job->spare = message->spare;
	job->has_leftovers = message->has_leftovers;
	message->spare = (struct spare)SPARE_NONE;
	post(send, message, job, finish_done);
}

static void
bounced(struct send *send, struct message *message, bool is_over)
{
	if (!is_over)
		try_again(message);
	else {
		buf_reset(&message->notes);
		finish(send, message);
	}
}

/* The lists of S5, with where each recipient's mark is. */
static void
format_lists(struct message *message, struct commit_job *job)
{
	size_t i;

	for (i = 0; i < message->recipient_count; i++) {
		struct recipient *recipient = &message->recipients[i];
		struct buf *list = &job->text[recipient->channel == ROUTE_LOCAL
			? COMMIT_LOCAL
			: COMMIT_REMOTE];

		recipient->offset = list->length;
		buf_addc(list, recipient->state == RECIPIENT_DONE ? 'D' : 'T');
		buf_add(
		    list, recipient->address, strlen(recipient->address) + 1);
	}
}

/* A channel without anything left has no file. */
static void
drop_done_lists(const struct message *message, struct commit_job *job)
{
	if (count_left(message, ROUTE_LOCAL) == 0 && message->running == 0)
		buf_reset(&job->text[COMMIT_LOCAL]);
	if (count_left(message, ROUTE_REMOTE) == 0 && message->running == 0)
		buf_reset(&job->text[COMMIT_REMOTE]);
}

static time_t
next_try(const struct message *message, enum route_channel channel)
{
	time_t now = time(NULL);

	if (message->deferred[channel] == 0)
		return now;
	if (message->had_own_trouble)
		return now + TROUBLE_S;
	return schedule_retry(message->birth, now, retry_steps[channel]);
}

static struct commit_job *
make_remember(struct message *message)
{
	struct commit_job *job = commit_job_new(COMMIT_REMEMBER, message->id);
	struct buf *info = &job->text[COMMIT_RECORD];

	buf_addf(info, "F%s", message->sender);
	buf_addc(info, '\0');
	if (message->header[0] != '\0') {
		buf_addf(info, "H%s", message->header);
		buf_addc(info, '\0');
	}
	format_lists(message, job);
	buf_add(&job->text[COMMIT_BOUNCE], message->notes.data,
	    message->notes.length);
	job->birth = message->birth;
	return job;
}

/* The message is in S5; the memory of it may go. */
static void
leave_to_backlog(struct send *send, struct message *message)
{
	enum route_channel channel;
	uint64_t id = message->id;
	time_t due[ROUTE_CHANNEL_COUNT] = { 0 };

	for (channel = 0; channel < ROUTE_CHANNEL_COUNT; channel++)
		if (count_left(message, channel) > 0)
			due[channel] = next_try(message, channel);
	message_free(send, message);
	for (channel = 0; channel < ROUTE_CHANNEL_COUNT; channel++)
		if (due[channel] != 0)
			backlog_add_retry(send, id, channel, due[channel]);
}

static void
remember_done(struct commit_job *job, void *context)
{
	struct step step = take_step(job, context);

	if (job->result == QQ_OK)
		leave_to_backlog(step.send, step.message);
	else {
		step.message->has_leftovers = true;
		try_again(step.message);
	}
	commit_job_free(&job);
}

/* S4 -> S5, when the try is over. */
static void
remember(struct send *send, struct message *message)
{
	struct commit_job *job = make_remember(message);

	drop_done_lists(message, job);
	job->retry_at[0] = next_try(message, ROUTE_LOCAL);
	job->retry_at[1] = next_try(message, ROUTE_REMOTE);
	post(send, message, job, remember_done);
}

/* What the checkpoint has written is in memory only no more. */
static void
drop_written(struct message *message)
{
	size_t marks = message->checkpoint_marks;

	message->unmarked_count -= marks;
	if (message->unmarked_count > 0)
		memmove(message->unmarked, message->unmarked + marks,
		    message->unmarked_count * sizeof(*message->unmarked));
	if (message->checkpoint_notes > 0)
		buf_drop(&message->notes, message->checkpoint_notes);
}

static void
checkpoint_done(struct commit_job *job, void *context)
{
	struct step step = take_step(job, context);
	struct message *message = step.message;

	if (job->result == QQ_OK) {
		message->is_remembered = true;
		message->is_settling = false;
		message->has_leftovers = false;
		spare_close(&message->spare);
		drop_written(message);
		/* What ended meanwhile is still to mark. */
		settle_marks(step.send, message);
		settle(step.send, message);
	} else {
		message->has_leftovers = true;
		try_again(message);
	}
	commit_job_free(&job);
}

void
settle_checkpoint(struct send *send, struct message *message)
{
	struct commit_job *job = make_remember(message);

	message->is_settling = true;
	message->checkpoint_marks = message->unmarked_count;
	message->checkpoint_notes = message->notes.length;
	post(send, message, job, checkpoint_done);
}

/* Of a job that nothing waits for. */
static void
job_done(struct commit_job *job, void *context)
{
	take_step(job, context);
	commit_job_free(&job);
}

void
settle_sweep(struct send *send, uint64_t id)
{
	post(send, NULL, commit_job_new(COMMIT_SWEEP, id), job_done);
}

/* Sets when a channel is tried again, for a next process. */
static void
post_time(struct send *send, struct message *message,
    enum route_channel channel, time_t retry_at)
{
	struct commit_job *job = commit_job_new(COMMIT_MARK, message->id);

	job->channel = folders[channel];
	job->retry_at[channel] = retry_at;
	post(send, message, job, job_done);
}

/* Takes out of unmarked, which may have grown, what a job has marked. */
static void
drop_marked(struct message *message, const struct commit_job *job)
{
	size_t i, kept = 0;

	for (i = 0; i < message->unmarked_count; i++)
		if (i >= message->marking ||
		    folders[message->unmarked[i]->channel] != job->channel)
			message->unmarked[kept++] = message->unmarked[i];
	message->unmarked_count = kept;
	message->unmarked_since = clock_ms();
}

/* In front of those that came meanwhile. */
static void
put_notes_back(struct message *message, struct buf *notes)
{
	buf_add(notes, message->notes.data, message->notes.length);
	buf_release(&message->notes);
	message->notes = *notes;
	*notes = (struct buf)BUF_INIT;
}

static void
marks_done(struct commit_job *job, void *context)
{
	struct step step = take_step(job, context);
	struct message *message = step.message;

	if (job->result == QQ_OK)
		drop_marked(message, job);
	else {
		/* Nothing follows before the notes are on disk. */
		if (!job->is_note_kept)
			put_notes_back(message, &job->text[COMMIT_BOUNCE]);
		message->settle_after = clock_ms() + AGAIN_MS;
	}
	message->marking = 0;
	commit_job_free(&job);
	settle(step.send, message);
}

void
settle_marks(struct send *send, struct message *message)
{
	struct commit_job *job;
	size_t i;

	if (message->marking > 0 || message->settle_after != 0 ||
	    message->unmarked_count == 0)
		return;
	/* One channel at a time: the notes belong in front of all marks. */
	job = commit_job_new(COMMIT_MARK, message->id);
	job->channel = folders[message->unmarked[0]->channel];
	job->marks = xcalloc(message->unmarked_count, sizeof(*job->marks));
	for (i = 0; i < message->unmarked_count; i++)
		if (folders[message->unmarked[i]->channel] == job->channel)
			job->marks[job->mark_count++] =
			    message->unmarked[i]->offset;
	job->text[COMMIT_BOUNCE] = message->notes;
	message->notes = (struct buf)BUF_INIT;
	message->marking = message->unmarked_count;
	post(send, message, job, marks_done);
}

static void
forget_done(struct commit_job *job, void *context)
{
	struct step step = take_step(job, context);

	/* What could not be removed is found, all done, at the next start. */
	over(step.send, step.message);
	commit_job_free(&job);
}

static void
bounced_remembered(struct send *send, struct message *message, bool is_over)
{
	if (is_over)
		post(send, message, commit_job_new(COMMIT_FORGET, message->id),
		    forget_done);
	else
		try_again(message);
}

int
settle_has_file(struct send *send, enum queue_folder folder, uint64_t id)
{
	char name[QUEUE_NAME_SIZE];

	queue_name(name, id, "");
	if (faccessat(queue_dir_fd(send->dir, folder, id), name, F_OK,
		AT_SYMLINK_NOFOLLOW) == 0)
		return 1;
	return errno == ENOENT ? 0 : -1;
}

/*
 * Reads bounce/ID, or its first notes when it is larger than a report should
 * be: with a NUL then, for those that follow (bounce_send()).
 */
static int
read_notes(int fd, struct buf *notes)
{
	size_t cut;

	buf_reserve(notes, NOTES_READ_BYTES);
	while (notes->length < NOTES_READ_BYTES) {
		ssize_t n = pread(fd, notes->data + notes->length,
		    NOTES_READ_BYTES - notes->length, (off_t)notes->length);

		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return -1;
		notes->data[notes->length += (size_t)n] = '\0';
		if (n == 0)
			return 0;
	}
	if (strlen(notes->data) < notes->length)
		return 0; /* it ends in NULs anyway */
	for (cut = notes->length; cut >= 2; cut--)
		if (memcmp(notes->data + cut - 2, "\n\n", 2) == 0) {
			notes->length = cut;
			break;
		}
	notes->data[notes->length] = '\0';
	buf_addc(notes, '\0');
	return 0;
}

void
settle_ended(struct send *send, struct message *message)
{
	struct buf notes = BUF_INIT;
	int fd = queue_open_file(
	    send->dir, QUEUE_BOUNCE, message->id, O_RDONLY);

	if (fd == -1 && errno == ENOENT)
		bounced_remembered(send, message, true);
	else if (fd == -1 || read_notes(fd, &notes) == -1) {
		log_line("alert: cannot read bounce/%" PRIu64
			 ": %m; will try again",
		    message->id);
		try_again(message);
	} else
		bounce_send(send, message, &notes, bounced_remembered);
	buf_release(&notes);
	if (fd != -1)
		close(fd);
}

static void
channel_ended(struct commit_job *job, void *context)
{
	struct step step = take_step(job, context);
	struct message *message = step.message;
	enum route_channel channel;
	bool has_other = false, has_failed = job->result != QQ_OK;

	for (channel = 0; channel < ROUTE_CHANNEL_COUNT; channel++) {
		int found = settle_has_file(
		    step.send, folders[channel], message->id);

		if (found == 0)
			continue;
		has_other = true;
		/*
		 * All done, and still there: its own removal has failed.  One
		 * that cannot be told is perhaps not there, and then nothing
		 * else would ever end the message.
		 */
		has_failed |= found == -1 ||
		    (message->has_channel[channel] &&
			count_left(message, channel) == 0);
	}
	if (has_failed)
		try_again(message);
	else if (has_other)
		leave_to_backlog(step.send, message);
	else
		settle_ended(step.send, message);
	commit_job_free(&job);
}

static void
settle_remembered(struct send *send, struct message *message)
{
	enum route_channel channel, ended = ROUTE_CHANNEL_COUNT;
	bool has_left = false;

	for (channel = 0; channel < ROUTE_CHANNEL_COUNT; channel++) {
		if (!message->has_channel[channel])
			continue;
		if (count_left(message, channel) > 0) {
			has_left = true;
			post_time(
			    send, message, channel, next_try(message, channel));
		} else
			ended = channel;
	}
	if (ended == ROUTE_CHANNEL_COUNT) {
		if (has_left)
			leave_to_backlog(send, message);
		else
			settle_ended(send, message); /* once more */
		return;
	}
	for (channel = 0; channel < ROUTE_CHANNEL_COUNT; channel++) {
		struct commit_job *job;

		if (!message->has_channel[channel] ||
		    count_left(message, channel) > 0)
			continue;
		job = commit_job_new(COMMIT_CHANNEL_END, message->id);
		job->channel = folders[channel];
		/* The last one goes on, when both are removed. */
		post(send, message, job,
		    channel == ended ? channel_ended : job_done);
	}
}

/* Has this try changed nothing that a next process would miss? */
static bool
is_untouched(const struct message *message)
{
	return message->unmarked_count == 0 && message->notes.length == 0 &&
	    message->deferred[ROUTE_LOCAL] == 0 &&
	    message->deferred[ROUTE_REMOTE] == 0 &&
	    (message->waiting[ROUTE_LOCAL] > 0 ||
		message->waiting[ROUTE_REMOTE] > 0);
}

/* Is there anything that a worker, now or soon, will take? */
static bool
can_start(const struct send *send, const struct message *message)
{
	if (send->is_stopping)
		return false;
	return message->waiting[ROUTE_LOCAL] > 0 ||
	    (message->waiting[ROUTE_REMOTE] > 0 &&
		deliver_has_worker(send, ROUTE_REMOTE));
}

void
settle(struct send *send, struct message *message)
{
	if (message->running > 0 || message->is_settling ||
	    message->marking > 0 || message->settle_after != 0 ||
	    can_start(send, message) ||
	    (send->is_stopping && is_untouched(message)))
		return;
	if (message->is_remembered && message->unmarked_count > 0) {
		settle_marks(send, message); /* and then here again */
		return;
	}
	message->is_settling = true;
	if (message->is_remembered)
		settle_remembered(send, message);
	else if (count_left(message, ROUTE_LOCAL) > 0 ||
	    count_left(message, ROUTE_REMOTE) > 0)
		remember(send, message);
	else if (message->notes.length > 0)
		bounce_send(send, message, &message->notes, bounced);
	else
		finish(send, message);
}
