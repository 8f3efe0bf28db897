/* SPDX-License-Identifier: ISC */
/* Tests of adminsrv/server/command.c, words.c and rights.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "adminsrv/server/command.h"
#include "adminsrv/server/rights.h"
#include "adminsrv/server/session.h"
#include "adminsrv/server/words.h"
#include "base/mem.h"

static void
words(void **state)
{
	static const struct {
		const char *line, *joined; /* joined NULL: refused */
	} rows[] = {
		{ "", "" },
		{ "  a\tb  c ", "a b c" },
		{ "'a b' \"c d\"", "\"a b\" \"c d\"" },
		{ "a\\ b", "\"a b\"" },
		{ "'a\\b'", "\"a\\\\b\"" },
		{ "\"a\\\"b\\c\"", "\"a\\\"b\\\\c\"" },
		{ "a'b'\"c\"d", "abcd" },
		{ "'' \"\"", "\"\" \"\"" },
		{ "a;b $(c) `d` | e > f & *", "a;b $(c) `d` | e > f & *" },
		{ "'a", NULL },
		{ "\"a\\\"", NULL },
		{ "a\\", NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		AUTO(strlist_release) struct strlist list = { .count = 0 };
		AUTO(strlist_release) struct strlist again = { .count = 0 };
		AUTO(buf_release) struct buf line = BUF_INIT;
		struct error err;
		int result = words_split(rows[i].line, &list, &err);

		if ((result == 0) != (rows[i].joined != NULL))
			fail_msg("row %zu: %d", i, result);
		if (result == -1)
			continue;
		buf_init(&line);
		if (list.count > 0)
			words_join(&line, list.items);
		assert_string_equal(line.data, rows[i].joined);
		assert_int_equal(words_split(line.data, &again, &err), 0);
		assert_int_equal(again.count, list.count);
		for (size_t j = 0; j < list.count; j++)
			assert_string_equal(again.items[j], list.items[j]);
	}
}

/* A line of words, of which the first is the program. */
static const struct command *
split_command(const char *line, struct strlist *list)
{
	struct error err;

	assert_int_equal(words_split(line, list, &err), 0);
	return command_at(command_find(list->items[0]));
}

static void
masked_and_changing(void **state)
{
	static const struct {
		const char *line, *masked;
		bool is_change;
	} rows[] = {
		{ "vadduser a@b.test secret", "a@b.test ***", true },
		{ "vadduser -c x -q 1 a@b.test secret more",
		    "-c x -q 1 a@b.test *** ***", true },
		{ "vadduser a@b.test -- -secret", "a@b.test -- ***", true },
		{ "vpasswd a@b.test -e secret", "a@b.test -e ***", true },
		{ "vmoduser -P secret a@b.test", "-P *** a@b.test", true },
		{ "vmoduser -dPsecret a@b.test", "-dP*** a@b.test", true },
		{ "mgmtpass -u root -psecret", "-u root -p***", true },
		{ "mgmtpass -l", "-l", false },
		{ "vadddomain b.test secret", "b.test ***", true },
		{ "valias -s b.test", "-s b.test", false },
		{ "valias -si line a@b.test", "-si line a@b.test", true },
		{ "vlimit -s b.test", "-s b.test", false },
		{ "vlimit b.test", "b.test", false },
		{ "vlimit -Q 5 b.test", "-Q 5 b.test", true },
		{ "svctool status --json", "status --json", false },
		{ "svctool queue list", "queue list", false },
		{ "svctool --json queue delete 5", "--json queue delete 5",
		    true },
		{ "svctool cluster revoke x", "cluster revoke x", true },
		{ "svctool", "", true },
		{ "crc x", "x", true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		AUTO(strlist_release) struct strlist list = { .count = 0 };
		AUTO(buf_release) struct buf line = BUF_INIT;
		const struct command *command = split_command(
		    rows[i].line, &list);

		buf_init(&line);
		command_mask(command, list.items, &line);
		assert_string_equal(line.data, rows[i].masked);
		if (command_is_change(command, list.items) != rows[i].is_change)
			fail_msg("row %zu: %s", i, rows[i].line);
	}
}

static void
limited(void **state)
{
	static const struct {
		const char *line;
		bool may;
	} rows[] = {
		{ "vadduser a@a.test", true },
		{ "vadduser a@A.TEST x", true },
		{ "vadduser a@b.test", false },
		{ "vadduser -c a@a.test a@b.test", false },
		{ "vadduser -q", false },
		{ "vadduser -B /x a@a.test", false },
		{ "vadduser -nB/x a@a.test", false },
		{ "vadduser --fi=/x a@a.test", false },
		{ "vadduser --file /x", false },
		{ "vuserinfo -D a.test", true },
		{ "vuserinfo -Db.test a@a.test", false },
		{ "vuserinfo -gDb.test", false },
		{ "vuserinfo --json a@a.test", true },
		{ "vdominfo @a.test", true },
		{ "vdominfo", false },
		{ "vdominfo a.test -: b.test", false },
		{ "valias -i &x@c.test a@a.test", true },
		{ "valias -i x@c.test a@a.test", true },
		{ "valias -i |id a@a.test", false },
		{ "valias -i &|id a@a.test", false },
		{ "valias -i '& |id' a@a.test", false },
		{ "valias -i /x a@a.test", false },
		{ "valias -i ./x/ a@a.test", false },
		{ "valias -s a@a.test a@b.test", true }, /* valias refuses */
		{ "vrenameuser a@a.test b@a.test", true },
		{ "vrenameuser a@a.test b@b.test", false },
		{ "svctool log --address x@a.test --json", true },
		{ "svctool log --address x@b.test", false },
		{ "svctool log --address", false },
		{ "svctool log --json", false },
		{ "svctool status --address x@a.test", false },
		{ "vadddomain a.test", false },
		{ "vpriv -s", false },
	};
	AUTO(strlist_release) struct strlist domains = { .count = 0 };

	(void)state;
	strlist_add(&domains, "a.test");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		AUTO(strlist_release) struct strlist list = { .count = 0 };
		struct error err;
		const struct command *command = split_command(
		    rows[i].line, &list);

		if ((command_check_limited(
			 command, list.items, &domains, &err) == 0) !=
		    rows[i].may)
			fail_msg("row %zu: %s", i, rows[i].line);
	}
}

