/* SPDX-License-Identifier: ISC */
/* svctool check: is the node as it should be? */
#include "svctool/args.h"
#include "svctool/check.h"
#include "svctool/svctool.h"

static const struct {
	void (*look)(struct check *check);
} parts[] = {
	{ check_settings },
	{ check_variables },
	{ check_owners },
	{ check_queues },
	{ check_services },
	{ check_compiled },
	{ check_rules },
	{ check_collections },
	{ check_domains },
	{ check_tls },
};

int
cmd_check(int argc, char **argv)
{
	const char *home = NULL;
	bool is_json = false;
	const struct arg_row rows[] = {
		{ "home", ARG_TEXT, &home },
		{ "json", ARG_FLAG, &is_json },
		{ NULL, ARG_FLAG, NULL },
	};
	struct check check = { .errors = 0 };
	struct error err;
	struct node *node;
	int code = EXIT_TROUBLE;

	if (args_parse_options(rows, argc, argv, &err) == -1)
		return complain(EXIT_USAGE, &err);
	node = node_new(home, NULL, &err);
	check.node = node;
	if (node == NULL || !node_exists(node, &err) ||
	    !node_is_ours(node, &err) || check_as_owner(&check, &err) == -1)
		complain(code, &err);
	else {
		check_forget_environment();
		for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
			parts[i].look(&check);
		if (is_json)
			check_print_json(&check);
		else
			check_print_text(&check);
		code = check.errors == 0 ? EXIT_FINE : EXIT_TROUBLE;
	}
	check_release(&check);
	node_free(&node);
	return code;
}
