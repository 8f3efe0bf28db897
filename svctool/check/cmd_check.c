/* SPDX-License-Identifier: ISC */
/* svctool check: is the node as it should be? */
#include "svctool/check/check.h"
#include "svctool/svctool.h"

static const struct {
	void (*look)(struct check *check);
} parts[] = {
	{ check_settings },
	{ check_place },
	{ check_variables },
	{ check_owners },
	{ check_queues },
	{ check_services },
	{ check_running },
	{ check_compiled },
	{ check_rules },
	{ check_access },
	{ check_collections },
	{ check_domains },
	{ check_tls },
	{ check_space },
	{ check_starts },
};

int
cmd_check(int argc, char **argv)
{
	struct check check = { .errors = 0 };
	struct error err;
	struct node *node;
	bool is_json;
	int code = open_to_show(argc, argv, &node, &is_json);

	if (code != EXIT_FINE)
		return code;
	check.node = node;
	if (!node_is_ours(node, &err) || check_as_owner(&check, &err) == -1)
		code = complain(EXIT_TROUBLE, &err);
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