static void
rights(void **state)
{
	static const struct {
		const char *pattern, *line;
		bool may;
	} rows[] = {
		{ "*", "vuserinfo a@a.test", true },
		{ "a@a.test", "vuserinfo a@a.test", true },
		{ "*@a.test", "vuserinfo -n a@a.test", true },
		{ "*@a.test", "vuserinfo a@b.test", false },
		{ "a b", "vuserinfo 'a b'", false },
		{ "*", "vdominfo", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		AUTO(strlist_release) struct strlist list = { .count = 0 };
		AUTO(admin_release) struct admin admin = { .name = NULL };
		struct error err;
		const struct command *command = split_command(
		    rows[i].line, &list);

		admin_add_right(&admin, "vuserinfo", rows[i].pattern);
		if (admin_may(&admin, command, list.items, &err) != rows[i].may)
			fail_msg("row %zu: %s", i, rows[i].line);
	}
}

static void
expressions(void **state)
{
	AUTO(strlist_release) struct strlist list = { .count = 0 };
	AUTO(admin_release) struct admin admin = { .name = NULL };
	struct error err;
	const struct command *command = split_command(
	    "vuserinfo -n a@a.test", &list);

	(void)state;
	admin_add_right(&admin, "vuserinfo", "a@a\\.test|-n a@.*");
	assert_false(admin_may(&admin, command, list.items, &err));
	setenv("QREGEX", "1", 1);
	assert_true(admin_may(&admin, command, list.items, &err));
	free(admin.rights[0].pattern);
	admin.rights[0].pattern = xstrdup("a@a");
	assert_false(admin_may(&admin, command, list.items, &err));
	free(admin.rights[0].pattern);
	admin.rights[0].pattern = xstrdup("(");
	assert_false(admin_may(&admin, command, list.items, &err));
	unsetenv("QREGEX");
}

/* The numbers are IndiMail's. */
static void
numbers(void **state)
{
	(void)state;
	assert_int_equal(command_find("vadduser"), 0);
	assert_int_equal(command_find("/usr/bin/vdominfo"), 25);
	assert_int_equal(command_find("vpriv"), 28);
	assert_int_equal(command_find("svctool"), COMMAND_SVCTOOL);
	assert_int_equal(command_find("updatefile"), 43);
	assert_int_equal(command_find("sh"), COMMAND_NONE);
	assert_null(command_at(-1));
	assert_null(command_at(COMMAND_COUNT));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words),
		cmocka_unit_test(masked_and_changing),
		cmocka_unit_test(limited),
		cmocka_unit_test(rights),
		cmocka_unit_test(expressions),
		cmocka_unit_test(numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
