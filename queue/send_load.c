/* SPDX-License-Identifier: ISC */
/*
 * Messages come from disk into memory.  Their files are read by helpers; the
 * event loop gets what they found.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/test_time.h"
#include "queue/exitcode.h"
#include "queue/remembered.h"
#include "queue/schedule.h"
#include "queue/send.h"

enum {
	LIST_MAX_BYTES = 1024 * 1024 * 1024,
	AGAIN_S = 600, /* after what could not be read */
	LOOK_AGAIN_MS = 10000
};

/* What files of a message there are that the journal has. */
struct traces {
	int error; /* errno; 0: nothing of this is unknown */
	bool is_kept;
	bool is_gone; /* its body should be in a file */
	bool is_short;
	bool has_leftovers;
};

/* A message on its way from disk. */
struct load {
	struct work work;
	struct send *send;
	struct message *message; /* the loop's, but for what follows */
	/* whose file says what state it is in: todo; local or remote; or, all
	 * done, info */
	enum queue_folder folder;
	void (*read)(struct load *load);  /* in the helper */
	void (*go_on)(struct load *load); /* in the loop */
	/* what the helper found */
	int error;                  /* errno; 0 when all could be read */
	enum queue_folder failed;   /* the file that could not */
	bool is_never_acknowledged; /* todo: there is no mess/ID */
	bool has_changed;           /* info: it is in another state by now */
	int mess_fd;
	struct buf record, list;
	time_t birth;
	time_t retry_at; /* of local/ID or remote/ID */
	uint64_t size_bytes;
	size_t note_bytes;
	bool has_leftovers;
};

/* -- in a helper */

static int
load_failed(struct load *load, enum queue_folder folder)
{
	load->error = errno == 0 ? EIO : errno;
	load->failed = folder;
	return -1;
}

/*
 * A whole file of the message into buf; its mtime, if that is wanted.  A
 * local/ID or remote/ID can be longer than an envelope: each recipient may have
 * got a domain or a prefix.
 */
static int
read_kept_file(struct load *load, enum queue_folder folder, struct buf *buf,
    time_t *mtime_out)
{
	AUTO(file_close)
	int fd = queue_open_file(
	    load->send->dir, folder, load->message->id, O_RDONLY);
	struct stat st;
	int result = fd == -1 || fstat(fd, &st) == -1 ? -1 : 0;

	if (result == 0 && st.st_size > LIST_MAX_BYTES) {
		errno = EFBIG;
		result = -1;
	}
	if (result == 0) {
		buf_init(buf);
		result = queue_read_first(fd, (size_t)st.st_size, buf);
	}
	if (result == -1)
		load_failed(load, folder);
	else if (mtime_out != NULL)
		*mtime_out = st.st_mtime;
	return result;
}

/* mess/ID: stays open for the workers. */
static int
open_mess(struct load *load, time_t *mtime_out)
{
	struct stat st;

	load->mess_fd = queue_open_file(
	    load->send->dir, QUEUE_MESS, load->message->id, O_RDONLY);
	if (load->mess_fd == -1 || fstat(load->mess_fd, &st) == -1)
		return load_failed(load, QUEUE_MESS);
	load->size_bytes = (uint64_t)st.st_size;
	if (mtime_out != NULL)
		*mtime_out = st.st_mtime;
	return 0;
}

static void
read_todo(struct load *load)
{
	const struct queue_dir *dir = load->send->dir;
	uint64_t id = load->message->id;

	load->has_leftovers = queue_has_file(dir, QUEUE_INFO, id) != 0 ||
	    queue_has_file(dir, QUEUE_LOCAL, id) != 0 ||
	    queue_has_file(dir, QUEUE_REMOTE, id) != 0 ||
	    queue_has_file(dir, QUEUE_BOUNCE, id) != 0;
	if (read_kept_file(load, QUEUE_TODO, &load->record, NULL) == -1)
		return;
	/* S4 has it, perhaps, when another system's qmail-queue wrote it. */
	queue_unlink(dir, QUEUE_INTD, id);
	if (open_mess(load, &load->birth) == -1 && load->error == ENOENT) {
		load->is_never_acknowledged = true;
		queue_unlink(dir, QUEUE_TODO, id);
	}
}

