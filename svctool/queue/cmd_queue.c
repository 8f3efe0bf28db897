/* SPDX-License-Identifier: ISC */
/* svctool queue: adds, removes, holds, releases and repairs queues. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "svctool/args.h"
#include "svctool/queue/destinations.h"
#include "svctool/queue/messages.h"
#include "svctool/queue/ops.h"
#include "svctool/svctool.h"

/* A name is one folder's name, and no hidden one. */
static int
check_name(const char *name, struct error *err)
{
	if (*name == '\0' || *name == '.' || strchr(name, '/') != NULL ||
	    strlen(name) > 64)
		return error_set(err,
		    "'%s' is not a queue's name: give a number or a name "
		    "without '/'",
		    name);
	return 0;
}

static const struct {
	const char *name;
	int (*run)(const struct node *node, const char *queue,
	    const struct queue_op_options *options, struct error *err);
} ops[] = {
	{ "add", queue_add },
	{ "remove", queue_remove },
	{ "hold", queue_hold },
	{ "release", queue_release },
	{ "fix", queue_repair },
};
enum { OP_COUNT = sizeof(ops) / sizeof(ops[0]) };

static const char verbs[] = "add, remove, hold, release or fix";
static const char message_verbs[] =
    "list, show, ages, hold, release, retry, delete, bounce or move; of "
    "destinations destinations, suspend, resume, rebind or reset";

/* What changes a message must say which. */
static int
check_message_options(
    const char *verb, struct message_options *options, struct error *err)
{
	if (strcmp(verb, "list") == 0 || strcmp(verb, "ages") == 0)
		return 0;
	if (strcmp(verb, "move") == 0 && options->to == NULL)
		return error_set(err, "queue move needs --to QUEUE");
	if (options->to != NULL && strcmp(verb, "move") != 0)
		return error_set(err, "only queue move has --to");
	if ((options->text != NULL) != (strcmp(verb, "bounce") == 0))
		return error_set(err,
		    options->text == NULL
			? "queue bounce needs --text, what the sender is told"
			: "only queue bounce has --text");
	return filter_has_any(&options->filter)
	    ? 0
	    : error_set(err,
		  "queue %s needs a message's number or UUID, a filter, or "
		  "--all",
		  verb);
}

static int
run_message_verb(const struct node *node, const char *verb,
    const struct message_options *options)
{
	return strcmp(verb, "list") == 0 ? messages_list(node, options)
	    : strcmp(verb, "show") == 0  ? messages_show(node, options)
	    : strcmp(verb, "ages") == 0  ? messages_ages(node, options)
					 : messages_change(node, verb, options);
}

/*
 * Is it a verb of messages?  hold and release of a queue have no filter, but a
 * queue.
 */
static bool
is_of_messages(const char *verb, const struct message_options *options)
{
	static const char *const names[] = { "list", "show", "ages", "retry",
		"delete", "bounce", "move" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(verb, names[i]) == 0)
			return true;
	return (strcmp(verb, "hold") == 0 || strcmp(verb, "release") == 0) &&
	    filter_has_any(&options->filter);
}

int
queue_messages_run(const char *home, const char *verb, int words,
    char *const *argv, struct message_options *options)
{
	struct node *node = NULL;
	struct error err;
	char *to = options->to == NULL ? NULL : node_queue_name(options->to);
	int code;

	options->to = to;
	if (filter_prepare(&options->filter, words, argv, &err) == -1 ||
	    check_message_options(verb, options, &err) == -1)
		code = complain(EXIT_USAGE, &err);
	else {
		node = node_new(home, NULL, &err);
		code = node == NULL || !node_exists(node, &err) ||
			!node_is_ours(node, &err)
		    ? complain(EXIT_TROUBLE, &err)
		    : run_message_verb(node, verb, options);
	}
	node_free(&node);
	free(to);
	return code;
}

/* "VERB QUEUE": the verb's number, or -1 with the reason. */
static int
find_op(int words, char *const *argv, struct error *err)
{
	int op = 0;

	if (words == 0)
		return error_set(err,
		    "queue needs a verb and a queue: %s; or %s", verbs,
		    message_verbs);
	while (op < OP_COUNT && strcmp(argv[0], ops[op].name) != 0)
		op++;
	if (op == OP_COUNT)
		return error_set(err,
		    "queue has no verb '%s': it has %s; of messages %s",
		    argv[0], verbs, message_verbs);
	if (words == 1)
		return error_set(err,
		    "queue %s needs a queue: a number (3 for queue3) or a name",
		    argv[0]);
	if (words > 2)
		return error_set(err,
		    "queue %s takes one queue, and '%s' is one too many",
		    argv[0], argv[2]);
	return op;
}

int
cmd_queue(int argc, char **argv)
{
	struct queue_op_options options = { .timeout_s = 60 };
	struct message_options messages = { .timeout_s = 60 };
	const char *home = NULL, *span = NULL;
	const struct arg_row rows[] = {
		{ "home", ARG_TEXT, &home },
		{ "timeout", ARG_NUMBER, &options.timeout_s },
		{ "local", ARG_FLAG, &options.is_local },
		{ "remote", ARG_FLAG, &options.is_remote },
		FILTER_ROWS(messages.filter),
		{ "json", ARG_FLAG, &messages.is_json },
		{ "dry-run", ARG_FLAG, &messages.is_dry_run },
		{ "body", ARG_FLAG, &messages.has_body },
		{ "text", ARG_TEXT, &messages.text },
		{ "to", ARG_TEXT, &messages.to },
		{ "for", ARG_TEXT, &span },
		{ NULL, ARG_FLAG, NULL },
	};
	AUTO(node_free) struct node *node = NULL;
	OWN_TEXT name = NULL;
	struct error err;
	int words, op;

	if (args_parse(rows, argc, argv, &words, &err) == -1)
		return complain(EXIT_USAGE, &err);
	if (words > 0 && destinations_has(argv[0])) {
		const struct destination_options of = { .home = home,
			.is_json = messages.is_json,
			.is_dry_run = messages.is_dry_run,
			.pattern = messages.filter.domain,
			.reason = messages.filter.reason,
			.span = span };

		filter_release(&messages.filter);
		return destinations_run(argv[0], words - 1, argv + 1, &of);
	}
	if (span != NULL) {
		error_set(&err, "only queue suspend has --for");
		return complain(EXIT_USAGE, &err);
	}
	if (words > 0 && is_of_messages(argv[0], &messages)) {
		int code;

		messages.timeout_s = options.timeout_s;
		code = queue_messages_run(
		    home, argv[0], words - 1, argv + 1, &messages);
		filter_release(&messages.filter);
		return code;
	}
	filter_release(&messages.filter);
	if ((op = find_op(words, argv, &err)) == -1)
		return complain(EXIT_USAGE, &err);
	name = node_queue_name(argv[1]);
	if (check_name(name, &err) == -1)
		return complain(EXIT_USAGE, &err);
	node = node_new(home, NULL, &err);
	if (node == NULL || !node_exists(node, &err) ||
	    !node_is_ours_to_start(node, &err) ||
	    ops[op].run(node, name, &options, &err) == -1)
		return complain(EXIT_TROUBLE, &err);
	return EXIT_FINE;
}
