/* SPDX-License-Identifier: ISC */
/*
 * A message's life in memory: from its commit, or its load from disk, through
 * the deliveries of one try, to send_settle.c.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/log_text.h"
#include "base/mem.h"
#include "base/test_time.h"
#include "control/domain_lines.h"
#include "queue/bounce.h"
#include "queue/exitcode.h"
#include "queue/schedule.h"
#include "queue/send.h"

enum {
	STAY_MS = 3000, /* a fresh message that is not over then is kept */
	/* an end is only in memory so long, and until the next tick */
	CHECKPOINT_MS = 1000,
	MARKS_MAX = 16,
	SENDER_LOG_MAX = 2100,
	RUN_MS = 100, /* between two looks at what has stayed */
	NOTES_MAX_BYTES = 4 * 1024 * 1024 /* in one report, about */
};

static int64_t
stay_ms(void)
{
	return test_time_ms("STAY_MS", STAY_MS);
}

/* A commit under way. */
struct arrival {
	struct send *send;
	struct message *message;
	struct intake_message *intake;
	uint64_t bounced_id;
	bool has_no_room; /* it is not routed: it waits in S4 */
};

enum queue_folder
message_folder(enum route_channel channel)
{
	return channel == ROUTE_LOCAL ? QUEUE_LOCAL : QUEUE_REMOTE;
}

bool
message_has_room(const struct send *send)
{
	return send->kept_count == 0 ||
	    (send->kept_count < send->kept_max &&
		send->kept_bytes < send->kept_bytes_max);
}

/* How much of memory a message in S4 or S5 takes, more than before. */
static void
count_kept(struct send *send, const struct message *message, int change)
{
	if (message->form == MESSAGE_FRESH)
		return;
	send->kept_count += (size_t)change;
	send->kept_bytes += (size_t)change * message->memory_bytes;
}

void
message_set_kept(
    struct send *send, struct message *message, enum message_form form)
{
	count_kept(send, message, -1);
	message->form = form;
	count_kept(send, message, 1);
}

struct message *
message_create(struct send *send, uint64_t id, enum message_form form)
{
	struct message *message = xcalloc(1, sizeof(*message));

	message->send = send;
	message->id = id;
	message->form = form;
	message->mess_fd = -1;
	message->attempt = 1;
	message->arrived_ms = clock_ms();
	TAILQ_INSERT_TAIL(&send->active, message, in_active);
	send->active_count++;
	count_kept(send, message, 1);
	idmap_put(&send->active_ids, id, message);
	return message;
}

static void
release_message(struct message *message)
{
	envelope_release(&message->envelope);
	buf_release(&message->record);
	buf_release(&message->list);
	buf_release(&message->body);
	buf_release(&message->notes);
	buf_release(&message->delays);
	buf_release(&message->route.texts);
	free(message->route.answers);
	free(message->offsets);
	free(message->channels);
	free(message->unmarked);
	free(message->recipients);
	free(message->parts);
	file_close(&message->mess_fd);
	free(message);
}

void
message_free(struct send *send, struct message *message)
{
	for (uint32_t i = 0; i < message->part_count; i++)
		lane_part_release(send->lanes, &message->parts[i].line);
	message->part_count = 0;
	TAILQ_REMOVE(&send->active, message, in_active);
	send->active_count--;
	count_kept(send, message, -1);
	idmap_remove(&send->active_ids, message->id);
	operate_left(send, message->id);
	if (message->is_routing)
		message->is_dead = true; /* routed() frees it */
	else
		release_message(message);
}

/* -- routing */

/*
 * Counts what stays in memory until the try is over.  The array of those that
 * are done grows by doubling; the router's texts are its own meanwhile.
 */
static void
weigh(struct send *send, struct message *message)
{
	count_kept(send, message, -1);
	message->memory_bytes = sizeof(*message) + message->record.size +
	    message->list.size + message->body.size +
	    (message->is_routing ? 0 : message->route.texts.size) +
	    message->recipient_count *
		(sizeof(struct recipient) + sizeof(struct router_answer) +
		    2 * sizeof(uint32_t)) +
	    message->part_count * sizeof(struct part);
	count_kept(send, message, 1);
}