/* How much earlier tries have noted already. */
static size_t
count_noted(const struct queue_dir *dir, uint64_t id)
{
	struct stat st;

	return queue_stat(dir, QUEUE_BOUNCE, id, &st) == 1 ? (size_t)st.st_size
							   : 0;
}

static void
load_remembered_files(struct load *load)
{
	if (read_kept_file(
		load, load->folder, &load->list, &load->retry_at) == 0 &&
	    read_kept_file(load, QUEUE_INFO, &load->record, &load->birth) ==
		0 &&
	    open_mess(load, NULL) == 0)
		load->note_bytes = count_noted(
		    load->send->dir, load->message->id);
}

static void
read_ended(struct load *load)
{
	const struct queue_dir *dir = load->send->dir;
	uint64_t id = load->message->id;

	/* The scan lists one folder after the other: it may have moved. */
	load->has_changed = queue_has_file(dir, QUEUE_TODO, id) != 0 ||
	    queue_has_file(dir, QUEUE_LOCAL, id) != 0 ||
	    queue_has_file(dir, QUEUE_REMOTE, id) != 0;
	if (!load->has_changed)
		read_kept_file(load, QUEUE_INFO, &load->record, &load->birth);
}

static void
run_load(struct work *work)
{
	struct load *load = (struct load *)work;

	load->read(load);
}

/* -- in the event loop */

bool
load_is_new_damage(struct send *send, uint64_t id)
{
	if (!idmap_put(&send->damaged_ids, id, NULL))
		return false;
	send->health.damaged++;
	return true;
}

/* Nothing more is known of it: frees it. */
static void
drop_loaded(struct send *send, struct message *message)
{
	backlog_set_split(send, message->id, false);
	operate_lost(send, message->id);
	message_free(send, message);
}

/*
 * A message that cannot be used as it is; people must look at it.  It is told
 * once, however often it is found.
 */
static void
drop_damaged(struct send *send, struct message *message,
    enum queue_folder folder, const char *why)
{
	if (load_is_new_damage(send, message->id))
		log_line(
		    "alert: cannot use %s/%" PRIu64
		    ": %s; it stays until it is repaired (queue-fix -N %s)",
		    queue_folder_name(folder), message->id, why,
		    send->dir->path);
	drop_loaded(send, message);
}

static enum route_channel
channel_of_load(const struct load *load)
{
	return load->folder == QUEUE_REMOTE ? ROUTE_REMOTE : ROUTE_LOCAL;
}

/* Could not be read now. */
static void
try_later(struct load *load, struct message *message)
{
	struct send *send = load->send;
	uint64_t id = message->id;

	errno = load->error;
	log_line("alert: cannot read %s/%" PRIu64 ": %m; will try again later",
	    queue_folder_name(load->failed), id);
	message_free(send, message);
	if (load->folder == QUEUE_TODO)
		backlog_add_todo_later(send, id);
	else if (load->folder == QUEUE_INFO)
		backlog_look_again(send);
	else
		backlog_add_retry(send, id, channel_of_load(load),
		    time(NULL) + AGAIN_S, NULL);
}

/*
 * Only the file that says what state the message is in may be gone, since
 * somebody was faster.  Any other that is missing is a damage.
 *
 * False, with the message freed, when there is nothing to go on with.
 */
static bool
is_loaded(struct load *load)
{
	struct send *send = load->send;
	struct message *message = load->message;
	bool is_absent = load->error == ENOENT;

	if (load->error == 0 && !load->has_changed)
		return true;
	if (load->is_never_acknowledged)
		log_line("warning: todo/%" PRIu64 " has no message, so it was "
			 "never acknowledged; removed",
		    message->id);
	if (load->has_changed || load->is_never_acknowledged ||
	    (is_absent && load->failed == load->folder))
		drop_loaded(send, message); /* somebody was faster */
	else if (is_absent)
		drop_damaged(
		    send, message, load->failed, "the file is missing");
	else
		try_later(load, message);
	return false;
}

