/* SPDX-License-Identifier: ISC */
/*
 * A message's life in memory: from its commit, or its load from disk, through
 * the deliveries of one try, to send_settle.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "queue/remembered.h"
#include "queue/send.h"

enum {
	CHECKPOINT_RECIPIENTS = 32, /* more are remembered from the start */
	/* an end is only in memory so long, and until the next tick */
	CHECKPOINT_MS = 1000,
	MARKS_MAX = 16,
	NOTES_MAX_BYTES = 4 * 1024 * 1024, /* in one report, about */
	LIST_MAX_BYTES = 1024 * 1024 * 1024
};

bool
message_has_room(const struct send *send)
{
	return send->active_count == 0 ||
	    (send->active_count < send->active_max &&
		send->active_bytes < send->active_bytes_max);
}

static struct message *
message_create(struct send *send, uint64_t id)
{
	struct message *message = xcalloc(1, sizeof(*message));

	message->id = id;
	message->spare = (struct spare){
		.id = id, .mess_fd = -1, .envelope_fd = -1
	};
	message->link = &send->active;
	message->next = send->active;
	if (message->next != NULL)
		message->next->link = &message->next;
	send->active = message;
	send->active_count++;
	idmap_put(&send->active_ids, id, message);
	return message;
}

static void
leave_waiting(
    struct send *send, struct message *message, enum route_channel channel)
{
	struct message **link = &send->waiting[channel];

	if (!message->is_waiting[channel])
		return;
	while (*link != message)
		link = &(*link)->next_waiting[channel];
	*link = message->next_waiting[channel];
	if (*link == NULL)
		send->waiting_end[channel] = link;
	message->is_waiting[channel] = false;
}

static void
enter_waiting(
    struct send *send, struct message *message, enum route_channel channel)
{
	if (message->is_waiting[channel])
		return;
	message->next_waiting[channel] = NULL;
	*send->waiting_end[channel] = message;
	send->waiting_end[channel] = &message->next_waiting[channel];
	message->is_waiting[channel] = true;
}

void
message_free(struct send *send, struct message *message)
{
	enum route_channel channel;

	for (channel = 0; channel < ROUTE_CHANNEL_COUNT; channel++)
		leave_waiting(send, message, channel);
	*message->link = message->next;
	if (message->next != NULL)
		message->next->link = message->link;
	send->active_count--;
	send->active_bytes -= message->memory_bytes;
	idmap_remove(&send->active_ids, message->id);
	spare_close(&message->spare);
	buf_release(&message->record);
	buf_release(&message->texts);
	buf_release(&message->notes);
	free(message->unmarked);
	free(message->recipients);
	free(message);
}

/* Adds a recipient whose address is at the end of texts. */
static void
add_recipient(struct message *message, enum route_channel channel,
    size_t text_offset, uint64_t offset)
{
	size_t count = message->recipient_count;

	if ((count & (count - 1)) == 0)
		message->recipients = xrealloc(message->recipients,
		    (count == 0 ? 1 : count * 2) *
			sizeof(*message->recipients));
	message->recipients[message->recipient_count++] = (struct recipient){
		/* texts may still move: an offset until fix_texts() */
		.address = (const char *)(uintptr_t)text_offset,
		.offset = offset,
		.channel = channel,
		.state = RECIPIENT_WAITING
	};
	message->waiting[channel]++;
	message->has_channel[channel] = true;
}

static void
fix_texts(struct message *message)
{
	size_t i;

	for (i = 0; i < message->recipient_count; i++)
		message->recipients[i].address = message->texts.data +
		    (uintptr_t)message->recipients[i].address;
}

/*
 * Counts what stays in memory until the try is over.  The arrays of recipients,
 * and of those that are done, grow by doubling.
 */
static void
weigh(struct send *send, struct message *message)
{
	message->memory_bytes = sizeof(*message) + message->record.size +
	    message->texts.size +
	    2 * message->recipient_count *
		(sizeof(*message->recipients) + sizeof(*message->unmarked));
	send->active_bytes += message->memory_bytes;
}

