/* SPDX-License-Identifier: ISC */
/* svctool queue: adds, removes, holds, releases and repairs queues. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "svctool/args.h"
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

/* "VERB QUEUE": the verb's number, or -1 with the reason. */
static int
find_op(int words, char *const *argv, struct error *err)
{
	int op = 0;

	if (words == 0)
		return error_set(
		    err, "queue needs a verb and a queue: %s", verbs);
	while (op < OP_COUNT && strcmp(argv[0], ops[op].name) != 0)
		op++;
	if (op == OP_COUNT)
		return error_set(
		    err, "queue has no verb '%s': it has %s", argv[0], verbs);
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
	const char *home = NULL;
	const struct arg_row rows[] = {
		{ "home", ARG_TEXT, &home },
		{ "timeout", ARG_NUMBER, &options.timeout_s },
		{ "local", ARG_FLAG, &options.is_local },
		{ "remote", ARG_FLAG, &options.is_remote },
		{ NULL, ARG_FLAG, NULL },
	};
	AUTO(node_free) struct node *node = NULL;
	OWN_TEXT name = NULL;
	struct error err;
	int words, op;

	if (args_parse(rows, argc, argv, &words, &err) == -1 ||
	    (op = find_op(words, argv, &err)) == -1)
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
