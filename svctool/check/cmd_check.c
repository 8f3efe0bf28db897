/* SPDX-License-Identifier: ISC */
/* svctool check: is the node as it should be? */
#include "base/mem.h"
#include "base/plural.h"
#include "svctool/check/check.h"
#include "svctool/svctool.h"

/*
 * Before a restart: what runs must not be stopped for what would not start, or
 * would start worse: with a bad setting, as an open relay, or on a full disk.
 * A log or domain that is wrong is so with and without a restart.
 */
static const struct {
	void (*look)(struct check *check);
	void (*look_before_restart)(struct check *check);
} parts[] = {
	{ check_settings, check_settings },
	{ check_place, NULL },
	{ check_variables, check_variables },
	{ check_owners, check_owners },
	{ check_queues, NULL },
	{ check_services, check_services },
	{ check_running, NULL },
	{ check_compiled, NULL },
	{ check_rules, check_rules },
	{ check_collections, NULL },
	{ check_domains, check_routing },
	{ check_tls, NULL },
	{ check_space, check_space },
	{ check_starts, check_starts },
};

enum { PART_COUNT = sizeof(parts) / sizeof(parts[0]) };

int
check_before_restart(const struct node *node, struct error *err)
{
	AUTO(check_release) struct check check = { .node = node };

	check_forget_environment();
	for (size_t i = 0; i < PART_COUNT; i++)
		if (parts[i].look_before_restart != NULL)
			parts[i].look_before_restart(&check);
	check_print_findings(&check);
	if (check.errors == 0)
		return 0;
	return error_set(err,
	    "the node goes on as it is, because it might not start well again: "
	    "put the %u error%s above right first",
	    check.errors, plural(check.errors));
}

int
cmd_check(int argc, char **argv)
{
	AUTO(node_free) struct node *node = NULL;
	AUTO(check_release) struct check check = { .errors = 0 };
	struct error err;
	bool is_json;
	int code = open_to_show(argc, argv, &node, &is_json);

	if (code != EXIT_FINE)
		return code;
	check.node = node;
	if (!node_is_ours(node, &err) || check_as_owner(&check, &err) == -1)
		return complain(EXIT_TROUBLE, &err);
	check_forget_environment();
	for (size_t i = 0; i < PART_COUNT; i++)
		parts[i].look(&check);
	(is_json ? check_print_json : check_print_text)(&check);
	return check.errors == 0 ? EXIT_FINE : EXIT_TROUBLE;
}