/* The try begins: its recipients wait for their turn. */
static void
begin(struct send *send, struct message *message)
{
	enum route_channel channel;

	fix_texts(message);
	weigh(send, message);
	for (channel = 0; channel < ROUTE_CHANNEL_COUNT; channel++)
		if (message->waiting[channel] > 0)
			enter_waiting(send, message, channel);
	if (!message->is_remembered &&
	    message->recipient_count > CHECKPOINT_RECIPIENTS)
		settle_checkpoint(send, message);
	settle(send, message);
}

/* Takes the envelope apart.  -1, with the message freed, when damaged. */
static int
begin_todo(struct send *send, struct message *message, uint64_t bounced_id)
{
	struct envelope envelope;
	struct error err;
	size_t i;

	if (envelope_parse(message->record.data, message->record.length, false,
		&envelope, &err) == -1) {
		log_line("alert: cannot use todo/%" PRIu64
			 ": %s; it stays until it is repaired",
		    message->id, err.text);
		message_free(send, message);
		return -1;
	}
	message->sender = envelope.sender;
	message->header = envelope.header;
	for (i = 0; i < envelope.recipient_count; i++) {
		size_t at = message->texts.length;

		add_recipient(message,
		    route_rewrite(
			send->route, envelope.recipients[i], &message->texts),
		    at, 0);
	}
	if (bounced_id != 0)
		log_line(
		    "bounce msg %" PRIu64 " qp %lu", bounced_id, envelope.qp);
	log_line("new msg %" PRIu64, message->id);
	log_line("info msg %" PRIu64 ": bytes %" PRIu64
		 " from <%s> qp %lu uid %lu",
	    message->id, message->size_bytes, message->sender, envelope.qp,
	    envelope.uid);
	envelope_release(&envelope);
	begin(send, message);
	return 0;
}

void
message_commit(struct send *send, struct commit_job *job)
{
	/*
	 * Only a file can be read again later.  What is on its way when the
	 * room ends is worked on all the same: one message a client.
	 */
	job->wants_file = !message_has_room(send);
	send->commits_running++;
	commit_post(send->committer, job);
}

void
message_new(struct send *send, struct commit_job *job, struct buf *record,
    uint64_t bounced_id)
{
	uint64_t id = job->id;
	struct message *message;

	send->health.accepted++;
	if (idmap_has(&send->active_ids, id))
		return; /* a scan of todo/ was faster */
	if (!job->is_journaled && !message_has_room(send)) {
		backlog_add_todo(send, id);
		return;
	}
	message = message_create(send, id);
	message->birth = time(NULL);
	message->size_bytes = job->size_bytes;
	message->spare = job->spare;
	job->spare = (struct spare)SPARE_NONE;
	message->record = *record;
	*record = (struct buf)BUF_INIT;
	begin_todo(send, message, bounced_id);
}

/* Could not be read now: later.  Absent: somebody was faster. */
static void
load_failed(struct send *send, struct message *message,
    enum queue_folder folder, enum route_channel channel)
{
	uint64_t id = message->id;
	bool is_absent = errno == ENOENT;

	if (!is_absent)
		log_line("alert: cannot read %s/%" PRIu64
			 ": %m; will try again later",
		    queue_folder_name(folder), id);
	message_free(send, message);
	if (is_absent)
		return;
	if (folder == QUEUE_TODO || folder == QUEUE_MESS)
		backlog_add_todo_later(send, id);
	else
		backlog_add_retry(send, id, channel, time(NULL) + 600);
}