/* The lane of where it goes. */
static struct lane *
lane_of_answer(struct send *send, const struct message *message,
    const struct router_answer *answer)
{
	const char *key = message->route.texts.data + answer->lane;
	struct lane *lane;
	struct dsn_message dsn;
	char *whole;

	if (answer->kind != LANE_REMOTE)
		return lane_get(send->lanes, answer->kind, key);
	dsn_get_message(message->envelope.dsn, &dsn);
	whole = xasprintf("%s%s%s%s", key,
	    dsn.waives_tls ? " " JOB_LANE_WITHOUT_TLS_POLICY : "",
	    send->has_lanes_by_sender ? " " : "",
	    send->has_lanes_by_sender ? message->envelope.sender : "");
	lane = lane_get(send->lanes, answer->kind, whole);
	free(whole);
	return lane;
}

/* The part of a lane, made if the message has none there. */
static uint32_t
find_part(struct send *send, struct message *message, struct idmap *parts,
    const struct router_answer *answer)
{
	struct lane *lane = lane_of_answer(send, message, answer);
	uintptr_t place = (uintptr_t)idmap_get(parts, lane_number(lane));
	struct part *part;

	if (place == 0) {
		place = ++message->part_count;
		idmap_put(parts, lane_number(lane), (void *)place);
		part = &message->parts[place - 1];
		*part = (struct part){ .first = NO_RECIPIENT,
			.last = NO_RECIPIENT };
		lane_part_init(
		    &part->line, lane, message->form != MESSAGE_FRESH);
		part->line.message = message;
	}
	return (uint32_t)(place - 1);
}

static void
wait_in_part(struct message *message, uint32_t number, bool is_first)
{
	struct recipient *recipient = &message->recipients[number];
	struct part *part = &message->parts[recipient->part];

	recipient->state = RECIPIENT_WAITING;
	recipient->next = NO_RECIPIENT;
	message->waiting[recipient->channel]++;
	part->waiting++;
	if (part->first == NO_RECIPIENT)
		part->first = part->last = number;
	else if (is_first) {
		recipient->next = part->first;
		part->first = number;
	} else {
		message->recipients[part->last].next = number;
		part->last = number;
	}
}

/* Recipients that are not done get their places in the parts. */
static void
make_recipients(struct send *send, struct message *message)
{
	const struct router_request *route = &message->route;
	struct idmap parts = { .slots = NULL };
	size_t count = route->recipient_count;

	message->recipients = xcalloc(count, sizeof(*message->recipients));
	message->recipient_count = count;
	/* As many as there can be; the rest is given back. */
	message->parts = xcalloc(count, sizeof(*message->parts));
	for (size_t i = 0; i < count; i++) {
		const struct router_answer *answer = &route->answers[i];
		struct recipient *recipient = &message->recipients[i];

		recipient->address = route->texts.data + answer->address;
		recipient->channel = answer->channel;
		if (message->offsets != NULL)
			recipient->offset = message->offsets[i];
		message->has_channel[answer->channel] = true;
		if (message->envelope.is_done != NULL &&
		    message->envelope.is_done[i]) {
			recipient->state = RECIPIENT_DONE;
			continue;
		}
		recipient->part = find_part(send, message, &parts, answer);
		wait_in_part(message, (uint32_t)i, false);
	}
	idmap_release(&parts);
	/* Lines point into it, so that it must not move. */
}

/* What was read before its lanes were known waits on disk, in these. */
static bool
is_over_shares(const struct send *send, const struct message *message)
{
	for (uint32_t i = 0; i < message->part_count; i++)
		if (!lane_is_over_share(
			send->lanes, message->parts[i].line.lane))
			return false;
	return message->form == MESSAGE_KEPT;
}

