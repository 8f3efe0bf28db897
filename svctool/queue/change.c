/* SPDX-License-Identifier: ISC */
/*
 * svctool queue hold, release, retry, delete, bounce and move, of messages and
 * lanes: which ones is decided here, and what becomes of them by qmail-send.
 *
 * A move holds each message where it is, so that nothing of it is under way;
 * hands it to the other queue with what was done of it, under the same UUID;
 * and only when that has answered has the first forget it.  A move that was cut
 * short leaves it held, and the next one goes on from there.
 */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log_text.h"
#include "base/mem.h"
#include "base/plural.h"
#include "control/json_text.h"
#include "queue/envelope.h"
#include "queue/exitcode.h"
#include "queue/idmap.h"
#include "svctool/queue/messages.h"
#include "svctool/queue/ops.h"
#include "svctool/queue/order.h"
#include "svctool/svctool.h"

struct target {
	char *queue, *path, *sender;
	char *moving_to; /* by a move that was cut short, or NULL */
	uint64_t id;
	struct uuid uuid;
	bool was_held, is_done, has_failed;
	/* move: of its copy in the other queue */
	bool is_there, comes_from_there;
	uint64_t there_id;
	size_t there_done;
	unsigned there_attempt;
	struct error err;
};

struct change {
	const struct node *node;
	const struct message_options *options;
	const char *verb, *done;
	enum intake_action action;
	struct target *targets;
	size_t count;
	int connection; /* to the queue of connected, or -1 */
	const char *connected;
	/* move */
	char *to_path;
	int to_connection;
	struct idmap found; /* targets, by what the walk has of them */
	const char *walked; /* by the number: of this queue alone */
};

static const struct {
	const char *verb, *done;
	enum intake_action action;
} verbs[] = {
	{ "hold", "held", INTAKE_HOLD },
	{ "release", "released", INTAKE_RELEASE },
	{ "retry", "due now:", INTAKE_RETRY },
	{ "delete", "deleted", INTAKE_DELETE },
	{ "bounce", "bounced", INTAKE_BOUNCE },
	{ "move", "moved", INTAKE_FORGET },
};

static void
add_target(const struct chosen *chosen, void *context)
{
	struct change *change = context;
	struct target *target;

	if (change->options->to != NULL &&
	    strcmp(chosen->queue, change->options->to) == 0)
		return;
	change->targets = mem_room(
	    change->targets, change->count, sizeof(*change->targets));
	target = &change->targets[change->count++];
	*target = (struct target){ .queue = xstrdup(chosen->queue),
		.path = xstrdup(chosen->path),
		.sender = xstrdup(chosen->message->sender),
		.id = chosen->message->id,
		.uuid = chosen->message->uuid,
		.was_held = chosen->message->is_held };
	if (chosen->message->moving_to != NULL)
		target->moving_to = xstrdup(chosen->message->moving_to);
}

static void
fail_target(struct target *target, const char *text)
{
	target->has_failed = true;
	error_set(&target->err, "%s", text);
}

/*
 * The queue that a move was to bring it to may have it, and deliver it.  Who
 * names the message knows; a filter does not.
 */
static bool
is_perhaps_elsewhere(const struct change *change, struct target *target)
{
	const char *to = change->options->to;
	bool is_end = change->action == INTAKE_RELEASE ||
	    change->action == INTAKE_BOUNCE;

	if (target->moving_to == NULL || (to == NULL && !is_end) ||
	    (to != NULL && strcmp(to, target->moving_to) == 0) ||
	    change->options->filter.ids.count > 0)
		return false;
	target->has_failed = true;
	error_set(&target->err,
	    "its move to %s was cut short, and it may be there: move it to %s "
	    "again, or name it by --id",
	    target->moving_to, target->moving_to);
	return true;
}

/* One word on one message, over a connection that lasts. */
static int
give_order(struct change *change, struct target *target,
    enum intake_action action, const char *text, struct error *err)
{
	int result;

	if (change->connection != -1 &&
	    strcmp(change->connected, target->queue) != 0)
		file_close(&change->connection);
	if (change->connection == -1)
		change->connection = order_connect(target->queue, target->path,
		    change->options->timeout_s, err);
	change->connected = target->queue;
	if (change->connection == -1)
		return -1;
	result = order_message(
	    change->connection, action, target->id, text, err);
	if (result == -1)
		file_close(&change->connection);
	return result;
}

