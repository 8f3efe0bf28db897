/* SPDX-License-Identifier: ISC */
/* Tests of smtp/author.c. */
#include "smtp/author.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"

static void
lists(void **state)
{
	static const struct {
		const char *list, *wanted; /* "!": no such list from there on */
	} rows[] = {
		{ "", "" },
		{ " \n\t", "" },
		{ "a@b", "a@b " },
		{ " a@b ", "a@b " },
		{ "a@b.test, c@d", "a@b.test c@d " },
		{ "a @ b", "a@b " },
		{ "<a@b>", "a@b " },
		{ "A. Lice <a@b>", "a@b " },
		{ "\"L, ice\" <a@b>", "a@b " },
		{ "\"c@d\" <a@b>", "a@b " },
		{ "\"c\\\"@d\" x <a@b>\n (e@f)", "a@b " },
		{ "(c@d) a@b (e(f)@g)", "a@b " },
		{ "\"a b\"@c", "a b@c " },
		{ "\"a@b\"@c", "a@b@c " },
		{ "a@[192.0.2.1]", "a@[192.0.2.1] " },
		{ "group: a@b, <c@d>;", "a@b c@d " },
		{ "nobody:;", "" },
		{ ",,a@b,,", "a@b " },
		{ "=?utf-8?q?x=40y?= <a@b>", "a@b " },
		{ "\xc3\xa4@b", "\xc3\xa4@b " },
		/* What one reader takes for one, and another for two. */
		{ "a", "!" },
		{ "\"a@b\"", "!" },
		{ "a b@c", "!" },
		{ "a (x) b@c", "!" },
		{ "a@b c", "!" },
		{ "a@b c@d", "!" },
		{ "a@b <c@d>", "!" },
		{ "<a@b> c", "!" },
		{ "<a@b> <c@d>", "!" },
		{ "<a@b", "!" },
		{ "a@b>", "!" },
		{ "<<a@b>>", "!" },
		{ "<>", "!" },
		{ "< >, a@b", "!" },
		{ "<@r,@s:a@b>", "!" },
		{ "<a@b, c@d>", "!" },
		{ "@b", "!" },
		{ "a@", "!" },
		{ "a@@b", "!" },
		{ "a@b@c", "!" },
		{ "a@\"b\"", "!" },
		{ "a[b]@c", "!" },
		{ "a@b[c]", "!" },
		{ "\"a@b", "!" },
		{ "(a@b", "!" },
		{ "a@[b", "!" },
		{ "a@b\r", "!" },
		{ "\\a@b", "!" },
		{ "a@b, c@d e", "a@b !" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *at = rows[i].list, *end = at + strlen(at);
		AUTO(buf_release) struct buf address = BUF_INIT;
		AUTO(buf_release) struct buf got = BUF_INIT;
		int found;

		buf_adds(&got, "");
		while ((found = author_next(&at, end, &address)) == 1)
			buf_addf(&got, "%s ", address.data);
		if (found == -1)
			buf_addc(&got, '!');
		if (strcmp(got.data, rows[i].wanted) != 0)
			fail_msg("'%s': got '%s', wanted '%s'", rows[i].list,
			    got.data, rows[i].wanted);
	}
}

/* What is open in one field does not go on in the next. */
static void
fields_are_apart(void **state)
{
	static const char *const lists[] = { "\"x\\\0\" <a@b>", "\"x\0\" <a@b>",
		"(x\0) a@b", "(x\\\0) a@b", "<x@y\0>", "x\0a@b" };
	static const size_t lengths[] = { 10, 10, 8, 9, 6, 5 };
	static const char good[] = "a@b\0<c@d>";
	AUTO(buf_release) struct buf address = BUF_INIT;
	const char *at;

	(void)state;
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		at = lists[i];
		assert_int_equal(
		    author_next(&at, lists[i] + lengths[i], &address), -1);
	}
	at = good;
	assert_int_equal(
	    author_next(&at, good + sizeof(good) - 1, &address), 1);
	assert_string_equal(address.data, "a@b");
	assert_int_equal(
	    author_next(&at, good + sizeof(good) - 1, &address), 1);
	assert_string_equal(address.data, "c@d");
	assert_int_equal(
	    author_next(&at, good + sizeof(good) - 1, &address), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lists),
		cmocka_unit_test(fields_are_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
