/* SPDX-License-Identifier: ISC */
/* Tests of control/envrules.c. */
#include "control/envrules.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/buf.h"
#include "tests/unit/folder.h"

static int
load(
    const char *text, size_t length, struct envrules **rules, struct error *err)
{
	err->text[0] = '\0';
	folder_write("rules", text, length);
	return envrules_load(folder_path("rules"), rules, err);
}

static void
applies_every_match(void **state)
{
	static const char text[] = "# rules\n"
				   "*@example.org:A=1,B=2\n"
				   "\n"
				   "news*:QUEUEDIR=/q/slowq,\tDATABYTES=5 \n"
				   "*@example.org: B=3,  C=x\\,y\n"
				   "boss@example.org:A=,D=a=b\\c,\n"
				   ":NULL=sender\n"
				   "<>:TWICE=1\n"
				   "*.queue.test:QUEUE_BASE=/x:y";
	static const struct {
		const char *subject;
		unsigned matched;
		const char *wanted;
	} rows[] = {
		{ "a@example.org", 2, "A=1|B=3|C=x,y|" },
		{ "A@EXAMPLE.ORG", 2, "A=1|B=3|C=x,y|" },
		{ "boss@example.org", 3, "A=-|B=3|C=x,y|D=a=b\\c|" },
		{ "news@other.test", 1, "QUEUEDIR=/q/slowq|DATABYTES=5|" },
		{ "news@example.org", 3,
		    "A=1|B=3|QUEUEDIR=/q/slowq|"
		    "DATABYTES=5|C=x,y|" },
		{ "", 2, "NULL=sender|TWICE=1|" },
		{ "none@other.test", 0, "" },
		{ "a.queue.test", 1, "QUEUE_BASE=/x:y|" },
	};
	struct envrules *rules;
	struct error err;

	(void)state;
	if (load(text, sizeof(text) - 1, &rules, &err) != 1)
		fail_msg("%s", err.text);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct vars vars = VARS_INIT;
		struct buf got;
		unsigned matched;

		buf_init(&got);
		matched = envrules_apply(rules, rows[i].subject, &vars);
		for (size_t j = 0; j < vars.count; j++)
			buf_addf(&got, "%s=%s|", vars.entries[j].name,
			    vars.entries[j].value != NULL
				? vars.entries[j].value
				: "-");
		if (matched != rows[i].matched ||
		    strcmp(got.data, rows[i].wanted) != 0)
			fail_msg("'%s': got %u '%s', wanted %u '%s'",
			    rows[i].subject, matched, got.data, rows[i].matched,
			    rows[i].wanted);
		buf_release(&got);
		vars_release(&vars);
	}
	envrules_free(&rules);
	assert_null(rules);
	envrules_free(&rules);
}

static void
no_file_no_rules(void **state)
{
	struct vars vars = VARS_INIT;
	struct envrules *rules;
	struct error err;

	(void)state;
	assert_int_equal(envrules_load(folder_path("none"), &rules, &err), 0);
	assert_null(rules);
	assert_int_equal(envrules_apply(NULL, "a@b", &vars), 0);
	assert_int_equal(load("# only this\n", 12, &rules, &err), 1);
	assert_int_equal(envrules_apply(rules, "a@b", &vars), 0);
	assert_int_equal(vars.count, 0);
	envrules_free(&rules);
}

