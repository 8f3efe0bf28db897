/* SPDX-License-Identifier: ISC */
/* Tests of control/wildmat.c. */
#include "control/wildmat.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

static void
patterns(void **state)
{
	static const struct {
		const char *pattern, *text;
		bool wanted;
	} rows[] = {
		{ "", "", true },
		{ "", "a", false },
		{ "a", "", false },
		{ "abc", "abc", true },
		{ "abc", "aBC", true },
		{ "ABC", "abc", true },
		{ "abc", "abcd", false },
		{ "abcd", "abc", false },
		{ "*", "", true },
		{ "*", "anything@at.all", true },
		{ "**", "x", true },
		{ "*@example.org", "a@example.org", true },
		{ "*@example.org", "a@Example.ORG", true },
		{ "*@example.org", "a@example.org.", false },
		{ "*@example.org", "example.org", false },
		{ "a*b*c", "aXbYbZc", true },
		{ "a*b*c", "aXbYbZ", false },
		{ "*ab", "aab", true },
		{ "a?c", "abc", true },
		{ "a?c", "ac", false },
		{ "?", "", false },
		{ "[abc]", "b", true },
		{ "[abc]", "B", true },
		{ "[abc]", "d", false },
		{ "[a-c]x", "cx", true },
		{ "[a-c]x", "dx", false },
		{ "[A-C]", "b", true },
		{ "[^a-c]", "d", true },
		{ "[^a-c]", "B", false },
		{ "[^a-c]", "", false },
		{ "[]]", "]", true },
		{ "[^]]", "]", false },
		{ "[^]]", "x", true },
		{ "[a-]", "-", true },
		{ "[-a]", "-", true },
		{ "[abc", "[abc", true },
		{ "[", "[", true },
		{ "[^", "[^", true },
		{ "[]", "[]", true },
		{ "\\*", "*", true },
		{ "\\*", "a", false },
		{ "\\[a]", "[a]", true },
		{ "\\", "\\", true },
		{ "*[0-9]@*", "user7@x", true },
		{ "*[0-9]@*", "user@x", false },
		{ "<>", "", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (wildmat_match(rows[i].pattern, rows[i].text) !=
		    rows[i].wanted)
			fail_msg("'%s' and '%s': wanted %d", rows[i].pattern,
			    rows[i].text, rows[i].wanted);
}

/* Would run for ages if every '*' were tried at every place. */
static void
many_stars_are_quick(void **state)
{
	char pattern[257], text[4097];

	(void)state;
	for (size_t i = 0; i < 256; i++)
		pattern[i] = i % 2 == 0 ? '*' : 'a';
	pattern[255] = 'b';
	pattern[256] = '\0';
	memset(text, 'a', 4096);
	text[4096] = '\0';
	assert_false(wildmat_match(pattern, text));
	text[4095] = 'b';
	assert_true(wildmat_match(pattern, text));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(patterns),
		cmocka_unit_test(many_stars_are_quick),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