static void
order_target(struct change *change, struct target *target)
{
	const char *text = change->options->text;

	if (!is_perhaps_elsewhere(change, target) &&
	    give_order(change, target, change->action, text == NULL ? "" : text,
		&target->err) == QQ_OK)
		target->is_done = true;
	else
		target->has_failed = true;
}

/* -- move */

/* The half that is by chance; two that have the same are told apart later. */
static uint64_t
uuid_key(const struct uuid *uuid)
{
	uint64_t key;

	memcpy(&key, uuid->bytes + 8, sizeof(key));
	return key == 0 ? 1 : key;
}

static size_t
count_done(const struct look_message *message)
{
	size_t count = 0;

	for (size_t i = 0; i < message->recipient_count; i++)
		count += message->recipients[i].is_done;
	return count;
}

/* Whose UUID the other queue knows: is it still there? */
static void
note_there(const struct chosen *chosen, void *context)
{
	struct change *change = context;
	struct target *target = idmap_get(
	    &change->found, uuid_key(&chosen->message->uuid));

	if (target != NULL &&
	    uuid_is_equal(&target->uuid, &chosen->message->uuid)) {
		const struct look_message *there = chosen->message;

		target->is_there = true;
		target->comes_from_there = there->moving_to != NULL &&
		    strcmp(there->moving_to, target->queue) == 0;
		target->there_id = there->id;
		target->there_done = count_done(there);
		target->there_attempt = there->attempt;
	}
}

static int
find_there(struct change *change, struct error *err)
{
	char *name = xstrdup(change->options->to);
	struct filter filter = { .queues = { .items = &name, .count = 1 } };
	int result;

	for (size_t i = 0; i < change->count; i++)
		if (!uuid_is_none(&change->targets[i].uuid))
			idmap_put(&change->found,
			    uuid_key(&change->targets[i].uuid),
			    &change->targets[i]);
	result = filter_visit(change->node, &filter, note_there, change, err);
	idmap_release(&change->found);
	free(name);
	return result;
}

static int
connect_other(struct change *change, struct error *err)
{
	if (change->to_connection == -1)
		change->to_connection = order_connect(change->options->to,
		    change->to_path, change->options->timeout_s, err);
	return change->to_connection == -1 ? -1 : 0;
}

/*
 * A move from there to here was cut short when this copy was made: what was
 * done since then only this one knows, unless one back had begun before.
 */
static bool
is_there_left_over(const struct chosen *chosen, const struct target *target)
{
	size_t done = count_done(chosen->message);

	return target->is_there && target->comes_from_there &&
	    (done > target->there_done ||
		(done == target->there_done &&
		    chosen->message->attempt >= target->there_attempt));
}

static void
hand_over(
    struct change *change, const struct chosen *chosen, struct target *target)
{
	int known;

	if (connect_other(change, &target->err) == -1) {
		target->has_failed = true;
		return;
	}
	if (is_there_left_over(chosen, target)) {
		if (order_message(change->to_connection, INTAKE_FORGET,
			target->there_id, "", &target->err) != QQ_OK) {
			target->has_failed = true;
			file_close(&change->to_connection);
			return;
		}
		target->is_there = false;
	}
	known = order_ask(change->to_connection, &target->uuid, &target->err);
	if (known == QQ_OK && !target->is_there) {
		fail_target(target,
		    "the other queue has had it, and has it no more: its log "
		    "says whether it was delivered there; it stays held here, "
		    "and is released or deleted by --id");
		target->was_held = true; /* it stays so */
		return;
	}
	if (known == INTAKE_ABSENT)
		known = order_import(
		    change->to_connection, chosen, &target->err);
	if (known == QQ_OK)
		target->is_there = true;
	else {
		target->has_failed = true;
		/* It may be there although nobody heard. */
		if (known == -1) {
			file_close(&change->to_connection);
			target->was_held = true;
		}
	}
}