void
message_load_todo(struct send *send, uint64_t id)
{
	char name[QUEUE_NAME_SIZE];
	struct message *message;
	struct spare *spare;
	struct stat st;

	message = idmap_get(&send->active_ids, id);
	if (message != NULL) {
		message->is_in_todo_too = true;
		return;
	}
	/* Not before its client may be told that it is accepted. */
	if (commit_is_new(send->committer, id))
		return;
	message = message_create(send, id);
	message->has_leftovers = settle_has_file(send, QUEUE_INFO, id) != 0 ||
	    settle_has_file(send, QUEUE_LOCAL, id) != 0 ||
	    settle_has_file(send, QUEUE_REMOTE, id) != 0 ||
	    settle_has_file(send, QUEUE_BOUNCE, id) != 0;
	spare = &message->spare;
	spare->envelope_fd = queue_open_file(send->dir, QUEUE_TODO, id, O_RDWR);
	if (spare->envelope_fd == -1 ||
	    queue_read(spare->envelope_fd, &message->record) == -1) {
		load_failed(send, message, QUEUE_TODO, ROUTE_LOCAL);
		return;
	}
	/* S4 has it, perhaps, when another system's qmail-queue wrote it. */
	queue_unlink(send->dir, QUEUE_INTD, id);
	/* And pid/ID.e, when a power cut undid half of the rename. */
	spare_envelope_name(name, id);
	unlinkat(queue_dir_fd(send->dir, QUEUE_PID, id), name, 0);
	spare->mess_fd = queue_open_file(send->dir, QUEUE_MESS, id, O_RDWR);
	if (spare->mess_fd == -1 && errno == ENOENT) {
		log_line("warning: todo/%" PRIu64 " has no message, so it was "
			 "never acknowledged; removed",
		    id);
		queue_unlink(send->dir, QUEUE_TODO, id);
		message_free(send, message);
		return;
	}
	if (spare->mess_fd == -1 || fstat(spare->mess_fd, &st) == -1) {
		load_failed(send, message, QUEUE_MESS, ROUTE_LOCAL);
		return;
	}
	message->birth = st.st_mtime;
	message->size_bytes = (uint64_t)st.st_size;
	begin_todo(send, message, 0);
}

/* The recipients of a local/ID or remote/ID that are not done. */
static int
add_remembered(struct message *message, const struct buf *list,
    enum route_channel channel, struct error *err)
{
	struct remembered recipient;
	size_t at = 0;
	int result;

	message->has_channel[channel] = true;
	while ((result = remembered_next(
		    list->data, list->length, &at, &recipient, err)) == 1) {
		size_t text = message->texts.length;

		if (recipient.is_done)
			continue;
		buf_add(&message->texts, recipient.address,
		    strlen(recipient.address) + 1);
		add_recipient(message, channel, text, recipient.offset);
	}
	return result;
}

/* Reads info/ID: sender, header and birth.  0, -1 with errno set. */
static int
load_info(struct send *send, struct message *message)
{
	int fd = queue_open_file(send->dir, QUEUE_INFO, message->id, O_RDONLY);
	int result = -1, saved_errno;
	struct stat st;

	if (fd == -1)
		return -1;
	if (fstat(fd, &st) == 0 && queue_read(fd, &message->record) == 0) {
		message->birth = st.st_mtime;
		message->sender = remembered_field(
		    message->record.data, message->record.length, 'F');
		message->header = remembered_field(
		    message->record.data, message->record.length, 'H');
		if (message->header == NULL)
			message->header = "";
		errno = EBADMSG;
		result = message->sender == NULL ? -1 : 0;
	}
	saved_errno = errno;
	close(fd);
	errno = saved_errno;
	return result;
}

/*
 * Reads a local/ID or remote/ID, which can be longer than what queue_read()
 * takes: each recipient of an envelope may have got a domain or a prefix.
 */
static int
read_list(int fd, off_t size, struct buf *list)
{
	if (size > LIST_MAX_BYTES) {
		errno = EFBIG;
		return -1;
	}
	buf_reserve(list, (size_t)size);
	while (list->length < (size_t)size) {
		ssize_t n = pread(fd, list->data + list->length,
		    (size_t)size - list->length, (off_t)list->length);

		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return -1;
		if (n == 0)
			break;
		list->length += (size_t)n;
	}
	list->data[list->length] = '\0';
	return 0;
}