/* Takes what info says: sender and header, and what our own adds. */
static int
take_info(struct message *message, struct error *err)
{
	const struct buf *record = &message->record;
	struct remembered_info info;

	if (remembered_get_info(record->data, record->length, &info, err) == -1)
		return -1;
	message->envelope = (struct envelope){ .sender = info.sender,
		.header = info.header,
		.dsn = info.dsn,
		.notes = "" };
	message->uuid = info.uuid;
	message->birth = remembered_birth(&info, message->birth);
	message->attempt = info.attempt + 1;
	message->attempt_at = (off_t)info.attempt_at;
	message->has_told = info.has_told;
	message->is_told[ROUTE_LOCAL] = info.is_told[ROUTE_LOCAL];
	message->is_told[ROUTE_REMOTE] = info.is_told[ROUTE_REMOTE];
	message->is_unsized = !info.has_size;
	if (info.has_size && message->mess_fd == -1)
		message->size_bytes = info.size_bytes;
	if (info.has_size && info.size_bytes != message->size_bytes &&
	    message->mess_fd != -1)
		return error_set(err,
		    "mess/%" PRIu64 " has %" PRIu64 " bytes, but %" PRIu64
		    " were committed",
		    message->id, message->size_bytes, info.size_bytes);
	return 0;
}

/*
 * The parameters of the recipient whose mark is at this offset, or NULL; dsn is
 * the first of info/ID that was not passed over.
 */
static int
find_dsn(const struct message *message, enum route_channel channel,
    uint64_t offset, size_t *at, struct remembered_dsn *dsn,
    const char **found_out, struct error *err)
{
	const struct buf *info = &message->record;
	bool is_remote = channel == ROUTE_REMOTE;
	int result = 1;

	while (dsn->dsn == NULL || dsn->is_remote != is_remote ||
	    dsn->offset < offset) {
		result = remembered_next_dsn(
		    info->data, info->length, at, dsn, err);
		if (result != 1)
			break;
	}
	*found_out = result == 1 && dsn->offset == offset ? dsn->dsn : NULL;
	return result == -1 ? -1 : 0;
}

/* The recipients of a local/ID or remote/ID that are not done. */
static int
take_list(
    struct message *message, enum route_channel channel, struct error *err)
{
	const struct buf *list = &message->list;
	struct remembered recipient;
	struct remembered_dsn dsn = { .dsn = NULL };
	struct envelope *envelope = &message->envelope;
	size_t at = 0, dsn_at = 0;
	int result;

	while ((result = remembered_next(
		    list->data, list->length, &at, &recipient, err)) == 1) {
		if (recipient.is_done)
			continue;
		envelope->recipients = mem_room(envelope->recipients,
		    envelope->recipient_count, sizeof(*envelope->recipients));
		message->offsets = mem_room(message->offsets,
		    envelope->recipient_count, sizeof(*message->offsets));
		envelope->recipient_dsn = mem_room(envelope->recipient_dsn,
		    envelope->recipient_count,
		    sizeof(*envelope->recipient_dsn));
		if (find_dsn(message, channel, recipient.offset, &dsn_at, &dsn,
			&envelope->recipient_dsn[envelope->recipient_count],
			err) == -1)
			return -1;
		message->offsets[envelope->recipient_count] = recipient.offset;
		envelope->recipients[envelope->recipient_count++] =
		    recipient.address;
	}
	return result;
}

/*
 * What its sender wants counts, not the time of the file, but for what
 * dsn_hold_until() says; then that is what a next process is to find there.
 */
static void
take_hold(struct message *message, time_t retry_at)
{
	time_t now = time(NULL);
	struct dsn_message dsn;

	dsn_get_message(message->envelope.dsn, &dsn);
	message->hold_until = dsn_hold_until(&dsn, retry_at, now);
	message->is_retimed = message->hold_until > now &&
	    message->hold_until != retry_at;
}

static void
go_on_remembered(struct load *load)
{
	struct send *send = load->send;
	struct message *message = load->message;
	enum route_channel channel = channel_of_load(load), *channels;
	struct error err;

	message->note_bytes = load->note_bytes;
	if (take_info(message, &err) == -1) {
		drop_damaged(send, message, QUEUE_INFO, err.text);
		return;
	}
	if (take_list(message, channel, &err) == -1) {
		drop_damaged(send, message, load->folder, err.text);
		return;
	}
	take_hold(message, load->retry_at);
	message->has_channel[channel] = true;
	message->read_at = time(NULL);
	if (message->envelope.recipient_count == 0) {
		settle(send, message); /* all done: its end was interrupted */
		return;
	}
	channels = xcalloc(
	    message->envelope.recipient_count, sizeof(*channels));
	for (size_t i = 0; i < message->envelope.recipient_count; i++)
		channels[i] = channel;
	message->channels = channels;
	message_route(send, message, channels);
}