/* The targets of a queue that the walk comes to, by their numbers. */
static void
find_targets_of(struct change *change, const char *queue)
{
	if (change->walked == queue)
		return;
	change->walked = queue;
	idmap_release(&change->found);
	for (size_t i = 0; i < change->count; i++)
		if (strcmp(change->targets[i].queue, queue) == 0)
			idmap_put(&change->found, change->targets[i].id,
			    &change->targets[i]);
}

static void
hand_over_held(const struct chosen *chosen, void *context)
{
	struct change *change = context;
	struct target *target;

	find_targets_of(change, chosen->queue);
	target = idmap_get(&change->found, chosen->message->id);
	if (target == NULL || target->has_failed || target->is_done)
		return;
	target->is_done = true; /* it was found */
	if (chosen->message->problem != NULL)
		fail_target(target, chosen->message->problem);
	else if (uuid_is_none(&target->uuid))
		fail_target(target, "it has no UUID (another system's)");
	else
		hand_over(change, chosen, target);
}

static int
move_targets(struct change *change, struct error *err)
{
	struct filter all = { .sender = NULL };

	if (find_there(change, err) == -1 || connect_other(change, err) == -1)
		return -1;
	for (size_t i = 0; i < change->count; i++)
		if (!is_perhaps_elsewhere(change, &change->targets[i]) &&
		    give_order(change, &change->targets[i], INTAKE_HOLD,
			change->options->to, &change->targets[i].err) != QQ_OK)
			change->targets[i].has_failed = true;
	all.queues = change->options->filter.queues;
	if (filter_visit(change->node, &all, hand_over_held, change, err) == -1)
		complain(EXIT_TROUBLE, err);
	for (size_t i = 0; i < change->count; i++) {
		struct target *target = &change->targets[i];

		target->is_done = false;
		if (target->is_there && !target->has_failed)
			order_target(change, target);
		else if (!target->has_failed)
			fail_target(target, "it has ended meanwhile");
		if (!target->is_done && !target->is_there && !target->was_held)
			give_order(change, target, INTAKE_RELEASE, "", err);
	}
	return 0;
}

/* -- what is said */

static void
print_target(const struct change *change, const struct target *target)
{
	char word[2 * ENVELOPE_ADDRESS_MAX];

	log_word(word, sizeof(word), target->sender);
	if (target->has_failed)
		fprintf(stderr, "svctool: cannot %s %s %" PRIu64 ": %s\n",
		    change->verb, target->queue, target->id, target->err.text);
	else
		printf("%s %s %" PRIu64 " from <%s>\n",
		    target->is_done ? change->done : "would be it:",
		    target->queue, target->id, word);
}

static void
print_json(json_t *rows)
{
	json_dumpf(rows, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII);
	putchar('\n');
	json_decref(rows);
}

static void
print_targets_json(const struct change *change)
{
	json_t *rows = json_array();
	char uuid[UUID_TEXT_SIZE];

	for (size_t i = 0; i < change->count; i++) {
		const struct target *target = &change->targets[i];
		json_t *row = json_pack("{s:s, s:s, s:I, s:b, s:o}", "action",
		    change->verb, "queue", target->queue, "id",
		    (json_int_t)target->id, "done", target->is_done, "sender",
		    json_text(target->sender));

		if (!uuid_is_none(&target->uuid)) {
			uuid_format(&target->uuid, uuid);
			json_object_set_new(row, "uuid", json_string(uuid));
		}
		if (target->has_failed)
			json_object_set_new(
			    row, "problem", json_text(target->err.text));
		json_array_append_new(rows, row);
	}
	print_json(rows);
}

static int
tell_targets(const struct change *change)
{
	int code = EXIT_FINE;

	for (size_t i = 0; i < change->count; i++) {
		if (change->targets[i].has_failed)
			code = EXIT_TROUBLE;
		if (!change->options->is_json)
			print_target(change, &change->targets[i]);
	}
	if (change->options->is_json)
		print_targets_json(change);
	else
		printf("%zu message%s match%s\n", change->count,
		    plural(change->count), change->count == 1 ? "es" : "");
	return change->count == 0 && change->options->filter.ids.count > 0
	    ? EXIT_TROUBLE
	    : code;
}

/* -- lanes */

