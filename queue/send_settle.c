/* SPDX-License-Identifier: ISC */
/*
 * What is remembered of a message, and what follows when a try is over:
 *
 *   F, all done              bounce if needed, then END      -> S1
 *   F, S4, no bounce now     as if something were left       -> S5
 *   F, something left        REMEMBER or TODO, then END      -> S5, S4
 *   S4, all done             bounce if needed, then FORGET   -> S1
 *   S4, something left       REMEMBER                        -> S5, retry
 *   S5, ends not marked yet  MARK, with the notes of failures
 *   S5, something left       MARK of the next time only      -> retry
 *   S5, a channel all done   CHANNEL_END; the last one: bounce, FORGET -> S1
 */
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/test_time.h"
#include "control/domain_lines.h"
#include "queue/exitcode.h"
#include "queue/remembered.h"
#include "queue/schedule.h"
#include "queue/send.h"

enum {
	AGAIN_MS = 10000,
	TROUBLE_S = 60 /* until the next try after trouble of our own */
};

/* The step of the quadratic schedule for a channel. */
static unsigned
channel_step(const struct send *send, enum route_channel channel)
{
	return (unsigned)settings_number(send->settings,
	    channel == ROUTE_LOCAL ? SETTING_retrysteplocal
				   : SETTING_retrystepremote);
}

/* What a line of retrysteps, domain:step, says. */
static unsigned
line_step(const char *line)
{
	return (unsigned)strtoul(strchr(line, ':') + 1, NULL, 10);
}

unsigned
settle_retry_step(const struct send *send, enum route_channel channel)
{
	const struct strlist *lines = settings_list(
	    send->settings, SETTING_retrysteps);
	unsigned step = channel_step(send, channel);
	size_t i;

	for (i = 0; channel == ROUTE_REMOTE && i < lines->count; i++)
		if (line_step(lines->items[i]) > step)
			step = line_step(lines->items[i]);
	return step;
}

/* Of a remote lane. */
static unsigned
domain_step(const struct send *send, const char *key)
{
	const char *step = domain_lines_find(
	    settings_list(send->settings, SETTING_retrysteps), key);

	return step == NULL ? channel_step(send, ROUTE_REMOTE)
			    : (unsigned)strtoul(step, NULL, 10);
}

/* The smallest of a message's destinations: nobody waits for another. */
static unsigned
message_step(const struct message *message, enum route_channel channel)
{
	const struct send *send = message->send;
	unsigned step = UINT_MAX;
	uint32_t i;

	if (channel == ROUTE_LOCAL)
		return channel_step(send, channel);
	for (i = 0; i < message->part_count; i++) {
		const struct lane *lane = message->parts[i].line.lane;
		unsigned its;

		if (lane_get_kind(lane) != LANE_REMOTE)
			continue;
		its = domain_step(send, lane_key(lane));
		if (its < step)
			step = its;
	}
	return step;
}

/* The end of a job of the keeper or the committer. */
static void
end_step(struct send *send, int result, const struct error *err)
{
	send->jobs_running--;
	if (result != QQ_OK)
		log_line("alert: %s; will try again", err->text);
}

/* A step of the message, which waits for it. */
static void
post_step(struct message *message, struct keep_job *job,
    void (*done)(struct keep_job *, void *))
{
	job->done = done;
	job->context = message;
	message->send->jobs_running++;
	keep_post(message->send->keeper, job);
}

static void
settle_job_done(struct keep_job *job, void *context)
{
	end_step(context, job->result, &job->err);
	keep_job_free(&job);
}

/* A job that nothing waits for. */
static void
post_alone(struct send *send, struct keep_job *job)
{
	job->done = settle_job_done;
	job->context = send;
	send->jobs_running++;
	keep_post(send->keeper, job);
}

static void
try_again(struct message *message)
{
	message->is_settling = false;
	message->settle_after = clock_ms() +
	    test_time_ms("SETTLE_AGAIN_MS", AGAIN_MS);
	message->has_stopped = message->is_last_attempt;
}

