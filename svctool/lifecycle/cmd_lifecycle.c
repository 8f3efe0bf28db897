/* SPDX-License-Identifier: ISC */
/* svctool start, stop and restart. */
#include <stdbool.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/plural.h"
#include "svctool/args.h"
#include "svctool/check/check.h"
#include "svctool/lifecycle/lifecycle.h"
#include "svctool/node.h"
#include "svctool/run/place.h"
#include "svctool/run/systemd_guard.h"
#include "svctool/svctool.h"

enum { TIMEOUT_S = 60 };

static void
say_end(const struct node *node, bool is_start, unsigned down)
{
	printf("the node at %s is %s", node->home->root,
	    is_start ? "up" : "stopped");
	if (down > 0)
		printf(", except for %u service%s down by wish", down,
		    plural(down));
	putchar('\n');
}

static int
run_lifecycle(int argc, char **argv, bool is_stop, bool is_start)
{
	const char *home = NULL;
	unsigned timeout_s = TIMEOUT_S;
	const struct arg_row rows[] = {
		{ "home", ARG_TEXT, &home },
		{ "timeout", ARG_NUMBER, &timeout_s },
		{ NULL, ARG_FLAG, NULL },
	};
	struct error err;
	AUTO(node_free) struct node *node = NULL;
	unsigned down = 0;
	bool is_done;

	if (args_parse(rows, argc, argv, NULL, &err) == -1)
		return complain(EXIT_USAGE, &err);
	node = node_new(home, NULL, &err);
	if (node != NULL && is_stop && !is_start && lifecycle_is_left(node))
		is_done = lifecycle_stop(node, timeout_s, &err) == 0;
	else
		is_done = node != NULL && node_exists(node, &err) &&
		    (is_start ? node_is_ours_to_start : node_is_ours)(
			node, &err) &&
		    systemd_guard(node, NULL, &err) == 0 &&
		    (!is_start ||
			(node_has_name(node, &err) &&
			    place_is_right(node, &err))) &&
		    (!is_stop || !is_start ||
			check_before_restart(node, &err) == 0) &&
		    (!is_stop || lifecycle_stop(node, timeout_s, &err) == 0) &&
		    (!is_start ||
			lifecycle_start(node, timeout_s, &down, &err) == 0);
	if (!is_done)
		return complain(EXIT_TROUBLE, &err);
	say_end(node, is_start, down);
	return EXIT_FINE;
}

int
cmd_start(int argc, char **argv)
{
	return run_lifecycle(argc, argv, false, true);
}

int
cmd_stop(int argc, char **argv)
{
	return run_lifecycle(argc, argv, true, false);
}

int
cmd_restart(int argc, char **argv)
{
	return run_lifecycle(argc, argv, true, true);
}