/* --lane alone, of hold, release and retry, is the lane itself. */
static bool
is_of_lane(const struct change *change)
{
	struct filter filter = change->options->filter;
	bool has_lane = filter.lane != NULL;

	filter.lane = NULL;
	return has_lane && !filter_has_any(&filter) &&
	    change->action <= INTAKE_RETRY;
}

/* In one queue: the code, or that of what it was not done for. */
static void
add_lane_row(const struct change *change, json_t *rows, const char *queue,
    int result, const struct error *err)
{
	bool is_done = result == QQ_OK && !change->options->is_dry_run;
	json_t *row = json_pack("{s:s, s:s, s:o, s:b}", "action", change->verb,
	    "queue", queue, "lane", json_text(change->options->filter.lane),
	    "done", is_done);

	if (result != QQ_OK)
		json_object_set_new(row, "problem", json_text(err->text));
	json_array_append_new(rows, row);
}

static int
change_lane(struct change *change)
{
	const struct message_options *options = change->options;
	const struct filter *filter = &options->filter;
	struct strlist names = { .count = 0 };
	json_t *rows = options->is_json ? json_array() : NULL;
	struct error err;
	int code = EXIT_FINE;

	if (node_queues(change->node, &names, &err) == -1)
		return complain(EXIT_TROUBLE, &err);
	for (size_t i = 0; i < names.count; i++) {
		char *path = node_path(change->node, "%s/%s",
		    change->node->home->queue, names.items[i]);
		int connection = -1, result = QQ_OK;

		if (filter->queues.count > 0 &&
		    !strlist_has(&filter->queues, names.items[i])) {
			free(path);
			continue;
		}
		if (!options->is_dry_run) {
			connection = order_connect(
			    names.items[i], path, options->timeout_s, &err);
			result = connection == -1
			    ? -1
			    : order_lane(connection, change->action,
				  filter->lane, &err);
		}
		if (rows != NULL)
			add_lane_row(
			    change, rows, names.items[i], result, &err);
		if (result != QQ_OK && result != INTAKE_ABSENT)
			code = complain(EXIT_TROUBLE, &err);
		else if (rows != NULL)
			;
		else if (result == QQ_OK)
			printf("%s lane %s in %s\n",
			    options->is_dry_run ? "would be it:" : change->done,
			    filter->lane, names.items[i]);
		else
			printf(
			    "no lane %s in %s\n", filter->lane, names.items[i]);
		file_close(&connection);
		free(path);
	}
	if (rows != NULL)
		print_json(rows);
	strlist_release(&names);
	return code;
}

static int
change_messages(struct change *change)
{
	struct error err;
	int code = EXIT_FINE, told;

	if (filter_visit(change->node, &change->options->filter, add_target,
		change, &err) == -1)
		code = complain(EXIT_TROUBLE, &err);
	if (change->options->is_dry_run)
		return tell_targets(change);
	if (change->options->to != NULL) {
		if (move_targets(change, &err) == -1)
			return complain(EXIT_TROUBLE, &err);
	} else
		for (size_t i = 0; i < change->count; i++)
			order_target(change, &change->targets[i]);
	told = tell_targets(change);
	return told == EXIT_FINE ? code : told;
}

int
messages_change(const struct node *node, const char *verb,
    const struct message_options *options)
{
	struct change change = { .node = node,
		.options = options,
		.connection = -1,
		.to_connection = -1 };
	struct error err;
	int code;
	size_t i = 0;

	while (strcmp(verbs[i].verb, verb) != 0)
		i++;
	change.verb = verb;
	change.done = verbs[i].done;
	change.action = verbs[i].action;
	if (options->to != NULL) {
		if (queue_must_exist(node, options->to, &err) == -1)
			return complain(EXIT_TROUBLE, &err);
		change.to_path = node_path(
		    node, "%s/%s", node->home->queue, options->to);
	}
	code = is_of_lane(&change) ? change_lane(&change)
				   : change_messages(&change);
	for (i = 0; i < change.count; i++) {
		free(change.targets[i].queue);
		free(change.targets[i].path);
		free(change.targets[i].sender);
		free(change.targets[i].moving_to);
	}
	free(change.targets);
	free(change.to_path);
	idmap_release(&change.found);
	file_close(&change.connection);
	file_close(&change.to_connection);
	return code;
}