/*
 * Its sender wants it to be held (RFC 4865), and no operator has it tried.  A
 * message that was tried once was due.
 */
static bool
is_too_early(const struct send *send, const struct message *message)
{
	return message->hold_until > time(NULL) && message->attempt == 1 &&
	    !operate_is_released(send, message->id);
}

void
message_enter_lines(struct send *send, struct message *message)
{
	if (message->is_held_back || operate_is_resting(send, message->id))
		return;
	for (uint32_t i = 0; i < message->part_count; i++)
		if (message->parts[i].waiting > 0)
			lane_part_enter(send->lanes, &message->parts[i].line);
}

void
message_rest(struct send *send, struct message *message)
{
	for (uint32_t i = 0; i < message->part_count; i++)
		lane_part_leave(send->lanes, &message->parts[i].line);
}

static void
begin_try(struct send *send, struct message *message)
{
	operate_end_waiting(send, message);
	message->is_held_back = is_too_early(send, message);
	message_enter_lines(send, message);
	if (!message->is_held_back && !operate_is_resting(send, message->id))
		deliver_give_up(send, message);
	settle(send, message);
}

void
message_look_at_hold(struct send *send, struct message *message)
{
	if (!message->is_held_back || is_too_early(send, message))
		return;
	message->is_held_back = false;
	message_enter_lines(send, message);
}

static void
routed(struct router_request *request, void *context)
{
	struct send *send = context;
	struct message *message = (struct message *)((char *)request -
	    offsetof(struct message, route));

	message->is_routing = false;
	if (message->is_dead) {
		release_message(message);
		return;
	}
	make_recipients(send, message);
	weigh(send, message);
	message->has_no_room |= is_over_shares(send, message);
	if (!message->is_committing)
		begin_try(send, message);
}

void
message_route(struct send *send, struct message *message,
    const enum route_channel *channels)
{
	message->route.recipients = message->envelope.recipients;
	message->route.recipient_count = message->envelope.recipient_count;
	message->route.channels = channels;
	message->route.done = routed;
	message->route.context = send;
	message->is_routing = true;
	weigh(send, message);
	router_ask(send->router, &message->route);
}

/* -- new mail */

void
message_log_new(const struct message *message)
{
	char uuid[UUID_TEXT_SIZE], sender[SENDER_LOG_MAX];

	uuid_format(&message->uuid, uuid);
	log_word(sender, sizeof(sender), message->envelope.sender);
	log_line("new msg %" PRIu64, message->id);
	log_line("info msg %" PRIu64 ": bytes %" PRIu64
		 " from <%s> qp %lu uid %lu%s%s",
	    message->id, message->size_bytes, sender, message->envelope.qp,
	    message->envelope.uid, uuid_is_none(&message->uuid) ? "" : " uuid ",
	    uuid_is_none(&message->uuid) ? "" : uuid);
	if (message->hold_until > time(NULL) && message->attempt == 1)
		log_line("wait msg %" PRIu64 " until %lld", message->id,
		    (long long)message->hold_until);
}

void
message_take_history(struct message *message, time_t birth)
{
	const struct envelope *envelope = &message->envelope;
	time_t now = time(NULL);
	struct dsn_message dsn;

	message->birth = schedule_sane_birth(
	    envelope->birth == 0 ? birth : envelope->birth, now);
	dsn_get_message(envelope->dsn, &dsn);
	message->hold_until = dsn_hold_until(&dsn, 0, now);
	message->attempt = envelope->attempt + 1;
	if (envelope->notes[0] != '\0')
		buf_adds(&message->notes, envelope->notes);
	message->note_bytes = message->notes.length;
}

