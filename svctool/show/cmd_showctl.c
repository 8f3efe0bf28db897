/* SPDX-License-Identifier: ISC */
/* svctool showctl: every setting and where it comes from (qmail-showctl). */
#include <stdlib.h>

#include "base/mem.h"
#include "svctool/args.h"
#include "svctool/node.h"
#include "svctool/run/spawn.h"
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
	return spawn_wait((const char *[]){ program, NULL }, NULL, &err) == -1
	    ? complain(EXIT_TROUBLE, &err)
	    : EXIT_FINE;
}
