/* SPDX-License-Identifier: ISC */
/* svctool status: is everything up, and what are the queues doing? */
#include <stdbool.h>

#include "svctool/args.h"
#include "svctool/report.h"
#include "svctool/svctool.h"

int
cmd_status(int argc, char **argv)
{
	const char *home = NULL;
	bool is_json = false;
	const struct arg_row rows[] = {
		{ "home", ARG_TEXT, &home },
		{ "json", ARG_FLAG, &is_json },
		{ NULL, ARG_FLAG, NULL },
	};
	struct report report = { .home = NULL };
	struct node *node = NULL;
	struct error err;
	int code;

	if (args_parse_options(rows, argc, argv, &err) == -1)
		return complain(EXIT_USAGE, &err);
	node = node_new(home, NULL, &err);
	if (node == NULL || !node_exists(node, &err))
		code = complain(EXIT_TROUBLE, &err);
	else if (report_collect(node, &report, &err) == -1) {
		/* A stranger may not read what supervise knows. */
		node_is_ours(node, &err);
		code = complain(EXIT_TROUBLE, &err);
	} else {
		if (is_json)
			report_print_json(&report);
		else
			report_print_text(&report);
		code = report.is_fine ? EXIT_FINE : EXIT_TROUBLE;
	}
	report_release(&report);
	node_free(&node);
	return code;
}