/* How much earlier tries have noted already. */
static size_t
count_noted(struct send *send, uint64_t id)
{
	char name[QUEUE_NAME_SIZE];
	struct stat st;

	queue_name(name, id, "");
	return fstatat(queue_dir_fd(send->dir, QUEUE_BOUNCE, id), name, &st,
		   AT_SYMLINK_NOFOLLOW) == -1
	    ? 0
	    : (size_t)st.st_size;
}

void
message_load_remembered(
    struct send *send, uint64_t id, enum route_channel channel)
{
	enum queue_folder folder = channel == ROUTE_LOCAL ? QUEUE_LOCAL
							  : QUEUE_REMOTE;
	time_t now = time(NULL), due;
	struct buf list = BUF_INIT;
	struct message *message;
	struct error err;
	struct stat st;
	int fd;

	if (idmap_has(&send->active_ids, id)) { /* its other channel's try */
		backlog_add_retry(send, id, channel, now + 1);
		return;
	}
	message = message_create(send, id);
	message->is_remembered = true;
	fd = queue_open_file(send->dir, folder, id, O_RDONLY);
	if (fd == -1 || fstat(fd, &st) == -1 ||
	    read_list(fd, st.st_size, &list) == -1) {
		load_failed(send, message, folder, channel);
		goto out;
	}
	due = st.st_mtime;
	if (due > now && !send->is_retrying_all) {
		/* Found by the scan, which did not look at the time. */
		message_free(send, message);
		backlog_add_retry(send, id, channel, due);
		goto out;
	}
	if (load_info(send, message) == -1) {
		load_failed(send, message, QUEUE_INFO, channel);
		goto out;
	}
	if (add_remembered(message, &list, channel, &err) == -1) {
		log_line("alert: cannot use %s/%" PRIu64
			 ": %s; it stays until it is repaired",
		    queue_folder_name(folder), id, err.text);
		message_free(send, message);
		goto out;
	}
	message->note_bytes = count_noted(send, id);
	message->is_expired = message->birth +
		(time_t)settings_number(send->settings, SETTING_queuelifetime) <
	    now;
	begin(send, message);
out:
	buf_release(&list);
	if (fd != -1)
		close(fd);
}

void
message_load_ended(struct send *send, uint64_t id)
{
	struct message *message;

	/*
	 * The scan lists one folder after the other, so the message may have
	 * come to be remembered in between.  Here nothing moves: a message that
	 * the committer works on is active.
	 */
	if (idmap_has(&send->active_ids, id) ||
	    settle_has_file(send, QUEUE_TODO, id) != 0 ||
	    settle_has_file(send, QUEUE_LOCAL, id) != 0 ||
	    settle_has_file(send, QUEUE_REMOTE, id) != 0)
		return;
	message = message_create(send, id);
	message->is_remembered = true;
	if (load_info(send, message) == -1) {
		log_line("alert: cannot read info/%" PRIu64 ": %m; will try "
			 "again",
		    id);
		message_free(send, message);
		backlog_look_again(send);
		return;
	}
	message->is_settling = true;
	settle_ended(send, message);
}

struct recipient *
message_next(
    struct send *send, enum route_channel channel, struct message **message_out)
{
	struct message *message = send->waiting[channel];
	size_t at;

	if (message == NULL)
		return NULL;
	at = message->next_start[channel];
	while (message->recipients[at].channel != channel ||
	    message->recipients[at].state != RECIPIENT_WAITING)
		at++;
	message->next_start[channel] = at + 1;
	message->recipients[at].state = RECIPIENT_RUNNING;
	message->waiting[channel]--;
	message->running++;
	/* Its next recipient comes after the other messages' turns. */
	leave_waiting(send, message, channel);
	if (message->waiting[channel] > 0)
		enter_waiting(send, message, channel);
	*message_out = message;
	return &message->recipients[at];
}

