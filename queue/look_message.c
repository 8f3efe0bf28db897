/* SPDX-License-Identifier: ISC */
/* The messages of a queue, one after the other, in whatever state. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/scan.h"
#include "queue/dsn.h"
#include "queue/envelope.h"
#include "queue/held.h"
#include "queue/idmap.h"
#include "queue/journal_scan.h"
#include "queue/look.h"
#include "queue/remembered.h"

/* One look at a whole queue. */
struct walk {
	const struct queue_dir *dir;
	look_visit *visit; /* NULL: no more messages are read */
	void *context;
	bool is_counting;        /* all are wanted, even if none is read */
	struct idmap queued;     /* that have todo/ID */
	struct idmap remembered; /* that have info/ID, or have lost it */
	struct held held;
	struct idmap fresh; /* that the journal has, and no file was found */
	const struct journal_message *reading; /* of these */
};

enum { WALK_ENDS = 1 };

/* A message that is being read, and what its texts point to. */
struct reading {
	struct walk *walk;
	struct look_message message;
	struct look_recipient *recipients;
	size_t count;
	struct buf texts[4]; /* the record, local/, remote/, bounce/ */
	struct error problem;
};

/* Has one read and shown, if that is wanted. */
static int
read_and_show(struct walk *walk, uint64_t id, enum look_state state,
    int (*read)(struct reading *reading))
{
	struct reading reading = { .walk = walk,
		.message = { .id = id,
		    .state = state,
		    .sender = "",
		    .notes = "",
		    .header = "",
		    .dsn = "",
		    .is_held = idmap_has(&walk->held.messages, id),
		    .moving_to = idmap_get(&walk->held.messages, id) },
		.texts = { BUF_INIT, BUF_INIT, BUF_INIT, BUF_INIT } };
	int result = walk->visit == NULL ? 0 : read(&reading);

	free(reading.recipients);
	for (size_t i = 0; i < 4; i++)
		buf_release(&reading.texts[i]);
	return result;
}

static void
set_hold(struct look_message *message)
{
	time_t now = time(NULL), until;
	struct dsn_message dsn;

	if (message->attempt > 0 || message->dsn == NULL ||
	    !dsn_get_message(message->dsn, &dsn))
		return;
	until = dsn_hold_until(&dsn, message->retry_at, now);
	if (until <= now)
		return;
	message->hold_until = until;
	if (message->retry_at == 0)
		message->retry_at = until;
}

static int
show_message(struct reading *reading, bool has_problem)
{
	struct look_message *message = &reading->message;
	struct walk *walk = reading->walk;

	set_hold(message);
	message->recipients = reading->recipients;
	message->recipient_count = reading->count;
	message->problem = has_problem ? reading->problem.text : NULL;
	if (walk->visit(message, walk->context))
		return 0;
	walk->visit = NULL;
	return walk->is_counting ? 0 : WALK_ENDS;
}

static void
add_look_recipient(struct reading *reading, enum queue_folder channel,
    const struct remembered *from, const char *dsn)
{
	reading->recipients = mem_room(
	    reading->recipients, reading->count, sizeof(*reading->recipients));
	reading->recipients[reading->count++] = (struct look_recipient){
		.address = from->address,
		.channel = channel,
		.is_done = from->is_done,
		.offset = from->offset,
		.dsn = dsn == NULL ? "" : dsn
	};
}

/* 1; 0 when it is gone, since qmail-send goes on working; -1. */
static int
stat_file(struct reading *reading, enum queue_folder folder, struct stat *st)
{
	const struct queue_dir *dir = reading->walk->dir;
	uint64_t id = reading->message.id;
	int result = queue_stat(dir, folder, id, st);

	return result != -1 ? result
			    : error_sys(&reading->problem,
				  "cannot look for '%s/%s/%" PRIu64 "'",
				  dir->path, queue_folder_name(folder), id);
}