static void
go_on_todo(struct load *load)
{
	struct send *send = load->send;
	struct message *message = load->message;
	struct error err;

	message->has_leftovers = load->has_leftovers;
	if (envelope_parse(message->record.data, message->record.length,
		ENVELOPE_TODO, &message->envelope, &err) == -1 ||
	    (message->envelope.has_size &&
		envelope_check_size(message->id, message->size_bytes,
		    message->envelope.size_bytes, &err) == -1)) {
		drop_damaged(send, message, QUEUE_TODO, err.text);
		return;
	}
	message->uuid = message->envelope.uuid;
	message_take_history(message, message->birth);
	message_log_new(message);
	message_route(send, message, NULL);
}

static void
go_on_ended(struct load *load)
{
	struct send *send = load->send;
	struct message *message = load->message;
	struct error err;

	if (take_info(message, &err) == -1) {
		drop_damaged(send, message, QUEUE_INFO, err.text);
		return;
	}
	message->is_settling = true;
	settle_ended(message);
}

static void
load_done(struct work *work)
{
	struct load *load = (struct load *)work;
	struct message *message = load->message;

	load->send->jobs_running--;
	message->record = load->record;
	message->list = load->list;
	message->birth = schedule_sane_birth(load->birth, time(NULL));
	message->size_bytes = load->size_bytes;
	message->mess_fd = load->mess_fd;
	message->has_file = true;
	message->is_settling = false;
	if (is_loaded(load))
		load->go_on(load);
	free(load);
}

static void
post_load(struct send *send, uint64_t id, enum queue_folder folder,
    void (*read)(struct load *load), void (*go_on)(struct load *load))
{
	struct load *load = xcalloc(1, sizeof(*load));

	load->send = send;
	load->folder = folder;
	load->read = read;
	load->go_on = go_on;
	load->mess_fd = -1;
	load->message = message_create(
	    send, id, folder == QUEUE_TODO ? MESSAGE_TODO : MESSAGE_KEPT);
	load->message->is_settling = true; /* nobody else goes on with it */
	send->jobs_running++;
	work_pool_post(send->helpers, &load->work, run_load, load_done);
}

void
load_todo(struct send *send, uint64_t id)
{
	struct message *message = idmap_get(&send->active_ids, id);

	if (message != NULL)
		message->is_in_todo_too = true; /* over() looks again */
	else
		post_load(send, id, QUEUE_TODO, read_todo, go_on_todo);
}

void
load_remembered(struct send *send, uint64_t id, enum route_channel channel)
{
	if (idmap_has(&send->active_ids, id)) /* its other channel's try */
		backlog_add_retry(send, id, channel, time(NULL) + 1, NULL);
	else
		post_load(send, id, message_folder(channel),
		    load_remembered_files, go_on_remembered);
}

void
load_ended(struct send *send, uint64_t id)
{
	if (!idmap_has(&send->active_ids, id))
		post_load(send, id, QUEUE_INFO, read_ended, go_on_ended);
}

/* -- messages of the journal: at the start, or in a helper */

static void
find_traces(const struct queue_dir *dir, const struct message *message,
    struct traces *traces_out)
{
	uint64_t id = message->id;
	int has_info = queue_has_file(dir, QUEUE_INFO, id);
	int has_todo = has_info == -1 ? -1
				      : queue_has_file(dir, QUEUE_TODO, id);
	int has_mess;
	struct stat st;

	*traces_out = (struct traces){ .error = has_todo == -1 ? errno : 0,
		.is_kept = has_info == 1 || has_todo == 1 };
	if (has_todo == -1 || traces_out->is_kept)
		return;
	traces_out->has_leftovers = queue_has_file(dir, QUEUE_LOCAL, id) != 0 ||
	    queue_has_file(dir, QUEUE_REMOTE, id) != 0 ||
	    queue_has_file(dir, QUEUE_BOUNCE, id) != 0 ||
	    (!message->has_file && queue_has_file(dir, QUEUE_MESS, id) != 0);
	if (!message->has_file)
		return;
	has_mess = queue_stat(dir, QUEUE_MESS, id, &st);
	traces_out->is_gone = has_mess == 0;
	traces_out->is_short = has_mess != 1 ||
	    (uint64_t)st.st_size != message->size_bytes;
}

