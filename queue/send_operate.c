/* SPDX-License-Identifier: ISC */
/*
 * What operators want of messages and lanes (OPERATE): held, released, tried
 * now, or ended.  An order stands in memory until it is done; what is held
 * stands in lock/held, too.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/log_text.h"
#include "base/mem.h"
#include "queue/exitcode.h"
#include "queue/held.h"
#include "queue/intake_packet.h"
#include "queue/send.h"

enum {
	LOADS_MAX = 256, /* under way, as in the backlog */
	WORD_LOG_MAX = 2100
};

struct order {
	struct operation operation; /* who waits for the answer */
	LIST_ENTRY(order) in_orders;
	uint64_t id; /* 0: of a lane */
	enum intake_action action;
	char *reason;
	bool is_to_find;  /* what of it is on disk, by the next look */
	bool is_found;    /* it was there, once */
	uint64_t changes; /* of lock/held, that must be durable; or 0 */
	unsigned wanted;  /* loads that wait for their turn */
};

/* A kept message to be read at once, for a channel. */
struct wanted {
	STAILQ_ENTRY(wanted) in_wanted;
	uint64_t id;
	enum route_channel channel;
};

/* One writing of lock/held. */
struct held_job {
	struct work work;
	struct send *send;
	struct buf text;
	uint64_t changes;
	int result;
	struct error err;
};

struct operations {
	LIST_HEAD(, order) orders;
	struct idmap by_id; /* of these: those of messages */
	struct held held;   /* messages; the lanes' table has its own */
	struct idmap released; /* to be tried though their senders wait */
	STAILQ_HEAD(, wanted) wanted;
	bool is_to_find;
	uint64_t changes, written; /* of lock/held */
	bool is_writing;
};

static bool
is_end(enum intake_action action)
{
	return action == INTAKE_DELETE || action == INTAKE_BOUNCE ||
	    action == INTAKE_FORGET;
}

static struct order *
find_order(const struct send *send, uint64_t id)
{
	return idmap_get(&send->operations->by_id, id);
}

static void
end_order(
    struct send *send, struct order *order, uint32_t code, const char *text)
{
	LIST_REMOVE(order, in_orders);
	if (order->id != 0)
		idmap_remove(&send->operations->by_id, order->id);
	if (order->operation.answer != NULL)
		order->operation.answer(
		    order->operation.context, code, order->id, text);
	free(order->reason);
	free(order);
}

/* Those that nothing is left to do for. */
static void
end_if_done(struct send *send, struct order *order)
{
	struct operations *operations = send->operations;

	if (order->is_to_find || is_end(order->action) ||
	    order->changes > operations->written ||
	    (order->action == INTAKE_HOLD && order->id != 0 &&
		idmap_has(&send->active_ids, order->id)))
		return;
	end_order(send, order, QQ_OK, "");
}

/* -- lock/held */

static void
run_held_job(struct work *work)
{
	struct held_job *job = (struct held_job *)work;

	job->result = held_write(job->send->dir->path, &job->text, &job->err);
}

static void write_held(struct send *send);

static void
held_job_done(struct work *work)
{
	struct held_job *job = (struct held_job *)work;
	struct send *send = job->send;
	struct operations *operations = send->operations;
	struct order *order, *next;

	send->jobs_running--;
	operations->is_writing = false;
	operations->written = job->changes;
	if (job->result == -1)
		log_line("alert: %s; what was held or released counts until "
			 "the next start",
		    job->err.text);
	for (order = LIST_FIRST(&operations->orders); order != NULL;
	     order = next) {
		next = LIST_NEXT(order, in_orders);
		if (order->changes == 0 || order->changes > job->changes)
			continue;
		if (job->result == -1)
			end_order(send, order, QQ_WRITE_ERROR, job->err.text);
		else
			end_if_done(send, order);
	}
	if (operations->changes > operations->written)
		write_held(send);
	buf_release(&job->text);
	free(job);
}

