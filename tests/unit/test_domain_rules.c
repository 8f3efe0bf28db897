/* SPDX-License-Identifier: ISC */
#include "delivery/domain_rules.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/tempdir.h"

static char *home;
static struct domain_rules *rules;

static int
setup(void **state)
{
	(void)state;
	home = tempdir_make();
	rules = domain_rules_new();
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	domain_rules_free(&rules);
	assert_null(rules);
	tempdir_remove(home);
	return 0;
}

static void
put(const char *name, const char *text, mode_t mode)
{
	char *path = xasprintf("%s/%s", home, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_int_equal(file_write_all(fd, text, strlen(text)), 0);
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
	free(path);
}

static void
drop(const char *name)
{
	char *path = xasprintf("%s/%s", home, name);

	assert_int_equal(unlink(path), 0);
	free(path);
}

static const char standard[] = "| /usr/sbin/vdelivermail '' delete\n";

/* In a new batch. */
static int
find(const char *extension, const struct absent_rule **rule_out)
{
	struct error err = { "" };
	int result;

	domain_rules_begin(rules);
	result = domain_rules_find(rules, home, extension, rule_out, &err);
	if ((result == -1) != (err.text[0] != '\0'))
		fail_msg("result %d with reason '%s'", result, err.text);
	return result;
}

static void
files_of_an_address_come_first(void **state)
{
	static const struct {
		const char *file; /* besides .qmail-default */
		const char *extension;
		int wanted;
	} rows[] = {
		{ ".qmail-u0", "u0", 0 },
		{ ".qmail-u0", "U0", 0 },
		{ ".qmail-u0", "u1", 1 },
		{ ".qmail-u0", "u0-x", 1 },
		{ ".qmail-a:b", "a.b", 0 },
		{ ".qmail-a:b", "A.B", 0 },
		{ ".qmail-a.b", "a.b", 1 },
		{ ".qmail-list-default", "list-subscribe", 0 },
		{ ".qmail-list-default", "list-a-b", 0 },
		{ ".qmail-list-default", "list-", 0 },
		{ ".qmail-list-default", "list", 1 },
		{ ".qmail-list-a-default", "list-a-b", 0 },
		{ ".qmail-list-a-default", "list-b-c", 1 },
		{ ".qmail-x", "../x", 1 },
		{ ".qmail-x", "/x", 1 },
	};
	const struct absent_rule *rule;
	size_t i;

	(void)state;
	put(".qmail-default", standard, 0600);
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		int result;

		put(rows[i].file, "", 0600);
		result = find(rows[i].extension, &rule);
		if (result != rows[i].wanted)
			fail_msg("%s for '%s': %d, wanted %d", rows[i].file,
			    rows[i].extension, result, rows[i].wanted);
		drop(rows[i].file);
	}
}

static void
a_long_address_has_no_file(void **state)
{
	const struct absent_rule *rule;
	char extension[901];

	(void)state;
	put(".qmail-default", standard, 0600);
	memset(extension, '-', sizeof(extension) - 1);
	extension[sizeof(extension) - 1] = '\0';
	assert_int_equal(find(extension, &rule), 1);
	extension[255] = '\0'; /* with .qmail- in front it is too long */
	assert_int_equal(find(extension, &rule), 1);
}

static void
changes_are_seen_in_the_next_batch(void **state)
{
	const struct absent_rule *rule;
	struct error err;

	(void)state;
	assert_int_equal(find("u0", &rule), 0); /* no file */
	put(".qmail-default", standard, 0600);
	assert_int_equal(find("u0", &rule), 1);
	assert_int_equal(rule->action, ABSENT_DELETE);
	/* Of the same size, within the same tick of the clock. */
	put(".qmail-default", "| /usr/sbin/vdelivermail '' /de/te\n", 0600);
	assert_int_equal(domain_rules_find(rules, home, "u0", &rule, &err), 1);
	assert_int_equal(find("u0", &rule), 1);
	assert_int_equal(rule->action, ABSENT_FOLDER);
	put(".qmail-default", "./Maildir/\n", 0600);
	assert_int_equal(find("u0", &rule), 0);
	put(".qmail-default", standard, 0600);
	assert_int_equal(find("u0", &rule), 1);
	drop(".qmail-default");
	assert_int_equal(find("u0", &rule), 0);
}

