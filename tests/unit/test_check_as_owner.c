/* SPDX-License-Identifier: ISC */
/* Tests of check_as_owner() in svctool/check/layout.c; root's rows need root.
 */
#include "svctool/check/check.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "tests/unit/check_node.h"
#include "tests/unit/child.h"

enum { NOBODY = 65534 };

/* Who owns the node's folder and its variables, and what becomes of root. */
struct row {
	const char *name;
	uid_t root_uid, vars_uid;
	uid_t wanted; /* the user that root acts as */
};

/* An exit code that says where it failed. */
static void
look(const void *context)
{
	const struct row *row = context;
	struct check check = { .node = node };
	struct error err = { "" };

	if (chown(folder, row->root_uid, 0) != 0 ||
	    chown(node->global_vars, row->vars_uid, 0) != 0)
		_exit(1);
	if (check_as_owner(&check, &err) != 0)
		_exit(2);
	if (geteuid() != row->wanted)
		_exit(3);
	if (check.warnings != (row->wanted != 0) || check.errors != 0)
		_exit(4);
	if (check.warnings > 0 &&
	    strstr(check.findings[0].text, "the node belongs to user 65534") ==
		NULL)
		_exit(5);
	check_release(&check);
}

static void
root_becomes_the_owner(void **state)
{
	static const struct row rows[] = {
		{ "root's", 0, 0, 0 },
		{ "a user's", NOBODY, NOBODY, NOBODY },
		/* Of a node of root's one folder has another owner. */
		{ "folder only", NOBODY, 0, 0 },
		{ "variables only", 0, NOBODY, 0 },
		{ "two users", NOBODY, NOBODY - 1, 0 },
	};

	(void)state;
	if (geteuid() != 0) {
		print_message("not root: cannot become others\n");
		skip();
	}
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int code = child_run(look, &rows[i]);

		if (code != 0)
			fail_msg("%s: step %d", rows[i].name, code);
	}
}

/* What is missing is found later; others stay what they are. */
static void
nothing_to_become(void **state)
{
	struct check check = { .node = node };
	uid_t before = geteuid();
	struct error err;

	(void)state;
	assert_int_equal(
	    file_remove_tree(folder_path("control/global_vars"), &err), 0);
	assert_int_equal(check_as_owner(&check, &err), 0);
	assert_int_equal(geteuid(), before);
	assert_int_equal(check.count, 0);
	check_release(&check);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		SVC_TEST(root_becomes_the_owner),
		SVC_TEST(nothing_to_become),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