/* One after the other: the last word is what stays. */
static void
write_held(struct send *send)
{
	struct operations *operations = send->operations;
	struct held_job *job;
	const char *key;

	if (operations->is_writing)
		return;
	job = xcalloc(1, sizeof(*job));
	job->send = send;
	job->changes = operations->changes;
	for (size_t i = 0; (key = lane_held_key(send->lanes, i)) != NULL; i++)
		held_put_lane(&job->text, key);
	for (size_t i = 0; i < operations->held.messages.size; i++) {
		const struct idmap_slot *slot =
		    &operations->held.messages.slots[i];

		if (slot->id != 0)
			held_put_message(&job->text, slot->id, slot->value);
	}
	operations->is_writing = true;
	send->jobs_running++;
	work_pool_post(send->helpers, &job->work, run_held_job, held_job_done);
}

/* Which change that is. */
static uint64_t
change_held(struct send *send)
{
	uint64_t change = ++send->operations->changes;

	write_held(send);
	return change;
}

int
operate_open(struct send *send, struct error *err)
{
	struct operations *operations = xcalloc(1, sizeof(*operations));
	struct held *held = &operations->held;

	LIST_INIT(&operations->orders);
	STAILQ_INIT(&operations->wanted);
	send->operations = operations;
	if (held_read(send->dir->path, held, err) == -1)
		return -1;
	for (size_t i = 0; i < held->lanes.count; i++)
		lane_hold(send->lanes, held->lanes.items[i], true);
	return 0;
}

void
operate_close(struct send *send)
{
	struct operations *operations = send->operations;
	struct wanted *wanted;

	if (operations == NULL)
		return;
	while (!LIST_EMPTY(&operations->orders))
		end_order(send, LIST_FIRST(&operations->orders), QQ_UNAVAILABLE,
		    "the queue was stopped");
	while ((wanted = STAILQ_FIRST(&operations->wanted)) != NULL) {
		STAILQ_REMOVE_HEAD(&operations->wanted, in_wanted);
		free(wanted);
	}
	idmap_release(&operations->by_id);
	idmap_release(&operations->released);
	held_release(&operations->held);
	free(operations);
	send->operations = NULL;
}

/* -- what the others ask */

bool
operate_is_ending(const struct send *send, uint64_t id)
{
	const struct order *order = find_order(send, id);

	return order != NULL && is_end(order->action);
}

bool
operate_is_ending_silently(const struct send *send, uint64_t id)
{
	const struct order *order = find_order(send, id);

	return order != NULL && order->action == INTAKE_FORGET;
}

bool
operate_is_resting(const struct send *send, uint64_t id)
{
	return idmap_has(&send->operations->held.messages, id) &&
	    !operate_is_ending(send, id);
}

bool
operate_is_released(const struct send *send, uint64_t id)
{
	return idmap_has(&send->operations->released, id);
}

void
operate_end_waiting(struct send *send, struct message *message)
{
	const struct order *order = find_order(send, message->id);

	/* What is being left to the disk is found there again. */
	if (order == NULL || !is_end(order->action) ||
	    (message->form == MESSAGE_KEPT && message->is_settling))
		return;
	message_end_waiting(send, message,
	    order->action == INTAKE_BOUNCE ? order->reason : NULL);
}

void
operate_over(struct send *send, uint64_t id)
{
	struct order *order = find_order(send, id);

	idmap_remove(&send->operations->released, id);
	if (held_remove_message(&send->operations->held.messages, id))
		change_held(send);
	if (order != NULL && is_end(order->action))
		end_order(send, order, QQ_OK, "");
	else if (order != NULL)
		end_order(send, order, INTAKE_ABSENT, "it has ended meanwhile");
}

/* In memory no more: what is on disk of it is to be looked for again. */
void
operate_left(struct send *send, uint64_t id)
{
	struct order *order = send->operations == NULL ? NULL
						       : find_order(send, id);

	if (order != NULL && is_end(order->action))
		order->is_to_find = send->operations->is_to_find = true;
	else if (order != NULL)
		end_if_done(send, order);
}

void
operate_lost(struct send *send, uint64_t id)
{
	struct order *order = find_order(send, id);

	idmap_remove(&send->operations->released, id);
	if (order != NULL && order->wanted == 0)
		end_order(send, order, INTAKE_ABSENT,
		    "it is gone, or cannot be used as it is (see the log)");
}

/* -- messages on disk */

