/* SPDX-License-Identifier: ISC */
/* Tests of svctool/check/find.c. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "svctool/check/check.h"
#include <jansson.h>
#include "tests/unit/capture.h"

static char root[] = "/home";
static struct home home = { .root = root };
static const struct node node = { .home = &home };

static void
takes_reasons_apart(void **state)
{
	static const struct {
		const char *reason, *remedy;
		const char *file;
		unsigned line;
		const char *text, *wanted_remedy;
	} rows[] = {
		{ "/c/me:3: 'a b' is no name; write b", NULL, "/c/me", 3,
		    "'a b' is no name", "write b" },
		{ "/c/me:3: 'a; b' is no name; write b", NULL, "/c/me", 3,
		    "'a; b' is no name", "write b" },
		{ "/c/me:3: no; yes", "do it", "/c/me", 3, "no; yes", "do it" },
		{ "/c/a:b/me: is empty", "write it", "/c/a:b/me", 0, "is empty",
		    "write it" },
		{ "/c/me:99999999999: big", "x", "/c/me:99999999999", 0, "big",
		    "x" },
		{ "cannot open '/c/me': no", "x", "/c/me", 0,
		    "cannot open '/c/me': no", "x" },
		{ "cannot open 'me': no", "x", "/home", 0,
		    "cannot open 'me': no", "x" },
		{ "nothing", NULL, "/home", 0, "nothing",
		    "mend that, then check again" },
		{ "/c/\x1b[2J:1: \x07\n; y", NULL, "/c/?[2J", 1, "??", "y" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct check check = { .node = &node };
		const struct check_finding *got;

		check_reason(
		    &check, CHECK_ERROR, rows[i].reason, rows[i].remedy);
		assert_int_equal(check.count, 1);
		assert_int_equal(check.errors, 1);
		got = &check.findings[0];
		if (strcmp(got->file, rows[i].file) != 0 ||
		    got->line != rows[i].line ||
		    strcmp(got->text, rows[i].text) != 0 ||
		    strcmp(got->remedy, rows[i].wanted_remedy) != 0)
			fail_msg("%s: got '%s' %u '%s' '%s'", rows[i].reason,
			    got->file, got->line, got->text, got->remedy);
		check_release(&check);
	}
}

static void
keeps_the_same_once(void **state)
{
	struct check check = { .node = &node };

	(void)state;
	check_find(&check, CHECK_ERROR, "/a", 1, "bad %d", 1);
	check_remedy(&check, "mend %s", "a");
	check_find(&check, CHECK_WARNING, "/b", 0, "odd");
	check_remedy(&check, "look");
	/* The same again: neither it nor its remedy changes anything. */
	check_find(&check, CHECK_ERROR, "/a", 1, "bad 1");
	check_remedy(&check, "something else");
	check_find(&check, CHECK_ERROR, "/a", 2, "bad 1");
	check_remedy(&check, "mend it too");
	assert_int_equal(check.count, 3);
	assert_int_equal(check.errors, 2);
	assert_int_equal(check.warnings, 1);
	assert_string_equal(check.findings[0].remedy, "mend a");
	assert_string_equal(check.findings[1].remedy, "look");
	assert_string_equal(check.findings[2].remedy, "mend it too");
	check_release(&check);
	assert_int_equal(check.count, 0);
}

static void
sums_a_crowd_up(void **state)
{
	static const struct {
		unsigned long met;
		size_t kept; /* with the sum */
	} rows[] = { { 0, 0 }, { 1, 1 }, { CHECK_CROWD_MAX, CHECK_CROWD_MAX },
		{ CHECK_CROWD_MAX + 7, CHECK_CROWD_MAX + 1 } };

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct check check = { .node = &node };
		struct check_crowd crowd = { 0 };

		for (unsigned j = 0; j < rows[i].met; j++)
			if (check_crowd_has_room(&crowd))
				check_find(
				    &check, CHECK_ERROR, "/a", j + 1, "bad");
		check_crowd_end(&check, &crowd, "/a", "mend");
		assert_int_equal(check.count, rows[i].kept);
		check_release(&check);
	}
}

static void
expect(const struct check *check, const char *wanted)
{
	struct capture capture = capture_begin(1);
	json_t *json;
	char *text;

	check_print_json(check);
	text = capture_end(&capture);
	json = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	if (json == NULL)
		fail_msg("no JSON: '%s'", text);
	free(text);
	text = json_dumps(json, JSON_COMPACT);
	assert_string_equal(text, wanted);
	free(text);
	json_decref(json);
}

static void
findings(void **state)
{
	struct check check = { .node = NULL };

	(void)state;
	expect(&check, "[]");
	check_find(&check, CHECK_ERROR, "/f", 7, "text \"%s\"", "x");
	check_remedy(&check, "do it");
	check_find(&check, CHECK_WARNING, "/g", 0, "no line");
	expect(&check,
	    "[{\"severity\":\"error\",\"file\":\"/f\",\"line\":7,\"text\":"
	    "\"text \\\"x\\\"\",\"remedy\":\"do it\"},{\"severity\":"
	    "\"warning\",\"file\":\"/g\",\"line\":null,\"text\":\"no line\","
	    "\"remedy\":\"\"}]");
	check_release(&check);
}

/* A file's name may hold any byte; the other findings must be shown too. */
static void
names_that_are_no_utf8(void **state)
{
	struct check check = { .node = NULL };

	(void)state;
	check_find(&check, CHECK_ERROR, "/\xff", 0, "\xfe\n");
	check_remedy(&check, "rm '\xff'");
	check_find(&check, CHECK_ERROR, "/\xc3\xa4", 0, "t");
	expect(&check,
	    "[{\"severity\":\"error\",\"file\":\"/\xef\xbf\xbd\",\"line\":"
	    "null,\"text\":\"\xef\xbf\xbd?\",\"remedy\":\"rm '\xef\xbf\xbd'\"},"
	    "{\"severity\":\"error\",\"file\":\"/\xc3\xa4\",\"line\":null,"
	    "\"text\":\"t\",\"remedy\":\"\"}]");
	check_release(&check);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_reasons_apart),
		cmocka_unit_test(keeps_the_same_once),
		cmocka_unit_test(sums_a_crowd_up),
		cmocka_unit_test(findings),
		cmocka_unit_test(names_that_are_no_utf8),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
