/* SPDX-License-Identifier: ISC */
/* svctool start, stop and restart. */
#include <stdbool.h>
#include <stdio.h>

#include "base/plural.h"
#include "svctool/args.h"
#include "svctool/check/check.h"
#include "svctool/lifecycle/lifecycle.h"
#include "svctool/node.h"
#include "svctool/run/place.h"
#include "svctool/run/systemd_guard.h"
#include "svctool/svctool.h"

enum { TIMEOUT_S = 60 };

/*
 * What runs must not be stopped for what would not start, or would start worse:
 * with a bad setting, as an open relay, or on a full disk.  A log or domain
 * that is wrong is so with and without a restart.
 */
static int
check_before_stop(const struct node *node, struct error *err)
{
	struct check check = { .node = node };
	int result = 0;

	check_forget_environment();
	check_settings(&check);
	check_variables(&check);
	check_owners(&check);
	check_services(&check);
	check_rules(&check);
	check_routing(&check);
	check_tls_loads(&check);
	check_space(&check);
	check_starts(&check);
	check_print_findings(&check);
	if (check.errors > 0)
		result = error_set(err,
		    "the node goes on as it is, because it might not start "
		    "well again: put the %u error%s above right first",
		    check.errors, plural(check.errors));
	check_release(&check);
	return result;
}

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
	unsigned down = 0;
	int code = EXIT_FINE;

	if (args_parse_options(rows, argc, argv, &err) == -1)
		return complain(EXIT_USAGE, &err);
	node = node_new(home, NULL, &err);
	if (node != NULL && is_stop && !is_start && lifecycle_is_left(node)) {
		if (lifecycle_stop(node, timeout_s, &err) == -1)
			code = complain(EXIT_TROUBLE, &err);
		else
			say_end(node, is_start, down);
	} else if (node == NULL || !node_exists(node, &err) ||
	    !(is_start ? node_is_ours_to_start : node_is_ours)(node, &err) ||
	    systemd_guard(node, NULL, &err) == -1 ||
	    (is_start && !node_has_name(node, &err)) ||
	    (is_start && !place_is_right(node, &err)) ||
	    (is_stop && is_start && check_before_stop(node, &err) == -1) ||
	    (is_stop && lifecycle_stop(node, timeout_s, &err) == -1) ||
	    (is_start && lifecycle_start(node, timeout_s, &down, &err) == -1))
		code = complain(EXIT_TROUBLE, &err);
	else
		say_end(node, is_start, down);
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