/* The same for a file's content. */
static int
read_file(struct reading *reading, enum queue_folder folder, struct buf *text,
    struct stat *st)
{
	const struct queue_dir *dir = reading->walk->dir;
	uint64_t id = reading->message.id;
	AUTO(file_close)
	int fd = queue_open_file(dir, folder, id, O_RDONLY | O_NONBLOCK);

	if (fd == -1 && errno == ENOENT)
		return 0;
	if (fd != -1 && fstat(fd, st) == 0 && queue_read(fd, text) == 0)
		return 1;
	return error_sys(&reading->problem, "cannot read '%s/%s/%" PRIu64 "'",
	    dir->path, queue_folder_name(folder), id);
}

/* What mess/ID says.  1; 0 when the message is gone; -1. */
static int
stat_mess(struct reading *reading)
{
	struct stat st;
	int result = stat_file(reading, QUEUE_MESS, &st);

	if (result == 1) {
		reading->message.size_bytes = (uint64_t)st.st_size;
		reading->message.birth = st.st_mtime;
	}
	return result;
}

/* The recipients of local/ID or remote/ID; one that is not there has none. */
static int
add_channel(struct reading *reading, enum queue_folder folder, struct buf *list)
{
	struct remembered recipient;
	struct stat st;
	size_t at = 0;
	int result = read_file(reading, folder, list, &st);

	if (result != 1)
		return result;
	if (reading->message.retry_at == 0 ||
	    st.st_mtime < reading->message.retry_at)
		reading->message.retry_at = st.st_mtime;
	while ((result = remembered_next(list->data, list->length, &at,
		    &recipient, &reading->problem)) == 1)
		add_look_recipient(reading, folder, &recipient, NULL);
	if (result == -1)
		error_context(&reading->problem, "'%s/%s/%" PRIu64 "'",
		    reading->walk->dir->path, queue_folder_name(folder),
		    reading->message.id);
	return result;
}

/* What info/ID says. */
static int
read_info(struct reading *reading, const struct buf *text)
{
	struct look_message *message = &reading->message;
	struct remembered_info info;

	if (remembered_get_info(
		text->data, text->length, &info, &reading->problem) == -1)
		return error_context(&reading->problem, "'%s/info/%" PRIu64 "'",
		    reading->walk->dir->path, message->id);
	message->sender = info.sender;
	message->uuid = info.uuid;
	message->attempt = info.attempt;
	message->header = info.header;
	message->dsn = info.dsn;
	message->birth = remembered_birth(&info, message->birth);
	return info.has_size
	    ? envelope_check_size(message->id, message->size_bytes,
		  info.size_bytes, &reading->problem)
	    : 0;
}

/* One that is damaged does not hide the other. */
static bool
add_channels(struct reading *reading)
{
	bool has_problem = add_channel(
			       reading, QUEUE_LOCAL, &reading->texts[1]) == -1;

	return add_channel(reading, QUEUE_REMOTE, &reading->texts[2]) == -1 ||
	    has_problem;
}

/* What info/ID says of single recipients, in the order of each list. */
static void
add_recipient_dsn(struct reading *reading)
{
	const struct buf *info = &reading->texts[0];
	struct remembered_dsn dsn;
	size_t at = 0, next[2] = { 0, 0 };

	while (remembered_next_dsn(
		   info->data, info->length, &at, &dsn, &reading->problem) == 1)
		for (size_t *i = &next[dsn.is_remote]; *i < reading->count;
		     (*i)++)
			if (reading->recipients[*i].offset == dsn.offset &&
			    reading->recipients[*i].channel ==
				(dsn.is_remote ? QUEUE_REMOTE : QUEUE_LOCAL)) {
				reading->recipients[*i].dsn = dsn.dsn;
				break;
			}
}

/* The texts of failures: 1, 0 without any, -1. */
static int
read_notes(struct reading *reading)
{
	struct buf *notes = &reading->texts[3];
	struct stat st;
	int result = read_file(reading, QUEUE_BOUNCE, notes, &st);

	if (result == 1 && notes->length > 0) {
		buf_addc(notes, '\0');
		reading->message.notes = notes->data;
	}
	return result;
}

