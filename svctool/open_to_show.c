/* SPDX-License-Identifier: ISC */
/* The beginning of the subcommands that show something, as text or JSON. */
#include <stdio.h>

#include "svctool/args.h"
#include "svctool/node.h"
#include "svctool/svctool.h"

int
open_to_show(int argc, char **argv, struct node **node_out, bool *is_json_out)
{
	const char *home = NULL;
	const struct arg_row rows[] = {
		{ "home", ARG_TEXT, &home },
		{ "json", ARG_FLAG, is_json_out },
		{ NULL, ARG_FLAG, NULL },
	};
	struct error err;

	*node_out = NULL;
	*is_json_out = false;
	if (args_parse(rows, argc, argv, NULL, &err) == -1)
		return complain(EXIT_USAGE, &err);
	*node_out = node_new(home, NULL, &err);
	if (*node_out != NULL && node_exists(*node_out, &err))
		return EXIT_FINE;
	node_free(node_out);
	return complain(EXIT_TROUBLE, &err);
}

int
complain(int code, const struct error *err)
{
	fflush(stdout);
	fprintf(stderr, "svctool: %s\n", err->text);
	return code;
}