static void
what_others_may_write_is_not_followed(void **state)
{
	const struct absent_rule *rule;

	(void)state;
	put(".qmail-default", standard, 0602);
	assert_int_equal(find("u0", &rule), 0);
}

static void
large_files_are_not_the_standard_line(void **state)
{
	const struct absent_rule *rule;
	struct buf text;

	(void)state;
	buf_init(&text);
	buf_adds(&text, standard);
	while (text.length <= 4096)
		buf_adds(&text, "#\n");
	put(".qmail-default", text.data, 0600);
	assert_int_equal(find("u0", &rule), 0);
	buf_release(&text);
}

static void
a_missing_or_sticky_folder_tells_nothing(void **state)
{
	const struct absent_rule *rule;
	struct error err;

	(void)state;
	put(".qmail-default", standard, 0600);
	assert_int_equal(chmod(home, 01700), 0);
	assert_int_equal(find("u0", &rule), -1);
	assert_int_equal(chmod(home, 0700), 0);
	assert_int_equal(find("u0", &rule), 1);
	domain_rules_begin(rules);
	assert_int_equal(
	    domain_rules_find(rules, "/absent/folder", "u0", &rule, &err), -1);
	assert_non_null(strstr(err.text, "'/absent/folder'"));
}

/* The same judgement, with the reason, for who checks the file. */
static void
judged_as_delivered(void **state)
{
	static const struct {
		const char *text; /* NULL: no file */
		mode_t mode, folder_mode;
		int wanted;
		const char *reason;
	} rows[] = {
		{ NULL, 0, 0700, 0, "" },
		{ standard, 0600, 0700, 1, "" },
		{ standard, 0600, 01700, -1, "is sticky" },
		{ standard, 0602, 0700, 0, "others may write it; chmod o-w" },
		{ "", 0600, 0700, 0, "it is empty; write | vdelivermail" },
		{ "| vdelivermail '' x\n", 0600, 0700, 0,
		    "'x' is not an action" },
	};
	const struct absent_rule *rule;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct dotqmail_fault fault;
		struct error err = { "" };
		int result;

		if (rows[i].text != NULL)
			put(".qmail-default", rows[i].text, rows[i].mode);
		assert_int_equal(chmod(home, rows[i].folder_mode), 0);
		result = domain_rules_judge(home, &fault, &err);
		if (result != rows[i].wanted || result != find("u0", &rule) ||
		    strstr(result == -1 ? err.text : fault.reason.text,
			rows[i].reason) == NULL)
			fail_msg("%zu: %d '%s' '%s'", i, result,
			    fault.reason.text, err.text);
	}
	assert_int_equal(chmod(home, 0700), 0);
}

static void
many_domains_are_remembered_or_forgotten(void **state)
{
	const struct absent_rule *rule;
	int round, i;

	(void)state;
	put(".qmail-default", standard, 0600);
	domain_rules_begin(rules);
	for (round = 0; round < 2; round++)
		for (i = 0; i < 5000; i++) {
			char path[300];
			struct error err;

			snprintf(path, sizeof(path), "%s/%.*s", home, i % 100,
			    "/////////////////////////////////////////////////"
			    "/////////////////////////////////////////////////"
			    "/////");
			snprintf(path + strlen(path), 100, ".%.*s",
			    2 * (i / 100),
			    "/././././././././././././././././././././././././"
			    "/././././././././././././././././././././././././"
			    "./");
			assert_int_equal(
			    domain_rules_find(rules, path, "u0", &rule, &err),
			    1);
		}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    files_of_an_address_come_first, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    a_long_address_has_no_file, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    changes_are_seen_in_the_next_batch, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    what_others_may_write_is_not_followed, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    large_files_are_not_the_standard_line, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    a_missing_or_sticky_folder_tells_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    judged_as_delivered, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    many_domains_are_remembered_or_forgotten, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
