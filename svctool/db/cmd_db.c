/* SPDX-License-Identifier: ISC */
/* svctool db: makes, upgrades, shows and checks the node's database. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "svctool/args.h"
#include "svctool/db/db.h"
#include "svctool/svctool.h"

static int
run_verb(const struct node *node, const char *verb, bool is_json)
{
	if (strcmp(verb, "init") == 0)
		return db_init(node);
	if (strcmp(verb, "upgrade") == 0)
		return db_upgrade(node);
	if (strcmp(verb, "status") == 0)
		return db_status(node, is_json);
	if (strcmp(verb, "check") == 0)
		return db_check(node, is_json);
	if (strcmp(verb, "local") == 0)
		return db_local(node);
	return EXIT_USAGE;
}

int
cmd_db(int argc, char **argv)
{
	const char *home = NULL;
	bool is_json = false;
	const struct arg_row rows[] = {
		{ "home", ARG_TEXT, &home },
		{ "json", ARG_FLAG, &is_json },
		{ NULL, ARG_FLAG, NULL },
	};
	AUTO(node_free) struct node *node = NULL;
	struct error err;
	int words;

	if (args_parse(rows, argc, argv, &words, &err) == -1)
		return complain(EXIT_USAGE, &err);
	if (words != 1 ||
	    (is_json && strcmp(argv[0], "status") != 0 &&
		strcmp(argv[0], "check") != 0))
		return EXIT_USAGE;
	node = node_new(home, NULL, &err);
	if (node == NULL || !node_exists(node, &err))
		return complain(EXIT_TROUBLE, &err);
	return run_verb(node, argv[0], is_json);
}
