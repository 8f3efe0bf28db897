/* SPDX-License-Identifier: ISC */
/* svctool status: is everything up, and what are the queues doing? */
#include "base/mem.h"
#include "svctool/show/report.h"
#include "svctool/svctool.h"

int
cmd_status(int argc, char **argv)
{
	AUTO(report_release) struct report report = { .home = NULL };
	AUTO(node_free) struct node *node = NULL;
	struct error err;
	bool is_json;
	int code = open_to_show(argc, argv, &node, &is_json);

	if (code != EXIT_FINE)
		return code;
	if (report_collect(node, &report, &err) == -1) {
		/* A stranger may not read what supervise knows. */
		node_is_ours(node, &err);
		return complain(EXIT_TROUBLE, &err);
	}
	(is_json ? report_print_json : report_print_text)(&report);
	return report.is_fine ? EXIT_FINE : EXIT_TROUBLE;
}