static void
over(struct send *send, struct message *message)
{
	uint64_t id = message->id;
	bool is_in_todo_too = message->is_in_todo_too;

	log_line("end msg %" PRIu64, id);
	send->health.finished++;
	backlog_set_split(send, id, false);
	if (operate_is_ending_silently(send, id))
		recent_remove(send->recent, &message->uuid); /* it may return */
	operate_over(send, id);
	message_free(send, message);
	/* Of its own or of the next message with this number? */
	if (is_in_todo_too)
		backlog_add_todo(send, id);
}

/* -- F and S4 -> S1 */

/* The journal notes its end; nobody waits for that. */
static void
end_fresh(struct send *send, struct message *message)
{
	struct commit_job *job = commit_job_new(COMMIT_END, message->id);

	job->has_file = message->has_file;
	job->is_forgotten = operate_is_ending_silently(send, message->id);
	commit_post(send->committer, job);
	over(send, message);
}

static void
forgotten(struct commit_job *job, void *context)
{
	struct message *message = context;
	struct send *send = message->send;

	send->jobs_running--;
	if (job->result != QQ_OK)
		log_line("warning: a next start may take %" PRIu64
			 " for a message that has ended here: %s",
		    message->id, job->err.text);
	commit_job_free(&job);
	over(send, message);
}

/* It has moved to another queue, and may return, also after a kill. */
static void
forget_uuid(struct send *send, struct message *message)
{
	struct commit_job *job = commit_job_new(COMMIT_END, message->id);

	job->is_forgotten = job->is_waited_for = true;
	job->done = forgotten;
	job->context = message;
	send->jobs_running++;
	commit_post(send->committer, job);
}

static void
forget_done(struct keep_job *job, void *context)
{
	struct message *message = context;
	struct send *send = message->send;

	end_step(send, job->result, &job->err);
	if (job->result != QQ_OK) {
		/* What is still there would be found, and delivered again. */
		try_again(message);
	} else if (message->form == MESSAGE_FRESH)
		end_fresh(send, message);
	else if (operate_is_ending_silently(send, message->id))
		forget_uuid(send, message);
	else
		over(send, message);
	keep_job_free(&job);
}

static void
finish(struct send *send, struct message *message)
{
	/* A step to S5 that failed may have left files, even info/ID. */
	if (message->form == MESSAGE_FRESH && !message->has_leftovers)
		end_fresh(send, message);
	else
		post_step(message, keep_job_new(KEEP_FORGET, message->id),
		    forget_done);
}

/*
 * What cannot be reported now is kept: it must neither have its place in the
 * journal, which the report may wait for, nor be delivered again.
 */
static void
bounced(struct message *message, bool is_over)
{
	if (!is_over)
		settle_keep(message->send, message);
	else {
		buf_reset(&message->notes);
		finish(message->send, message);
	}
}

/* -- what a next process must know */

static time_t
next_try(const struct message *message, enum route_channel channel)
{
	time_t now = time(NULL);

	if (message->is_held_back)
		return message->hold_until;
	if (message->deferred[channel] == 0 || message->is_hurried)
		return now;
	if (message->had_own_trouble)
		return now + TROUBLE_S;
	return schedule_retry(message_released_at(message, now), now,
	    message_step(message, channel));
}

/* The lane that all that is left of a channel is in; NULL: several. */
static struct lane *
lane_left(const struct message *message, enum route_channel channel)
{
	struct lane *lane = NULL;

	for (size_t i = 0; i < message->recipient_count; i++) {
		const struct recipient *recipient = &message->recipients[i];
		struct lane *its;

		if (recipient->channel != channel ||
		    recipient->state == RECIPIENT_DONE)
			continue;
		its = message->parts[recipient->part].line.lane;
		if (lane != NULL && lane != its)
			return NULL;
		lane = its;
	}
	return lane;
}

