/* SPDX-License-Identifier: ISC */
/* svctool start, stop and restart. */
#include <stdbool.h>
#include <stdio.h>

#include "svctool/args.h"
#include "svctool/lifecycle.h"
#include "svctool/node.h"
#include "svctool/svctool.h"

enum { TIMEOUT_S = 60 };

static int
run(int argc, char **argv, bool is_stop, bool is_start)
{
	const char *home = NULL;
	unsigned timeout_s = TIMEOUT_S;
	const struct arg_row rows[] = {
		{ "home", ARG_TEXT, &home },
		{ "timeout", ARG_NUMBER, &timeout_s },
		{ NULL, ARG_FLAG, NULL },
	};
	struct error err;
	struct node *node;
	int code = EXIT_FINE;

	if (args_parse_options(rows, argc, argv, &err) == -1)
		return complain(EXIT_USAGE, &err);
	node = node_new(home, NULL, &err);
	if (node == NULL || !node_exists(node, &err) ||
	    !node_is_ours(node, &err) ||
	    (is_stop && lifecycle_stop(node, timeout_s, &err) == -1) ||
	    (is_start && lifecycle_start(node, timeout_s, &err) == -1))
		code = complain(EXIT_TROUBLE, &err);
	else
		printf("the node at %s is %s\n", node->home->root,
		    is_start ? "up" : "stopped");
	node_free(&node);
	return code;
}

int
cmd_start(int argc, char **argv)
{
	return run(argc, argv, false, true);
}

int
cmd_stop(int argc, char **argv)
{
	return run(argc, argv, true, false);
}

int
cmd_restart(int argc, char **argv)
{
	return run(argc, argv, true, true);
}