static int
look_remembered(struct reading *reading)
{
	struct look_message *message = &reading->message;
	struct stat st;
	int result = stat_mess(reading);
	bool has_problem = result == -1;

	if (result == 0)
		return 0;
	result = read_file(reading, QUEUE_INFO, &reading->texts[0], &st);
	if (result == 0)
		return 0;
	if (result == 1) {
		message->birth = st.st_mtime;
		result = read_info(reading, &reading->texts[0]);
	}
	has_problem |= result == -1;
	result = read_notes(reading);
	message->is_bouncing = result == 1;
	has_problem |= result == -1;
	has_problem |= add_channels(reading);
	add_recipient_dsn(reading);
	return show_message(reading, has_problem);
}

/* A message in S5, as its info/ID was found. */
static int
visit_info(uint64_t id, void *context)
{
	struct walk *walk = context;

	idmap_remove(&walk->fresh, id);
	/* Still in todo/ it is S4, whatever else there is. */
	if (idmap_has(&walk->queued, id))
		return 0;
	idmap_put(&walk->remembered, id, NULL);
	return read_and_show(walk, id, LOOK_REMEMBERED, look_remembered);
}

/* Could it be? */
static bool
may_have(const struct queue_dir *dir, enum queue_folder folder, uint64_t id)
{
	return queue_stat(dir, folder, id, NULL) != 0;
}

/*
 * Has a message that local/ID or remote/ID was found of, but no info/ID, lost
 * that?  One in pid/ is just being kept, one without mess/ID is over.
 */
static bool
is_headless(const struct walk *walk, uint64_t id)
{
	const struct queue_dir *dir = walk->dir;

	return !idmap_has(&walk->queued, id) && !idmap_has(&walk->fresh, id) &&
	    !idmap_has(&walk->remembered, id) &&
	    !may_have(dir, QUEUE_PID, id) && !may_have(dir, QUEUE_TODO, id) &&
	    !may_have(dir, QUEUE_INFO, id) && may_have(dir, QUEUE_MESS, id) &&
	    (may_have(dir, QUEUE_LOCAL, id) || may_have(dir, QUEUE_REMOTE, id));
}

static int
read_headless(struct reading *reading)
{
	stat_mess(reading);
	if (!add_channels(reading))
		error_set(&reading->problem,
		    "it has recipients, but 'info/%" PRIu64 "' is missing",
		    reading->message.id);
	return show_message(reading, true);
}

/* As local/ID or remote/ID was found: whose are these recipients? */
static int
visit_headless(uint64_t id, void *context)
{
	struct walk *walk = context;

	if (!is_headless(walk, id))
		return 0;
	idmap_put(&walk->remembered, id, NULL);
	return read_and_show(walk, id, LOOK_REMEMBERED, read_headless);
}

/* What a todo record says: its recipients have no channel yet. */
static int
show_envelope(struct reading *reading, const char *record, size_t length)
{
	struct look_message *message = &reading->message;
	struct envelope envelope;
	bool has_problem;
	int result;

	if (envelope_parse(record, length, ENVELOPE_TODO, &envelope,
		&reading->problem) == -1) {
		error_context(&reading->problem, "envelope of message %" PRIu64,
		    message->id);
		return show_message(reading, true);
	}
	has_problem = envelope.has_size &&
	    envelope_check_size(message->id, message->size_bytes,
		envelope.size_bytes, &reading->problem) == -1;
	message->sender = envelope.sender;
	if (uuid_is_none(&message->uuid))
		message->uuid = envelope.uuid;
	message->attempt = envelope.attempt;
	message->header = envelope.header;
	message->dsn = envelope.dsn;
	message->notes = envelope.notes;
	if (envelope.birth != 0)
		message->birth = envelope.birth;
	for (size_t i = 0; i < envelope.recipient_count; i++)
		add_look_recipient(reading, QUEUE_TODO,
		    &(struct remembered){ .address = envelope.recipients[i],
			.is_done = envelope.is_done != NULL &&
			    envelope.is_done[i] },
		    envelope_dsn(&envelope, i));
	result = show_message(reading, has_problem);
	envelope_release(&envelope);
	return result;
}