/*
 * When the first of several lanes may go on that all back off, or are full.
 * Until then the message would be read, and left again, as fast as the disk is.
 */
static time_t
end_of_rest(const struct send *send, const struct message *message,
    enum route_channel channel)
{
	int64_t first_ms = INT64_MAX, now_ms = clock_ms();

	for (uint32_t i = 0; i < message->part_count; i++) {
		const struct part *part = &message->parts[i];
		const struct lane *lane = part->line.lane;
		int64_t until_ms = lane_backs_off_until_ms(lane);

		if (until_ms == 0 &&
		    (lane_is_held(lane) || lane_is_roomless(lane) ||
			lane_is_over_share(send->lanes, lane)))
			until_ms = now_ms + AGAIN_MS;
		if (part->waiting > 0 && until_ms < first_ms &&
		    lane_channel(lane_get_kind(lane)) == channel)
			first_ms = until_ms;
	}
	return time(NULL) +
	    (first_ms > now_ms ? (time_t)((first_ms - now_ms) / 1000 + 1) : 0);
}

/* The message is in S5; the memory of it may go. */
static void
leave_to_backlog(struct send *send, struct message *message)
{
	if (!message_has_left(message) ||
	    (message_left(message, ROUTE_LOCAL) > 0 &&
		message_left(message, ROUTE_REMOTE) > 0))
		backlog_set_split(send, message->id, message_has_left(message));
	for (enum route_channel channel = 0; channel < ROUTE_CHANNEL_COUNT;
	     channel++) {
		struct lane *lane = lane_left(message, channel);

		if (message_left(message, channel) == 0)
			continue;
		backlog_add_retry(send, message->id, channel,
		    lane == NULL && message->deferred[channel] == 0 &&
			    !message->is_held_back
			? end_of_rest(send, message, channel)
			: next_try(message, channel),
		    lane);
	}
	message_free(send, message);
}

/*
 * The lists of S5, with where each recipient's mark is; and into info what each
 * one's sender wants to be told.
 */
static void
format_lists(struct message *message, struct keep_job *job)
{
	for (size_t i = 0; i < message->recipient_count; i++) {
		struct recipient *recipient = &message->recipients[i];
		struct buf *list =
		    &job->text[recipient->channel == ROUTE_LOCAL ? KEEP_LOCAL
								 : KEEP_REMOTE];

		recipient->offset = list->length;
		if (envelope_dsn(&message->envelope, i)[0] != '\0')
			remembered_put_dsn(&job->text[KEEP_RECORD],
			    &(struct remembered_dsn){
				.is_remote = recipient->channel == ROUTE_REMOTE,
				.offset = list->length,
				.dsn = envelope_dsn(&message->envelope, i) });
		buf_addc(list, recipient->state == RECIPIENT_DONE ? 'D' : 'T');
		buf_add(
		    list, recipient->address, strlen(recipient->address) + 1);
	}
}

/* A channel without anything left has no file. */
static void
drop_done_lists(struct message *message, struct keep_job *job)
{
	if (message->running > 0)
		return;
	for (enum route_channel channel = 0; channel < ROUTE_CHANNEL_COUNT;
	     channel++)
		if (message_left(message, channel) == 0) {
			buf_reset(
			    &job->text[channel == ROUTE_LOCAL ? KEEP_LOCAL
							      : KEEP_REMOTE]);
			message->has_channel[channel] = false;
		}
}

