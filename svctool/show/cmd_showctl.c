/* SPDX-License-Identifier: ISC */
/* svctool showctl: every setting and where it comes from (qmail-showctl). */
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "svctool/args.h"
#include "svctool/node.h"
#include "svctool/svctool.h"

int
cmd_showctl(int argc, char **argv)
{
	const char *home = NULL;
	const struct arg_row rows[] = {
		{ "home", ARG_TEXT, &home },
		{ NULL, ARG_FLAG, NULL },
	};
	struct error err;
	AUTO(node_free) struct node *node = NULL;
	OWN_TEXT program = NULL;

	if (args_parse(rows, argc, argv, NULL, &err) == -1)
		return complain(EXIT_USAGE, &err);
	node = node_new(home, NULL, &err);
	if (node == NULL || !node_exists(node, &err))
		return complain(EXIT_TROUBLE, &err);
	program = xasprintf("%s/qmail-showctl", node->programs);
	/* In our place: a reader that has seen enough ends it as it ends us. */
	execl(program, program, (char *)NULL);
	error_sys(&err, "cannot run '%s'", program);
	return complain(EXIT_TROUBLE, &err);
}