void
message_put_back(
    struct send *send, struct message *message, struct recipient *recipient)
{
	enum route_channel channel = recipient->channel;
	size_t at = (size_t)(recipient - message->recipients);

	recipient->state = RECIPIENT_WAITING;
	message->waiting[channel]++;
	message->running--;
	if (message->next_start[channel] > at)
		message->next_start[channel] = at;
	enter_waiting(send, message, channel);
}

static void
add_note(struct send *send, struct message *message,
    const struct recipient *recipient, const char *text, bool is_expired)
{
	/* Only local ones were given a prefix by a rule. */
	const char *address = recipient->channel == ROUTE_LOCAL
	    ? route_strip(send->route, recipient->address)
	    : recipient->address;
	size_t before = message->notes.length;

	if (message->note_bytes >= NOTES_MAX_BYTES) {
		buf_addc(&message->notes, '\0');
		message->note_bytes++;
		return;
	}
	buf_addf(&message->notes, "<%s>:\n%s", address, text);
	if (message->notes.data[message->notes.length - 1] != '\n')
		buf_addc(&message->notes, '\n');
	if (is_expired)
		buf_adds(&message->notes,
		    "I'm not going to try again; this "
		    "message has been in the queue too long.\n");
	buf_addc(&message->notes, '\n');
	message->note_bytes += message->notes.length - before;
}

static void
recipient_done(struct message *message, struct recipient *recipient)
{
	size_t count = message->unmarked_count;

	recipient->state = RECIPIENT_DONE;
	if (count == message->unmarked_size) {
		message->unmarked_size = count * 2 + 8;
		message->unmarked = xrealloc(message->unmarked,
		    message->unmarked_size * sizeof(*message->unmarked));
	}
	if (count == 0)
		message->unmarked_since = clock_ms();
	message->unmarked[message->unmarked_count++] = recipient;
}

void
message_result(struct send *send, struct message *message,
    struct recipient *recipient, enum job_outcome outcome, const char *text)
{
	bool is_last_try = message->is_expired &&
	    (outcome == JOB_TEMPFAIL || outcome == JOB_GENERAL);

	message->running--;
	switch (is_last_try ? JOB_PERMFAIL : outcome) {
	case JOB_DELIVERED:
		send->health.delivered++;
		recipient_done(message, recipient);
		break;
	case JOB_PERMFAIL:
		send->health.failed++;
		add_note(send, message, recipient, text, is_last_try);
		recipient_done(message, recipient);
		break;
	case JOB_TEMPFAIL:
	case JOB_GENERAL:
		send->health.deferred++;
		recipient->state = RECIPIENT_DEFERRED;
		message->deferred[recipient->channel]++;
		break;
	}
	if (message->is_remembered && message->unmarked_count >= MARKS_MAX)
		settle_marks(send, message);
	settle(send, message);
}

void
message_trouble(
    struct send *send, struct message *message, struct recipient *recipient)
{
	message->running--;
	message->had_own_trouble = true;
	send->health.deferred++;
	recipient->state = RECIPIENT_DEFERRED;
	message->deferred[recipient->channel]++;
	settle(send, message);
}

void
message_tick(struct send *send)
{
	struct message *message, *next;
	int64_t now = clock_ms();

	for (message = send->active; message != NULL; message = next) {
		next = message->next;
		if (message->settle_after != 0) {
			/* A last attempt, or what has ended is repeated. */
			if (now < message->settle_after && !send->is_stopping)
				continue;
			message->settle_after = 0;
			settle(send, message);
		} else if (send->is_stopping)
			settle(send, message);
		else if (message->unmarked_count > 0 &&
		    now >= message->unmarked_since + CHECKPOINT_MS &&
		    !message->is_settling) {
			if (message->is_remembered)
				settle_marks(send, message);
			else
				settle_checkpoint(send, message);
		}
	}
}