static enum schedule_verdict
judge_todo(uint64_t id, void *context)
{
	struct order *order = find_order(context, id);

	if (order == NULL || !order->is_to_find)
		return SCHEDULE_STAYS;
	order->is_found = true;
	return order->action == INTAKE_HOLD ? SCHEDULE_STAYS : SCHEDULE_NOW;
}

/* What is to end is read whatever its lane does. */
static enum schedule_verdict
judge_ticket(uint64_t id, enum lane_kind kind, void *context)
{
	struct send *send = context;
	enum schedule_verdict verdict = judge_todo(id, context);
	struct wanted *wanted;

	if (verdict == SCHEDULE_STAYS || !operate_is_ending(send, id))
		return verdict;
	wanted = xcalloc(1, sizeof(*wanted));
	wanted->id = id;
	wanted->channel = lane_channel(kind);
	STAILQ_INSERT_TAIL(&send->operations->wanted, wanted, in_wanted);
	find_order(send, id)->wanted++;
	return SCHEDULE_TAKEN;
}

static void
go_on_found(struct send *send, struct order *order)
{
	order->is_to_find = false;
	order->is_found |= idmap_has(&send->active_ids, order->id) ||
	    order->wanted > 0;
	if (order->is_found && is_end(order->action))
		return;
	if (order->is_found)
		end_if_done(send, order);
	else {
		idmap_remove(&send->operations->released, order->id);
		if (held_remove_message(
			&send->operations->held.messages, order->id))
			change_held(send);
		end_order(send, order, INTAKE_ABSENT, "no such message");
	}
}

/* One look at all that waits, for all orders that came since the last one. */
static void
find_ordered(struct send *send)
{
	struct operations *operations = send->operations;
	struct order *order, *next;

	operations->is_to_find = false;
	backlog_judge(send, judge_todo, judge_ticket, send);
	for (order = LIST_FIRST(&operations->orders); order != NULL;
	     order = next) {
		next = LIST_NEXT(order, in_orders);
		if (order->is_to_find)
			go_on_found(send, order);
	}
}

/* A message is read by one channel after the other. */
static void
load_wanted(struct send *send)
{
	struct operations *operations = send->operations;
	struct wanted *wanted, *next;

	for (wanted = STAILQ_FIRST(&operations->wanted);
	     wanted != NULL && work_pool_count(send->helpers) < LOADS_MAX;
	     wanted = next) {
		struct order *order = find_order(send, wanted->id);

		next = STAILQ_NEXT(wanted, in_wanted);
		if (idmap_has(&send->active_ids, wanted->id))
			continue;
		STAILQ_REMOVE(&operations->wanted, wanted, wanted, in_wanted);
		if (order != NULL)
			order->wanted--;
		load_remembered(send, wanted->id, wanted->channel);
		free(wanted);
	}
}

void
operate_run(struct send *send)
{
	if (send->is_stopping)
		return;
	if (send->operations->is_to_find)
		find_ordered(send);
	load_wanted(send);
}

/* -- what an operator says */

static void
log_order(const struct order *order, const char *lane, uid_t uid)
{
	static const char *const words[] = { [INTAKE_HOLD] = "hold",
		[INTAKE_RELEASE] = "release",
		[INTAKE_RETRY] = "retry",
		[INTAKE_DELETE] = "delete",
		[INTAKE_BOUNCE] = "bounce",
		[INTAKE_FORGET] = "forget" };
	char word[WORD_LOG_MAX];

	log_word(word, sizeof(word), order->id == 0 ? lane : order->reason);
	if (order->id == 0)
		log_line("%s lane %s by uid %lu", words[order->action], word,
		    (unsigned long)uid);
	else
		log_line("%s msg %" PRIu64 " by uid %lu%s%s",
		    words[order->action], order->id, (unsigned long)uid,
		    word[0] == '\0' ? "" : ": ", word);
}

/* Those under way that are deferred yet wait in no lane now. */
static void
hurry_lane(struct send *send, const char *key)
{
	struct message *message;

	TAILQ_FOREACH(message, &send->active, in_active)
		for (uint32_t i = 0; i < message->part_count; i++)
			if (lane_has_key(message->parts[i].line.lane, key))
				message->is_hurried = true;
}