/* The end of a commit, of whatever kind: answers, and the try begins. */
static void
answer_arrival(struct arrival *arrival, int result, const struct error *err)
{
	struct send *send = arrival->send;
	struct message *message = arrival->message;
	const char *reason = result == QQ_OK ? "" : err->text;

	send->jobs_running--;
	message->is_committing = false;
	/* First, since done may have somebody ask whether it was queued. */
	if (result != QQ_OK)
		recent_remove(send->recent, &message->uuid);
	arrival->intake->done(arrival->intake, result, message->id, reason);
	if (result != QQ_OK) {
		log_line("warning: message not queued: %s", reason);
		message_free(send, message);
	} else if (arrival->has_no_room) {
		send->health.accepted++;
		backlog_add_todo(send, message->id); /* which logs it */
		message_free(send, message);
	} else {
		send->health.accepted++;
		if (arrival->bounced_id != 0)
			log_line("bounce msg %" PRIu64 " qp %lu",
			    arrival->bounced_id, message->envelope.qp);
		message_log_new(message);
		if (!message->is_routing)
			begin_try(send, message);
	}
	free(arrival);
}

static void
commit_done(struct commit_job *job, void *context)
{
	struct arrival *arrival = context;
	struct message *message = arrival->message;

	message->record = job->record;
	message->body = job->body;
	message->segment = job->segment;
	job->record = job->body = (struct buf)BUF_INIT;
	weigh(arrival->send, message);
	answer_arrival(arrival, job->result, &job->err);
	commit_job_free(&job);
}

/* The journal holds its texts meanwhile. */
static void
commit_to_journal(struct arrival *arrival, const struct journal_message *entry)
{
	struct message *message = arrival->message;
	struct commit_job *job = commit_job_new(COMMIT_NEW, message->id);

	job->message = *entry;
	job->record = message->record;
	job->body = message->body;
	message->record = message->body = (struct buf)BUF_INIT;
	job->has_file = message->has_file;
	job->done = commit_done;
	job->context = arrival;
	commit_post(arrival->send->committer, job);
}

static void
files_done(struct keep_job *job, void *context)
{
	struct arrival *arrival = context;

	if (job->result == QQ_OK) {
		message_set_kept(arrival->send, arrival->message, MESSAGE_TODO);
		arrival->message->has_file = true;
	}
	answer_arrival(arrival, job->result, &job->err);
	keep_job_free(&job);
}

/* Its envelope is too large for the journal: S4 at once. */
static void
commit_to_files(struct arrival *arrival)
{
	struct message *message = arrival->message;
	struct keep_job *job = keep_job_new(KEEP_TODO, message->id);

	buf_add(&job->text[KEEP_RECORD], message->record.data,
	    message->record.length);
	job->birth = message->birth;
	job->has_file = job->has_new_file = message->has_file;
	job->body = &message->body;
	job->done = files_done;
	job->context = arrival;
	keep_post(arrival->send->keeper, job);
}

/* What the journal has no room for, and memory neither, waits in S4. */
static void
commit_message(struct arrival *arrival)
{
	struct send *send = arrival->send;
	struct message *message = arrival->message;
	struct journal_message entry = { .id = message->id,
		.uuid = message->uuid,
		.birth_s = message->birth,
		.size_bytes = message->size_bytes,
		.record = message->record.data,
		.record_length = message->record.length,
		.body = message->has_file ? NULL : message->body.data };
	bool has_fit = journal_fits(send->journal, &entry);

	arrival->has_no_room = !has_fit && !message_has_room(send);
	if (!arrival->has_no_room)
		message_route(send, message, NULL);
	if (has_fit)
		commit_to_journal(arrival, &entry);
	else
		commit_to_files(arrival);
}

void
message_submit(
    struct send *send, struct intake_message *intake, uint64_t bounced_id)
{
	uint64_t known_id = 0;
	struct message *message;
	struct arrival *arrival;
	struct error err;