static int
read_queued(struct reading *reading)
{
	struct buf *record = &reading->texts[0];
	struct stat st;
	int result = stat_mess(reading);

	if (result == 1)
		result = read_file(reading, QUEUE_TODO, record, &st);
	if (result != 1)
		return result == -1 ? show_message(reading, true) : 0;
	return show_envelope(reading, record->data, record->length);
}

static int
visit_todo(uint64_t id, void *context)
{
	struct walk *walk = context;

	idmap_remove(&walk->fresh, id);
	idmap_put(&walk->queued, id, NULL);
	return read_and_show(walk, id, LOOK_QUEUED, read_queued);
}

static int
read_fresh(struct reading *reading)
{
	const struct journal_message *fresh = reading->walk->reading;
	struct look_message *message = &reading->message;
	int result = fresh->body != NULL ? 1 : stat_mess(reading);

	message->uuid = fresh->uuid;
	message->body = fresh->body;
	message->birth = fresh->birth_s;
	if (result == 1 && fresh->body == NULL)
		result = envelope_check_size(message->id, message->size_bytes,
			     fresh->size_bytes, &reading->problem) == 0
		    ? 1
		    : -1;
	message->size_bytes = fresh->size_bytes;
	if (result != 1)
		return result == -1 ? show_message(reading, true) : 0;
	return show_envelope(reading, fresh->record, fresh->record_length);
}

/* A body of its own that is missing was not acknowledged, or is over. */
static void
note_fresh(struct walk *walk, const struct journal_view *view)
{
	for (size_t i = 0; i < view->count; i++)
		if (view->messages[i].body != NULL ||
		    may_have(walk->dir, QUEUE_MESS, view->messages[i].id))
			idmap_put(&walk->fresh, view->messages[i].id, NULL);
}

/* One that has a file is kept, whatever the journal says. */
static int
visit_fresh(struct walk *walk, const struct journal_view *view)
{
	int result = 0;

	for (size_t i = 0; i < view->count && result == 0; i++) {
		walk->reading = &view->messages[i];
		if (idmap_has(&walk->fresh, walk->reading->id))
			result = read_and_show(
			    walk, walk->reading->id, LOOK_FRESH, read_fresh);
	}
	return result;
}

/*
 * 0, or -1 with the reason.  What is being written looks damaged, too, and a
 * running qmail-send needs nothing of it.
 */
static int
read_journal(
    struct walk *walk, struct journal_view *view_out, struct error *err)
{
	if (journal_view_open(walk->dir, view_out, err) == -1)
		return -1;
	note_fresh(walk, view_out);
	return view_out->is_damaged &&
		queue_is_owned(walk->dir->path, NULL) != 1
	    ? error_set(err,
		  "the journal of '%s' is damaged: the queue's next start uses "
		  "what can be read of it, and keeps it for people",
		  walk->dir->path)
	    : 0;
}

static int
visit_part(struct walk *walk, unsigned part, struct error *err)
{
	static const struct {
		enum queue_folder folder;
		int (*visit)(uint64_t id, void *context);
	} rows[] = {
		{ QUEUE_INFO, visit_info },
		{ QUEUE_LOCAL, visit_headless },
		{ QUEUE_REMOTE, visit_headless },
	};
	int result = 0;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]) && result == 0;
	     i++)
		result = look_folder(
		    walk->dir, rows[i].folder, part, rows[i].visit, walk, err);
	return result;
}

/* What lock/ keeps for people. */
static int
count_aside(int folder, const struct dirent *entry, void *context)
{
	struct look_count *count = context;

	(void)folder;
	count->aside += queue_is_kept(entry->d_name);
	return 0;
}

