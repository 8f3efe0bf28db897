/* SPDX-License-Identifier: ISC */
/* svctool queue: adds, removes, holds, releases and repairs queues. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/scan.h"
#include "svctool/args.h"
#include "svctool/queue_ops.h"
#include "svctool/svctool.h"

/* "3" means "queue3".  The caller frees. */
static char *
full_name(const char *word)
{
	uint64_t number;

	return scan_u64(word, UINT32_MAX, &number) ? xasprintf("queue%s", word)
						   : xstrdup(word);
}

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

int
cmd_queue(int argc, char **argv)
{
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
	struct queue_op_options options = { .timeout_s = 60 };
	const char *home = NULL;
	const struct arg_row rows[] = {
		{ "home", ARG_TEXT, &home },
		{ "timeout", ARG_NUMBER, &options.timeout_s },
		{ "local", ARG_FLAG, &options.is_local },
		{ "remote", ARG_FLAG, &options.is_remote },
		{ NULL, ARG_FLAG, NULL },
	};
	struct node *node = NULL;
	struct error err;
	char *name;
	size_t op = 0;
	int words, code = EXIT_FINE;

	if (args_parse(rows, argc, argv, &words, &err) == -1)
		return complain(EXIT_USAGE, &err);
	while (words == 2 && op < sizeof(ops) / sizeof(ops[0]) &&
	    strcmp(argv[0], ops[op].name) != 0)
		op++;
	if (words != 2 || op == sizeof(ops) / sizeof(ops[0])) {
		error_set(&err, "queue needs what to do, and a queue");
		return complain(EXIT_USAGE, &err);
	}
	name = full_name(argv[1]);
	if (check_name(name, &err) == -1) {
		free(name);
		return complain(EXIT_USAGE, &err);
	}
	node = node_new(home, NULL, &err);
	if (node == NULL || !node_exists(node, &err) ||
	    ops[op].run(node, name, &options, &err) == -1)
		code = complain(EXIT_TROUBLE, &err);
	node_free(&node);
	free(name);
	return code;
}