	switch (intake_find(send, &intake->uuid, &known_id)) {
	case INTAKE_KNOWN:
		intake->done(intake, QQ_OK, known_id, "");
		return;
	case INTAKE_PENDING:
		intake->done(intake, QQ_TIMEOUT, 0,
		    "a message with this UUID is just being queued");
		return;
	case INTAKE_UNKNOWN:
	case INTAKE_UNSURE: /* who sends it does not ask */
		break;
	}
	if (!intake->has_file)
		intake->id = intake_next_id(send);
	message = message_create(send, intake->id, MESSAGE_FRESH);
	message->uuid = intake->uuid;
	message->size_bytes = intake->size_bytes;
	message->has_file = intake->has_file;
	message->record = intake->record;
	message->body = intake->body;
	intake->record = intake->body = (struct buf)BUF_INIT;
	if (envelope_parse(message->record.data, message->record.length,
		ENVELOPE_TODO, &message->envelope, &err) == -1) {
		message_free(send, message);
		intake->done(intake, QQ_ENVELOPE, 0, err.text);
		return;
	}
	message_take_history(message, time(NULL));
	if (message->body.data == NULL && !message->has_file)
		buf_init(&message->body); /* it is empty, not absent */
	recent_add(send->recent, &message->uuid, message->id);
	arrival = xmalloc(sizeof(*arrival));
	*arrival = (struct arrival){ .send = send,
		.message = message,
		.intake = intake,
		.bounced_id = bounced_id };
	message->is_committing = true;
	send->jobs_running++;
	commit_message(arrival);
}

void
intake_submit(struct send *send, struct intake_message *intake)
{
	message_submit(send, intake, 0);
}

enum intake_known
intake_find(struct send *send, const struct uuid *uuid, uint64_t *id_out)
{
	uint64_t id = recent_find(send->recent, uuid);
	const struct message *message;

	if (id == 0)
		return backlog_has_seen_todo(send) ? INTAKE_UNKNOWN
						   : INTAKE_UNSURE;
	*id_out = id;
	message = idmap_get(&send->active_ids, id);
	return message != NULL && message->is_committing ? INTAKE_PENDING
							 : INTAKE_KNOWN;
}

uint64_t
intake_next_id(struct send *send)
{
	return send->next_id++;
}

void
message_ended(uint64_t id, const struct uuid *uuid, void *context)
{
	struct send *send = context;

	recent_add(send->recent, uuid, id);
}

void
message_found(
    const struct journal_message *found, uint64_t segment, void *context)
{
	struct send *send = context;
	struct message *message = message_create(
	    send, found->id, MESSAGE_FRESH);
	struct error err;

	recent_add(send->recent, &found->uuid, found->id);
	message->uuid = found->uuid;
	message->segment = segment;
	message->size_bytes = found->size_bytes;
	message->has_file = found->body == NULL;
	buf_add(&message->record, found->record, found->record_length);
	if (found->body != NULL)
		buf_add(&message->body, found->body, (size_t)found->size_bytes);
	if (envelope_parse(message->record.data, message->record.length,
		ENVELOPE_TODO, &message->envelope, &err) == -1) {
		log_line("alert: cannot use message %" PRIu64
			 " of the journal: %s; it is kept as it is, in files",
		    found->id, err.text);
		load_is_new_damage(send, found->id);
		message->is_unreadable = true;
		message->birth = schedule_sane_birth(
		    (time_t)found->birth_s, time(NULL));
	} else
		message_take_history(message, (time_t)found->birth_s);
	/* Deliveries of it may have been in flight, but of what is held. */
	if (message->hold_until <= time(NULL))
		message->attempt++;
	load_found(send, message);
}

/* -- deliveries */

struct recipient *
message_next(struct message *message, struct part *part)
{
	struct recipient *recipient;

	if (part->first == NO_RECIPIENT)
		return NULL;
	recipient = &message->recipients[part->first];
	part->first = recipient->next;
	if (part->first == NO_RECIPIENT)
		part->last = NO_RECIPIENT;
	part->waiting--;
	recipient->state = RECIPIENT_RUNNING;
	message->waiting[recipient->channel]--;
	message->running++;
	return recipient;
}