static struct keep_job *
make_remember(struct message *message)
{
	struct keep_job *job = keep_job_new(KEEP_REMEMBER, message->id);
	struct remembered_info info = { .sender = message->envelope.sender,
		.header = message->envelope.header,
		.dsn = message->envelope.dsn,
		.attempt = message->deferred[ROUTE_LOCAL] +
			    message->deferred[ROUTE_REMOTE] >
			0
		    ? message->attempt
		    : message->attempt - 1,
		.uuid = message->uuid,
		.has_size = true,
		.size_bytes = message->size_bytes,
		.birth = message->birth };

	remembered_put_info(&job->text[KEEP_RECORD], &info);
	remembered_get_info(job->text[KEEP_RECORD].data,
	    job->text[KEEP_RECORD].length, &info, NULL);
	message->attempt_at = (off_t)info.attempt_at;
	message->has_told = true;
	format_lists(message, job);
	drop_done_lists(message, job);
	buf_add(&job->text[KEEP_BOUNCE], message->notes.data,
	    message->notes.length);
	job->retry_at[0] = next_try(message, ROUTE_LOCAL);
	job->retry_at[1] = next_try(message, ROUTE_REMOTE);
	return job;
}

/* Not routed yet: the envelope as it came. */
static struct keep_job *
make_todo(const struct message *message)
{
	struct keep_job *job = keep_job_new(KEEP_TODO, message->id);

	buf_add(&job->text[KEEP_RECORD], message->record.data,
	    message->record.length);
	return job;
}

/* What the step to S5 has written is in memory only no more. */
static void
drop_written(struct message *message)
{
	size_t marks = message->kept_marks;

	message->unmarked_count -= marks;
	if (message->unmarked_count > 0)
		memmove(message->unmarked, message->unmarked + marks,
		    message->unmarked_count * sizeof(*message->unmarked));
	if (message->kept_notes > 0)
		buf_drop(&message->notes, message->kept_notes);
}

/*
 * In S4, with nothing of it remembered; it may have been routed meanwhile, or
 * never will be.
 */
static void
go_on_unrouted(struct send *send, struct message *message)
{
	uint64_t id = message->id;

	if (message->is_unreadable ||
	    (message->is_routing && send->is_stopping)) {
		message_free(send, message);
	} else if (!message->is_routing) {
		settle(send, message);
	} else if (message->has_no_room) {
		message_free(send, message);
		backlog_add_todo(send, id);
	}
}

/*
 * It is kept; what ended meanwhile is still to mark.  If more mail comes than
 * is delivered it waits on disk.
 */
static void
go_on_kept(struct send *send, struct message *message, bool is_todo)
{
	message->has_no_room = !message_has_room(send);
	message_set_kept(send, message, is_todo ? MESSAGE_TODO : MESSAGE_KEPT);
	message->has_file = true;
	message->is_settling = false;
	message->has_leftovers = false;
	message->has_kept_files = false; /* that they count is noted */
	if (is_todo) {
		go_on_unrouted(send, message);
		return;
	}
	drop_written(message);
	settle_marks(message);
	settle(send, message);
}

static void
end_noted(struct commit_job *job, void *context)
{
	struct message *message = context;
	struct send *send = message->send;

	end_step(send, job->result, &job->err);
	if (job->result == QQ_OK)
		go_on_kept(send, message, message->is_todo_kept);
	else {
		/* It counts in the journal as well: nothing may happen. */
		message->has_leftovers = true;
		try_again(message);
	}
	commit_job_free(&job);
}

/* Files are there, durably.  The journal's record must not count any more. */
static void
note_end(struct send *send, struct message *message)
{
	struct commit_job *job = commit_job_new(COMMIT_END, message->id);

	job->is_waited_for = true;
	job->done = end_noted;
	job->context = message;
	send->jobs_running++;
	commit_post(send->committer, job);
}

static void
kept(struct keep_job *job, void *context)
{
	struct message *message = context;
	struct send *send = message->send;

	end_step(send, job->result, &job->err);
	if (job->result != QQ_OK) {
		message->has_leftovers = true;
		try_again(message);
	} else if (message->form == MESSAGE_FRESH) {
		message->has_kept_files = true;
		message->is_todo_kept = job->type == KEEP_TODO;
		note_end(send, message);
	} else
		go_on_kept(send, message, false);
	keep_job_free(&job);
}