static void
operate_lane(struct send *send, struct order *order, const char *key)
{
	bool is_held = order->action == INTAKE_HOLD;

	if (order->action == INTAKE_RETRY) {
		hurry_lane(send, key);
		if (lane_retry_key(send->lanes, key) > 0)
			end_order(send, order, QQ_OK, "");
		else
			end_order(send, order, INTAKE_ABSENT,
			    "nothing waits in such a lane");
		return;
	}
	if (lane_hold(send->lanes, key, is_held))
		order->changes = change_held(send);
	else
		order->changes = send->operations->changes;
	end_if_done(send, order);
}

/* Due at once, whatever its lanes do. */
static void
hurry_message(struct send *send, struct message *message)
{
	message->is_hurried = true;
	for (uint32_t i = 0; i < message->part_count; i++)
		if (lane_backs_off_until_ms(message->parts[i].line.lane) != 0)
			lane_back_off(
			    send->lanes, message->parts[i].line.lane, 0, "");
}

/* The part of it that is in memory. */
static void
operate_active(
    struct send *send, struct message *message, enum intake_action action)
{
	switch (action) {
	case INTAKE_HOLD:
		message_rest(send, message);
		settle(send, message);
		break;
	case INTAKE_RELEASE:
		message_enter_lines(send, message);
		break;
	case INTAKE_RETRY:
		hurry_message(send, message);
		message_look_at_hold(send, message);
		break;
	case INTAKE_DELETE:
	case INTAKE_BOUNCE:
	case INTAKE_FORGET:
		operate_end_waiting(send, message);
		settle(send, message);
		break;
	case INTAKE_ACTION_END:
		break;
	}
}

/* A hold's text is the queue that the message moves to. */
static const char *
moving_to(const struct order *order)
{
	return held_is_name(order->reason, strlen(order->reason))
	    ? order->reason
	    : NULL;
}

static void
operate_message(struct send *send, struct order *order)
{
	struct operations *operations = send->operations;
	struct message *message = idmap_get(&send->active_ids, order->id);
	enum intake_action action = order->action;

	order->is_to_find = operations->is_to_find = true;
	if (action == INTAKE_RETRY)
		idmap_put(&operations->released, order->id, NULL);
	if (action == INTAKE_HOLD ? held_add_message(&operations->held.messages,
					order->id, moving_to(order))
				  : action == INTAKE_RELEASE &&
		    held_remove_message(&operations->held.messages, order->id))
		order->changes = change_held(send);
	else if (action == INTAKE_HOLD || action == INTAKE_RELEASE)
		order->changes = operations->changes;
	/* This may be the end of it, and of the order. */
	if (message != NULL && !message->is_committing)
		operate_active(send, message, action);
}

/* Why it cannot be done now, or NULL. */
static const char *
refusal(const struct send *send, const struct order *order)
{
	const struct order *other = find_order(send, order->id);

	if (other != NULL && is_end(other->action))
		return "it is being ended";
	if (send->health.state == HEALTH_STARTING)
		return "the queue is just starting: try again";
	if (order->action == INTAKE_RETRY &&
	    operate_is_resting(send, order->id))
		return "it is held; release it first";
	return NULL;
}

void
intake_operate(struct send *send, const struct intake_packet *packet, uid_t uid,
    void (*answer)(void *context, uint32_t code, uint64_t id, const char *text),
    void *context, struct operation **operation_out)
{
	struct operations *operations = send->operations;
	struct order *order = xcalloc(1, sizeof(*order)), *other;
	const char *why;

	*order = (struct order){ .operation = { answer, context },
		.id = packet->id,
		.action = packet->action,
		.reason = xstrdup(packet->text) };
	*operation_out = &order->operation;
	LIST_INSERT_HEAD(&operations->orders, order, in_orders);
	if (order->id == 0) {
		log_order(order, packet->lane, uid);
		operate_lane(send, order, packet->lane);
		return;
	}
	why = refusal(send, order);
	if (why != NULL) {
		order->id = 0; /* it has no place among those of messages */
		end_order(send, order, QQ_UNAVAILABLE, why);
		return;
	}
	log_order(order, "", uid);
	other = find_order(send, order->id);
	if (other != NULL)
		end_order(send, other, QQ_UNAVAILABLE, "another order came");
	idmap_put(&operations->by_id, order->id, order);
	operate_message(send, order);
}