void
message_put_back(
    struct send *send, struct message *message, struct recipient *recipient)
{
	message->running--;
	wait_in_part(
	    message, (uint32_t)(recipient - message->recipients), true);
	if (!operate_is_resting(send, message->id))
		lane_part_enter(
		    send->lanes, &message->parts[recipient->part].line);
}

/* A bounce, or a double one. */
static bool
is_report(const struct message *message)
{
	const char *sender = message->envelope.sender;

	return sender[0] == '\0' || strcmp(sender, "#@[]") == 0;
}

time_t
message_expiry(const struct message *message, const struct lane *lane)
{
	const struct settings *settings = message->send->settings;
	uint64_t lifetime = settings_number(settings, SETTING_queuelifetime);
	const char *its = lane_get_kind(lane) != LANE_REMOTE
	    ? NULL
	    : domain_lines_find(
		  settings_list(settings, SETTING_queuelifetimes),
		  lane_key(lane));

	if (is_report(message) &&
	    settings_is_set(settings, SETTING_bouncelifetime))
		lifetime = settings_number(settings, SETTING_bouncelifetime);
	else if (its != NULL)
		lifetime = strtoul(its, NULL, 10);
	return (message->hold_until > message->birth ? message->hold_until
						     : message->birth) +
	    (time_t)lifetime;
}

time_t
message_released_at(const struct message *message, time_t now)
{
	return message->hold_until > message->birth &&
		message->hold_until <= now
	    ? message->hold_until
	    : message->birth;
}

bool
message_is_expired(const struct message *message, const struct lane *lane)
{
	return message->read_at != 0 &&
	    message_expiry(message, lane) < message->read_at;
}

/* Does the sender want to hear of this?  RFC 3461 4.1: of failures, if he did
 * not say; of delays, if we are told to. */
static bool
is_wanted(const struct message *message, const struct recipient *recipient,
    enum dsn_notify what)
{
	size_t number = (size_t)(recipient - message->recipients);
	struct dsn_recipient dsn;

	dsn_get_recipient(envelope_dsn(&message->envelope, number), &dsn);
	if (dsn.notify == 0)
		dsn.notify = DSN_FAILURE | DSN_DELAY;
	/* There is nobody to tell but of failures. */
	return (dsn.notify & what) != 0 &&
	    (what == DSN_FAILURE || !is_report(message));
}

static void
put_note(struct buf *buf, const struct message *message,
    const struct recipient *recipient, enum bounce_action action,
    const char *text, bool is_expired)
{
	size_t number = (size_t)(recipient - message->recipients);
	struct dsn_recipient dsn;

	dsn_get_recipient(envelope_dsn(&message->envelope, number), &dsn);
	bounce_put_note(buf,
	    &(struct bounce_note){ .action = action,
		/* Only local ones were given a prefix by a rule. */
		.address = recipient->channel == ROUTE_LOCAL
		    ? route_strip(message->send->route, recipient->address)
		    : recipient->address,
		.text = text,
		.is_expired = is_expired,
		.at = time(NULL),
		.orcpt = dsn.orcpt,
		.orcpt_length = dsn.orcpt_length });
}

static void
add_note(struct message *message, const struct recipient *recipient,
    enum bounce_action action, const char *text, bool is_expired)
{
	size_t before = message->notes.length;

	if (message->note_bytes < NOTES_MAX_BYTES)
		put_note(&message->notes, message, recipient, action, text,
		    is_expired);
	else if (action == BOUNCE_FAILED)
		buf_addc(&message->notes, '\0');
	message->note_bytes += message->notes.length - before;
}

static const struct lane *
lane_of(const struct message *message, const struct recipient *recipient)
{
	return message->parts[recipient->part].line.lane;
}