/* What was found: its try begins, it is held and freed, or is unsure still. */
enum found_state { FOUND_FRESH, FOUND_OVER, FOUND_UNSURE };

static enum found_state
judge_traces(
    struct send *send, struct message *message, const struct traces *traces)
{
	message->is_unsure = traces->error != 0;
	message->is_settling = message->has_stopped = message->is_unsure;
	if (message->is_unsure) {
		errno = traces->error;
		log_line("alert: cannot tell whether message %" PRIu64
			 " of the journal has files: %m; will look again",
		    message->id);
		message->settle_after = clock_ms() +
		    test_time_ms("LOOK_AGAIN_MS", LOOK_AGAIN_MS);
		backlog_hold(send, message->id);
		return FOUND_UNSURE;
	}
	message->settle_after = 0;
	/* What has such a file is kept, whatever the journal says. */
	if (traces->is_kept || traces->is_gone) {
		backlog_hold(send, message->id);
		if (traces->is_gone) /* its client may send it again */
			recent_remove(send->recent, &message->uuid);
		message_free(send, message);
		return FOUND_OVER;
	}
	message->has_leftovers = traces->has_leftovers;
	if (traces->is_short)
		log_line("alert: mess/%" PRIu64
			 " cannot be read whole; its deliveries wait",
		    message->id);
	if (!message->is_unreadable)
		message_route(send, message, NULL);
	return FOUND_FRESH;
}

void
load_found(struct send *send, struct message *message)
{
	struct traces traces;

	find_traces(send->dir, message, &traces);
	judge_traces(send, message, &traces);
}

/*
 * The names that make them kept may be in memory only: who gave them was killed
 * before the folders were synced.
 */
static int
sync_names(const struct queue_dir *dir, struct error *err)
{
	for (unsigned part = 0; part < dir->split; part++)
		if (fsync(queue_dir_fd(dir, QUEUE_INFO, part)) == -1)
			return error_sys(
			    err, "cannot sync '%s/info/%u'", dir->path, part);
	return fsync(queue_dir_fd(dir, QUEUE_TODO, 0)) == 0
	    ? 0
	    : error_sys(err, "cannot sync '%s/todo'", dir->path);
}

static void found_ended(struct commit_job *job, void *context);

static void
post_found_end(struct send *send, uint64_t id)
{
	struct commit_job *job = commit_job_new(COMMIT_END, id);

	job->is_waited_for = true;
	job->done = found_ended;
	job->context = send;
	commit_post(send->committer, job);
}

/* Until there is room for it in the journal. */
static void
found_ended(struct commit_job *job, void *context)
{
	struct send *send = context;

	if (job->result == QQ_OK)
		backlog_let_go(send, job->message.id);
	else if (!send->is_stopping)
		post_found_end(send, job->message.id);
	commit_job_free(&job);
}

/* Another look at one of which it could not be told what there is. */
struct look {
	struct work work;
	struct send *send;
	struct message *message;
	struct traces traces; /* the helper's */
};

static void
run_look(struct work *work)
{
	struct look *look = (struct look *)work;
	struct send *send = look->send;

	find_traces(send->dir, look->message, &look->traces);
	if (look->traces.is_kept && sync_names(send->dir, NULL) == -1)
		look->traces.error = errno;
}

static void
look_done(struct work *work)
{
	struct look *look = (struct look *)work;
	struct send *send = look->send;
	uint64_t id = look->message->id;

	send->jobs_running--;
	switch (judge_traces(send, look->message, &look->traces)) {
	case FOUND_OVER:
		post_found_end(send, id);
		break;
	case FOUND_FRESH:
		backlog_let_go(send, id);
		break;
	case FOUND_UNSURE:
		break;
	}
	free(look);
}

void
load_look_again(struct send *send, struct message *message)
{
	struct look *look = xcalloc(1, sizeof(*look));

	look->send = send;
	look->message = message;
	message->is_unsure = false; /* until it is done */
	send->jobs_running++;
	work_pool_post(send->helpers, &look->work, run_look, look_done);
}

int
load_end_found(struct send *send, struct error *err)
{
	if (send->held.count > 0 && sync_names(send->dir, err) == -1)
		return -1;
	for (size_t i = 0; i < send->held.size; i++) {
		uint64_t id = send->held.slots[i].id;

		if (id != 0 && !idmap_has(&send->active_ids, id))
			post_found_end(send, id);
	}
	return 0;
}