void
settle_keep(struct send *send, struct message *message)
{
	struct keep_job *job;

	if (message->has_kept_files) { /* whole: not to be written over */
		message->is_settling = true;
		note_end(send, message);
		return;
	}
	job = message->is_routing || message->is_unreadable
	    ? make_todo(message)
	    : make_remember(message);
	job->birth = message->birth;
	job->has_file = message->has_file;
	job->body = &message->body;
	message->is_settling = true;
	message->kept_marks = message->unmarked_count;
	message->kept_notes = message->notes.length;
	post_step(message, job, kept);
}

/* -- S5 */

void
settle_forget(struct send *send, uint64_t id)
{
	post_alone(send, keep_job_new(KEEP_FORGET, id));
}

void
settle_sweep(struct send *send, uint64_t id)
{
	post_alone(send, keep_job_new(KEEP_SWEEP, id));
}

/* Sets when a channel is tried again, for a next process. */
static void
post_time(struct send *send, struct message *message,
    enum route_channel channel, time_t retry_at)
{
	struct keep_job *job = keep_job_new(KEEP_MARK, message->id);

	job->channel = message_folder(channel);
	job->retry_at[channel] = retry_at;
	if (message->deferred[channel] > 0 && message->attempt_at != 0) {
		job->attempt = message->attempt;
		job->attempt_at = message->attempt_at;
		job->has_told = message->has_told;
		job->is_told[ROUTE_LOCAL] = message->is_told[ROUTE_LOCAL];
		job->is_told[ROUTE_REMOTE] = message->is_told[ROUTE_REMOTE];
		job->birth = message->birth;
	}
	post_alone(send, job);
}

static enum queue_folder
mark_folder(const struct message *message, size_t i)
{
	return message_folder(
	    message->recipients[message->unmarked[i]].channel);
}