/* The sender is told once for each channel, after delaynotice. */
static void
add_delay(struct message *message, const struct recipient *recipient,
    const char *text)
{
	uint64_t after = settings_number(
	    message->send->settings, SETTING_delaynotice);
	time_t until;

	if (after == 0 || message->is_told[recipient->channel] ||
	    time(NULL) < message_released_at(message, time(NULL)) +
		    (time_t)after ||
	    message->delays.length >= NOTES_MAX_BYTES ||
	    !is_wanted(message, recipient, DSN_DELAY))
		return;
	until = message_expiry(message, lane_of(message, recipient));
	if (message->delays.length == 0 || until < message->delays_until)
		message->delays_until = until;
	put_note(
	    &message->delays, message, recipient, BOUNCE_DELAYED, text, false);
	message->has_delays[recipient->channel] = true;
}

static void
recipient_done(struct message *message, struct recipient *recipient)
{
	size_t count = message->unmarked_count;

	recipient->state = RECIPIENT_DONE;
	message->unmarked = mem_room(
	    message->unmarked, count, sizeof(*message->unmarked));
	if (count == 0)
		message->unmarked_since = clock_ms();
	message->unmarked[message->unmarked_count++] = (uint32_t)(recipient -
	    message->recipients);
}

size_t
message_left(const struct message *message, enum route_channel channel)
{
	return message->waiting[channel] + message->deferred[channel];
}

bool
message_has_left(const struct message *message)
{
	return message_left(message, ROUTE_LOCAL) > 0 ||
	    message_left(message, ROUTE_REMOTE) > 0;
}

static void
recipient_deferred(
    struct send *send, struct message *message, struct recipient *recipient)
{
	send->health.deferred++;
	recipient->state = RECIPIENT_DEFERRED;
	message->deferred[recipient->channel]++;
}

void
message_end_waiting(
    struct send *send, struct message *message, const char *reason)
{
	for (uint32_t i = 0; i < message->part_count; i++) {
		struct part *part = &message->parts[i];

		lane_part_leave(send->lanes, &part->line);
		part->first = part->last = NO_RECIPIENT;
		part->waiting = 0;
	}
	for (size_t i = 0; i < message->recipient_count; i++) {
		struct recipient *recipient = &message->recipients[i];

		if (recipient->state == RECIPIENT_WAITING)
			message->waiting[recipient->channel]--;
		else if (recipient->state == RECIPIENT_DEFERRED)
			message->deferred[recipient->channel]--;
		else
			continue;
		if (reason != NULL) {
			send->health.failed++;
			if (is_wanted(message, recipient, DSN_FAILURE))
				add_note(message, recipient, BOUNCE_FAILED,
				    reason, false);
		}
		recipient_done(message, recipient);
	}
	buf_reset(&message->delays);
	if (message->form != MESSAGE_KEPT)
		message->settle_after = 0;
}

void
message_result(struct send *send, struct message *message,
    struct recipient *recipient, const struct job_result *result)
{
	enum job_outcome outcome = result->outcome;
	bool is_last_try =
	    (outcome == JOB_TEMPFAIL || outcome == JOB_GENERAL) &&
	    message_is_expired(message, lane_of(message, recipient));

	message->running--;
	switch (is_last_try ? JOB_PERMFAIL : outcome) {
	case JOB_DELIVERED:
		send->health.delivered++;
		if (!result->is_dsn_passed &&
		    is_wanted(message, recipient, DSN_SUCCESS))
			add_note(message, recipient,
			    lane_way(lane_get_kind(lane_of(
				message, recipient))) == ROUTE_LOCAL
				? BOUNCE_DELIVERED
				: BOUNCE_RELAYED,
			    "", false);
		recipient_done(message, recipient);
		break;
	case JOB_PERMFAIL:
		send->health.failed++;
		if (is_wanted(message, recipient, DSN_FAILURE))
			add_note(message, recipient, BOUNCE_FAILED,
			    result->text, is_last_try);
		recipient_done(message, recipient);
		break;
	case JOB_TEMPFAIL:
	case JOB_GENERAL:
		add_delay(message, recipient, result->text);
		recipient_deferred(send, message, recipient);
		break;
	}
	operate_end_waiting(send, message);
	if (message->form == MESSAGE_KEPT &&
	    message->unmarked_count >= MARKS_MAX)
		settle_marks(message);
	/* That it could not be kept, on a full disk, matters no more. */
	if (message->form == MESSAGE_FRESH && message->running == 0 &&
	    !message_has_left(message))
		message->settle_after = 0;
	settle(send, message);
}