/* 0, -1 with the reason, or WALK_ENDS. */
static int
walk_queue(struct walk *walk, enum look_where where,
    struct look_count *count_out, struct error *err)
{
	const struct queue_dir *dir = walk->dir;
	struct journal_view view = { .count = 0 };
	/* First: a message leaves it for a file, and todo/ for info/. */
	int seen = where == LOOK_IN_FILES ? 0 : read_journal(walk, &view, err);
	struct error *other_err = seen == -1 ? NULL : err;
	int result = look_folder(
	    dir, QUEUE_TODO, 0, visit_todo, walk, other_err);

	for (unsigned part = 0; result == 0 && part < dir->split; part++)
		result = visit_part(walk, part, other_err);
	if (result == 0)
		result = visit_fresh(walk, &view);
	journal_view_release(&view);
	if (count_out == NULL)
		return result == 0 ? seen : result;
	*count_out = (struct look_count){ .fresh = walk->fresh.count,
		.not_preprocessed = walk->fresh.count + walk->queued.count };
	count_out->messages = count_out->not_preprocessed +
	    walk->remembered.count;
	if (result == 0)
		result = queue_list_folder(
		    dir, QUEUE_LOCK, 0, count_aside, count_out, other_err);
	return result == 0 ? seen : result;
}

static void
end_walk(struct walk *walk)
{
	idmap_release(&walk->remembered);
	idmap_release(&walk->queued);
	idmap_release(&walk->fresh);
	held_release(&walk->held);
}

int
look_messages(const struct queue_dir *dir, look_visit *visit, void *context,
    struct error *err)
{
	struct walk walk = { .dir = dir, .visit = visit, .context = context };
	int result = held_read(dir->path, &walk.held, err);

	if (result == 0)
		result = walk_queue(&walk, LOOK_EVERYWHERE, NULL, err);

	end_walk(&walk);
	return result == WALK_ENDS ? 0 : result;
}

int
look_read_body(const struct queue_dir *dir, uint64_t id, size_t max_bytes,
    struct buf *body, struct error *err)
{
	AUTO(file_close)
	int fd = queue_open_file(dir, QUEUE_MESS, id, O_RDONLY | O_NONBLOCK);

	if (fd == -1 && errno == ENOENT)
		return 0;
	if (fd != -1 && queue_read_first(fd, max_bytes, body) == 0)
		return 1;
	return error_sys(
	    err, "cannot read '%s/mess/%" PRIu64 "'", dir->path, id);
}

int
look_count(const struct queue_dir *dir, struct look_count *count_out,
    struct error *err)
{
	struct walk walk = { .dir = dir, .is_counting = true };
	int result = walk_queue(&walk, LOOK_EVERYWHERE, count_out, err);

	end_walk(&walk);
	return result;
}

struct search {
	struct look_damage *damage;
	uint64_t left;
};

static bool
note_damage(const struct look_message *message, void *context)
{
	struct search *search = context;
	struct look_damage *damage = search->damage;

	if (search->left-- == 0) {
		damage->is_whole = false;
		return false;
	}
	if (message->problem != NULL) {
		if (damage->id_count < LOOK_DAMAGE_IDS)
			damage->ids[damage->id_count++] = message->id;
		damage->count++;
	}
	return true;
}

int
look_damage(const struct queue_dir *dir, enum look_where where,
    uint64_t messages_max, struct look_damage *damage_out,
    struct look_count *count_out, struct error *err)
{
	struct search search = { .damage = damage_out, .left = messages_max };
	struct walk walk = { .dir = dir,
		.visit = note_damage,
		.context = &search,
		.is_counting = count_out != NULL };
	int result;

	*damage_out = (struct look_damage){ .is_whole = true };
	result = walk_queue(&walk, where, count_out, err);
	end_walk(&walk);
	if (result != -1)
		return 0;
	damage_out->is_whole = false;
	return -1;
}

void
look_damage_format(const struct look_damage *damage, struct buf *buf)
{
	unsigned i;

	for (i = 0; i < damage->id_count; i++)
		buf_addf(buf, "%s%" PRIu64, i == 0 ? "" : ", ", damage->ids[i]);
	if (damage->count > damage->id_count)
		buf_addf(buf, " and %" PRIu64 " more", damage->count - i);
}
