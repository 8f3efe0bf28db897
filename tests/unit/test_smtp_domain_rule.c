/* SPDX-License-Identifier: ISC */
#include "smtp/domain_rule.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/unit/tempdir.h"

static char *root;

static int
setup(void **state)
{
	(void)state;
	root = tempdir_make();
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	tempdir_remove(root);
	return 0;
}

static void
put(const char *name, const char *text)
{
	char *path = xasprintf("%s/%s", root, name);

	assert_int_equal(file_replace(path, text, strlen(text), 0644, NULL), 0);
	free(path);
}

static void
defaults(void **state)
{
	static const struct {
		const char *text; /* NULL: no file */
		bool takes;
	} rows[] = {
		{ NULL, false },
		{ "| vdelivermail '' bounce-no-mailbox\n", false },
		{ "# x\n|/usr/bin/vdelivermail '' bounce-no-mailbox", false },
		{ "| vdelivermail '' delete\n", true },
		{ "| vdelivermail '' a@example.test\n", true },
		{ "| other '' bounce-no-mailbox\n", true },
		{ "&a@example.test\n", true },
		{ "", true },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		if (rows[i].text != NULL)
			put(".qmail-default", rows[i].text);
		if (smtp_domain_rule_takes(root, "nobody") != rows[i].takes)
			fail_msg("'%s': wanted %d",
			    rows[i].text != NULL ? rows[i].text : "(none)",
			    rows[i].takes);
	}
}

static void
files_of_their_own(void **state)
{
	static const struct {
		const char *local;
		bool takes;
	} rows[] = {
		{ "john.doe", true },
		{ "John.DOE", true },
		{ "john:doe", true },
		{ "john", false },
		{ "list-x", true },
		{ "list-x-y", true },
		{ "list", false },
		{ "a/../list-x", false },
		{ "sub/x", false },
	};
	char *folder = xasprintf("%s/.qmail-sub", root), *whole;
	size_t i;

	(void)state;
	assert_int_equal(mkdir(folder, 0755), 0);
	put(".qmail-sub/x", "");
	put(".qmail-default", "| vdelivermail '' bounce-no-mailbox\n");
	put(".qmail-john:doe", "");
	put(".qmail-list-default", "");
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		if (smtp_domain_rule_takes(root, rows[i].local) !=
		    rows[i].takes)
			fail_msg(
			    "'%s': wanted %d", rows[i].local, rows[i].takes);
	whole = xcalloc(1, 300);
	memset(whole, 'x', 299);
	assert_false(smtp_domain_rule_takes(root, whole));
	free(whole);
	free(folder);
}

/* A folder in the file's place cannot be read, not even by root. */
static void
what_cannot_be_read_takes(void **state)
{
	char *path = xasprintf("%s/.qmail-default", root);

	(void)state;
	assert_int_equal(mkdir(path, 0755), 0);
	assert_true(smtp_domain_rule_takes(root, "nobody"));
	free(path);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(defaults, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    files_of_their_own, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    what_cannot_be_read_takes, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