/* Takes out of unmarked, which may have grown, what a job has marked. */
static void
drop_marked(struct message *message, const struct keep_job *job)
{
	size_t left = 0;

	for (size_t i = 0; i < message->unmarked_count; i++)
		if (i >= message->marking ||
		    mark_folder(message, i) != job->channel)
			message->unmarked[left++] = message->unmarked[i];
	message->unmarked_count = left;
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
marks_done(struct keep_job *job, void *context)
{
	struct message *message = context;
	struct send *send = message->send;

	end_step(send, job->result, &job->err);
	if (job->result == QQ_OK)
		drop_marked(message, job);
	else {
		/* Nothing follows before the notes are on disk. */
		if (!job->is_note_kept)
			put_notes_back(message, &job->text[KEEP_BOUNCE]);
		try_again(message);
	}
	message->marking = 0;
	keep_job_free(&job);
	settle(send, message);
}

void
settle_marks(struct message *message)
{
	struct keep_job *job;

	if (message->marking > 0 || message->settle_after != 0 ||
	    message->unmarked_count == 0)
		return;
	/* One channel at a time: the notes belong in front of all marks. */
	job = keep_job_new(KEEP_MARK, message->id);
	job->channel = mark_folder(message, 0);
	job->marks = xcalloc(message->unmarked_count, sizeof(*job->marks));
	for (size_t i = 0; i < message->unmarked_count; i++)
		if (mark_folder(message, i) == job->channel)
			job->marks[job->mark_count++] =
			    message->recipients[message->unmarked[i]].offset;
	job->text[KEEP_BOUNCE] = message->notes;
	message->notes = (struct buf)BUF_INIT;
	message->marking = message->unmarked_count;
	post_step(message, job, marks_done);
}

static void
bounced_remembered(struct message *message, bool is_over)
{
	if (is_over)
		post_step(message, keep_job_new(KEEP_FORGET, message->id),
		    forget_done);
	else
		try_again(message);
}

void
settle_ended(struct message *message)
{
	if (operate_is_ending_silently(message->send, message->id))
		bounced_remembered(message, true);
	else
		bounce_send(message, NULL, bounced_remembered);
}

static void
channel_ended(struct keep_job *job, void *context)
{
	struct message *message = context;
	struct send *send = message->send;
	enum route_channel other = job->channel == QUEUE_LOCAL ? ROUTE_REMOTE
							       : ROUTE_LOCAL;

	end_step(send, job->result, &job->err);
	/* All done, and still there: its own removal has failed. */
	if (job->result != QQ_OK ||
	    (job->has_other_channel && message->has_channel[other] &&
		message_left(message, other) == 0))
		try_again(message);
	else if (job->has_other_channel)
		leave_to_backlog(send, message);
	else
		settle_ended(message);
	keep_job_free(&job);
}

/* Has this try changed nothing that a next process would miss? */
static bool
is_untouched(const struct message *message)
{
	return message->unmarked_count == 0 && message->notes.length == 0 &&
	    message->deferred[ROUTE_LOCAL] == 0 &&
	    message->deferred[ROUTE_REMOTE] == 0 && message_has_left(message);
}

static void
settle_remembered(struct send *send, struct message *message)
{
	enum route_channel ended = ROUTE_CHANNEL_COUNT;

	for (enum route_channel channel = 0; channel < ROUTE_CHANNEL_COUNT;
	     channel++) {
		if (!message->has_channel[channel])
			continue;
		if (message_left(message, channel) == 0)
			ended = channel;
		else if (!is_untouched(message) || message->is_retimed)
			post_time(
			    send, message, channel, next_try(message, channel));
	}
	if (ended == ROUTE_CHANNEL_COUNT) {
		if (message_has_left(message))
			leave_to_backlog(send, message);
		else
			settle_ended(message); /* once more */
		return;
	}
	for (enum route_channel channel = 0; channel < ROUTE_CHANNEL_COUNT;
	     channel++) {
		struct keep_job *job;

		if (!message->has_channel[channel] ||
		    message_left(message, channel) > 0)
			continue;
		job = keep_job_new(KEEP_CHANNEL_END, message->id);
		job->channel = message_folder(channel);
		/* The last one goes on, when both are removed. */
		if (channel == ended)
			post_step(message, job, channel_ended);
		else
			post_alone(send, job);
	}
}

/* The sender was told of delays, which is noted with the next time. */
static void
delays_told(struct message *message, bool is_over)
{
	enum route_channel channel;

	for (channel = 0; channel < ROUTE_CHANNEL_COUNT; channel++) {
		message->is_told[channel] |= is_over &&
		    message->has_delays[channel];
		message->has_delays[channel] = false;
	}
	message->is_settling = false;
	settle(message->send, message);
}

void
settle(struct send *send, struct message *message)
{
	if (message->running > 0 || message->is_settling ||
	    message->is_committing || message->marking > 0 ||
	    message->settle_after != 0 || message->has_stopped ||
	    (message->is_routing && !send->is_stopping) ||
	    (message_can_start(send, message) && !message->has_no_room) ||
	    (send->is_stopping && message->form != MESSAGE_FRESH &&
		(message->is_routing || is_untouched(message))))
		return;
	if (message->form == MESSAGE_KEPT && message->unmarked_count > 0) {
		settle_marks(message); /* and then here again */
		return;
	}
	/* Of what an operator ends every step is durable. */
	if (message->form != MESSAGE_KEPT &&
	    (message->is_routing || message->is_unreadable ||
		message_has_left(message) ||
		operate_is_ending(send, message->id))) {
		settle_keep(send, message); /* and then here again */
		return;
	}
	message->is_settling = true;
	if (message->delays.length > 0 && !send->is_stopping)
		bounce_send_delays(message, delays_told);
	else if (message->form == MESSAGE_KEPT)
		settle_remembered(send, message);
	else if (message->notes.length > 0)
		bounce_send(message, &message->notes, bounced);
	else
		finish(send, message);
}
