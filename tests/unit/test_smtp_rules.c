/* SPDX-License-Identifier: ISC */
#include "smtp/rules.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "control/cdbmap.h"
#include "tests/unit/tempdir.h"

static char *root, *path;

static int
setup(void **state)
{
	(void)state;
	root = tempdir_make();
	path = xasprintf("%s/rules.cdb", root);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	free(path);
	tempdir_remove(root);
	return 0;
}

/* As tcprules writes it: one rule. */
static void
put_rule(const char *key, const char *value, size_t length)
{
	struct cdbmap_writer *writer = cdbmap_writer_new(path, NULL);

	assert_non_null(writer);
	assert_int_equal(
	    cdbmap_writer_add(writer, key, strlen(key), value, length, NULL),
	    0);
	assert_int_equal(cdbmap_writer_commit(&writer, NULL), 0);
}

static int
check(struct smtp_rules *rules, const char *ip)
{
	struct vars vars = VARS_INIT;
	struct error err;
	int result = smtp_rules_check(rules, ip, &vars, &err);

	vars_release(&vars);
	return result;
}

static void
the_file_may_come_change_and_go(void **state)
{
	struct smtp_rules *rules = smtp_rules_new(path, false, 0, NULL);

	(void)state;
	assert_non_null(rules);
	assert_int_equal(check(rules, "192.0.2.1"), 1);
	put_rule("192.0.2.", "D", 2);
	assert_int_equal(check(rules, "192.0.2.1"), 0);
	assert_int_equal(check(rules, "198.51.100.1"), 1);
	put_rule("192.0.3.", "D", 2);
	assert_int_equal(check(rules, "192.0.2.1"), 1);
	assert_int_equal(check(rules, "192.0.3.1"), 0);
	remove(path);
	assert_int_equal(check(rules, "192.0.3.1"), 1);
	smtp_rules_free(&rules);
	assert_null(rules);
}

static void
variables_are_set(void **state)
{
	struct smtp_rules *rules;
	struct vars vars = VARS_INIT;

	(void)state;
	put_rule("", "+RELAYCLIENT=x", 15);
	rules = smtp_rules_new(path, true, 0, NULL);
	assert_int_equal(smtp_rules_check(rules, "::1", &vars, NULL), 1);
	assert_string_equal(vars_get(&vars, "RELAYCLIENT"), "x");
	vars_release(&vars);
	smtp_rules_free(&rules);
}

/* Young enough rules cost no look at the file; when it is their time, one. */
static void
old_rules_serve_for_a_time(void **state)
{
	enum { LONG_MS = 1000 * 1000, SHORT_MS = 50 };
	struct smtp_rules *young, *old;

	(void)state;
	put_rule("192.0.2.", "D", 2);
	young = smtp_rules_new(path, true, LONG_MS, NULL);
	old = smtp_rules_new(path, true, SHORT_MS, NULL);
	assert_int_equal(check(young, "192.0.2.1"), 0);
	assert_int_equal(check(old, "192.0.2.1"), 0);
	put_rule("192.0.3.", "D", 2);
	assert_int_equal(check(young, "192.0.2.1"), 0);
	usleep(SHORT_MS * 1000);
	assert_int_equal(check(old, "192.0.2.1"), 1);
	assert_int_equal(check(old, "192.0.3.1"), 0);
	smtp_rules_free(&young);
	smtp_rules_free(&old);
}

static void
could_not_tell(void **state)
{
	struct smtp_rules *rules;
	struct error err;

	(void)state;
	assert_null(smtp_rules_new(path, true, 0, &err));
	assert_non_null(strstr(err.text, path));
	put_rule("", "D", 2);
	rules = smtp_rules_new(path, true, 0, NULL);
	assert_int_equal(check(rules, "192.0.2.1"), 0);
	assert_int_equal(file_replace(path, "x", 1, 0644, NULL), 0);
	assert_int_equal(check(rules, "192.0.2.1"), -1);
	remove(path);
	assert_int_equal(check(rules, "192.0.2.1"), -1);
	put_rule("", "D", 2);
	assert_int_equal(check(rules, "192.0.2.1"), 0);
	smtp_rules_free(&rules);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    the_file_may_come_change_and_go, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    variables_are_set, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    old_rules_serve_for_a_time, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    could_not_tell, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