void
message_trouble(
    struct send *send, struct message *message, struct recipient *recipient)
{
	message->running--;
	message->had_own_trouble = true;
	recipient_deferred(send, message, recipient);
	operate_end_waiting(send, message);
	settle(send, message);
}

bool
message_can_start(const struct send *send, const struct message *message)
{
	bool is_young = clock_ms() < message->arrived_ms + stay_ms();

	if (send->is_stopping || message->is_held_back ||
	    operate_is_resting(send, message->id))
		return false;
	for (uint32_t i = 0; i < message->part_count; i++) {
		const struct part *part = &message->parts[i];
		const struct lane *lane = part->line.lane;

		if (part->waiting > 0 && !lane_is_resting(send->lanes, lane) &&
		    (workers_has(send, lane_get_kind(lane))
			    ? is_young || !lane_is_roomless(lane)
			    : is_young && lane_get_kind(lane) == LANE_VIRTUAL))
			return true;
	}
	return false;
}

/* -- time */

/*
 * Fresh, and its place in the journal is wanted, or it has been there too long;
 * or in S4, and what has ended is only in memory.
 */
static bool
wants_to_be_kept(const struct message *message, int64_t now_ms, uint64_t wanted)
{
	if (message->is_committing || message->is_settling ||
	    message->settle_after != 0)
		return false;
	switch (message->form) {
	case MESSAGE_FRESH:
		return message->segment <= wanted ||
		    now_ms >= message->arrived_ms + stay_ms();
	case MESSAGE_TODO:
		return message->unmarked_count > 0 &&
		    now_ms >= message->unmarked_since + CHECKPOINT_MS;
	case MESSAGE_KEPT:
		break;
	}
	return false;
}

void
message_run(struct send *send)
{
	uint64_t wanted = commit_wanted(send->committer);
	int64_t now_ms = clock_ms();
	struct message *message, *next;

	if (wanted == send->wanted_seen && now_ms < send->run_at_ms)
		return;
	send->wanted_seen = wanted;
	send->run_at_ms = now_ms + RUN_MS;
	for (message = TAILQ_FIRST(&send->active); message != NULL;
	     message = next) {
		next = TAILQ_NEXT(message, in_active);
		/* Those behind came later, and are in later segments. */
		if (message->form == MESSAGE_FRESH && !message->is_committing &&
		    message->segment > wanted &&
		    now_ms < message->arrived_ms + stay_ms())
			break;
		if (wants_to_be_kept(message, now_ms, wanted))
			settle_keep(send, message);
	}
}

void
message_tick(struct send *send)
{
	struct message *message, *next;
	int64_t now_ms = clock_ms();

	for (message = TAILQ_FIRST(&send->active); message != NULL;
	     message = next) {
		next = TAILQ_NEXT(message, in_active);
		if (message->is_unsure) {
			if (now_ms >= message->settle_after &&
			    !send->is_stopping)
				load_look_again(send, message);
			continue;
		}
		if (message->settle_after != 0) {
			/* A last attempt, or what has ended is repeated. */
			if (message->has_stopped ||
			    (now_ms < message->settle_after &&
				!send->is_stopping))
				continue;
			message->settle_after = 0;
			message->is_last_attempt = send->is_stopping;
		}
		if (message->form == MESSAGE_KEPT &&
		    message->unmarked_count > 0 && !message->is_settling &&
		    now_ms >= message->unmarked_since + CHECKPOINT_MS)
			settle_marks(message);
		message_look_at_hold(send, message);
		/* A lane may rest by now, or a worker be gone. */
		settle(send, message);
	}
}