static void
bad_lines(void **state)
{
	static const struct {
		const char *text;
		size_t length; /* 0: of the text */
		const char *wanted;
	} rows[] = {
		{ "a\n", 0, "/rules:1: no ':'; write pattern:NAME=value" },
		{ "#\n\na:X=1\nb\n", 0, "/rules:4: no ':'" },
		{ "a:X\n", 0, "/rules:1: 'X' has no '='; write" },
		{ "a:\n", 0, "/rules:1: sets no variable; write" },
		{ "a:,,\n", 0, "/rules:1: sets no variable" },
		{ "a:=1\n", 0, "/rules:1: '' is not a variable's name" },
		{ "a:1X=1\n", 0, "'1X' is not a variable's name" },
		{ "a:X =1\n", 0, "'X ' is not a variable's name" },
		{ "a:X=1,b-c=2\n", 0, "'b-c' is not a variable's name" },
		{ "a:X=1\nb\0:Y=1\n", 13, "/rules:2: a NUL byte" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct envrules *rules;
		struct error err;
		int got = load(rows[i].text,
		    rows[i].length != 0 ? rows[i].length : strlen(rows[i].text),
		    &rules, &err);

		if (got != -1 || strstr(err.text, rows[i].wanted) == NULL)
			fail_msg("'%s': got %d '%s', wanted '%s'", rows[i].text,
			    got, err.text, rows[i].wanted);
		assert_null(rules);
	}
}

static void
long_line(void **state)
{
	struct envrules *rules;
	struct error err;
	char line[4098];

	(void)state;
	memset(line, 'a', sizeof(line));
	memcpy(line, "a:X=", 4);
	assert_int_equal(load(line, 4096, &rules, &err), 1);
	envrules_free(&rules);
	assert_int_equal(load(line, 4097, &rules, &err), -1);
	assert_non_null(strstr(err.text, "/rules:1: a line of 4097 bytes"));
}

static void
note_rule(unsigned line, const char *pattern, const struct vars *assignments,
    void *context)
{
	buf_addf(context, "%u %s", line, pattern);
	for (size_t i = 0; i < assignments->count; i++)
		buf_addf(context, " %s=%s", assignments->entries[i].name,
		    assignments->entries[i].value != NULL
			? assignments->entries[i].value
			: "(unset)");
	buf_addc(context, '|');
}

static void
note_fault(unsigned line, const char *reason, void *context)
{
	buf_addf(context, "%u bad %.8s|", line, reason);
}

static void
walks_behind_bad_lines(void **state)
{
	static const char text[] = "# rules\n"
				   "a:X=1,Y=\n"
				   "bad\n"
				   "<>:X=\\,\n"
				   "b:X\n"
				   "b:X=2,-=3\n"
				   "c:X=3";
	struct buf seen;
	const struct envrules_visitor visitor = { note_rule, note_fault,
		&seen };
	struct error err = { "" };

	(void)state;
	buf_init(&seen);
	folder_write("rules", text, strlen(text));
	assert_int_equal(
	    envrules_walk(folder_path("rules"), &visitor, &err), 1);
	assert_string_equal(seen.data,
	    "2 a X=1 Y=(unset)|3 bad no ':'; |4  X=,|5 bad 'X' has |"
	    "6 bad '-' is n|7 c X=3|");
	assert_int_equal(envrules_walk(folder_path("none"), &visitor, &err), 0);
	assert_int_equal(envrules_walk(folder, &visitor, &err), -1);
	assert_non_null(strstr(err.text, folder));
	buf_release(&seen);
}

/* Does a rule of this pattern apply? */
static bool
matches(const char *pattern, const char *subject)
{
	struct vars vars = VARS_INIT;
	struct envrules *rules;
	struct error err;
	char line[512];
	int length = snprintf(line, sizeof(line), "%s:A=1\n", pattern);
	bool is_match;

	if (load(line, (size_t)length, &rules, &err) != 1)
		fail_msg("'%s': %s", pattern, err.text);
	is_match = envrules_apply(rules, subject, &vars) == 1;
	vars_release(&vars);
	envrules_free(&rules);
	return is_match;
}

static void
patterns(void **state)
{
	static const struct {
		const char *pattern, *text;
		bool wanted;
	} rows[] = {
		{ "", "", true },
		{ "<>", "", true },
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
		{ "*[0-9]@*", "user7@x", true },
		{ "*[0-9]@*", "user@x", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (matches(rows[i].pattern, rows[i].text) != rows[i].wanted)
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
	assert_false(matches(pattern, text));
	text[4095] = 'b';
	assert_true(matches(pattern, text));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(patterns),
		cmocka_unit_test(many_stars_are_quick),
		cmocka_unit_test(applies_every_match),
		cmocka_unit_test(no_file_no_rules),
		cmocka_unit_test(bad_lines),
		cmocka_unit_test(long_line),
		cmocka_unit_test(walks_behind_bad_lines),
	};

	return cmocka_run_group_tests(tests, folder_setup, folder_teardown);
}
