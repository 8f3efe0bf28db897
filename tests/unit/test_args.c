/* SPDX-License-Identifier: ISC */
/* Tests of svctool/args.c. */
#include "svctool/args.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>

enum { WORDS_MAX = 8 };

/* What a row gives, as one text: flag text number list|list words. */
static void
parse(const char *const words[WORDS_MAX], char *out, size_t size)
{
	bool flag = false;
	const char *text = "-";
	unsigned number = 7;
	struct strlist list = { .count = 0 };
	const struct arg_row rows[] = {
		{ "flag", ARG_FLAG, &flag },
		{ "text", ARG_TEXT, &text },
		{ "number", ARG_NUMBER, &number },
		{ "list", ARG_LIST, &list },
		{ NULL, ARG_FLAG, NULL },
	};
	char *argv[WORDS_MAX], *copies[WORDS_MAX];
	int argc = 0, count;
	struct error err;
	size_t n;

	for (; argc < WORDS_MAX && words[argc] != NULL; argc++)
		argv[argc] = copies[argc] = strdup(words[argc]);
	if (args_parse(rows, argc, argv, &count, &err) == -1)
		snprintf(out, size, "%s", err.text);
	else {
		n = (size_t)snprintf(
		    out, size, "%d %s %u ", flag, text, number);
		for (size_t i = 0; i < list.count; i++)
			n += (size_t)snprintf(
			    out + n, size - n, "%s|", list.items[i]);
		for (int i = 0; i < count; i++)
			n += (size_t)snprintf(
			    out + n, size - n, " %s", argv[i]);
	}
	strlist_release(&list);
	for (int i = 0; i < argc; i++)
		free(copies[i]);
}

static void
rows(void **state)
{
	static const struct {
		const char *name;
		const char *words[WORDS_MAX];
		const char *wanted;
	} cases[] = {
		{ "nothing", { NULL }, "0 - 7 " },
		{ "flag", { "--flag" }, "1 - 7 " },
		{ "text behind", { "--text", "a b" }, "0 a b 7 " },
		{ "text with =", { "--text=a=b" }, "0 a=b 7 " },
		{ "empty text", { "--text=" }, "0  7 " },
		{ "number", { "--number", "12" }, "0 - 12 " },
		{ "list", { "--list", "a,b", "--list=c" }, "0 - 7 a|b|c|" },
		{ "list with holes", { "--list", ",a,,b," }, "0 - 7 a|b|" },
		{ "words between", { "x", "--flag", "y" }, "1 - 7  x y" },
		{ "words only", { "--", "--flag" }, "0 - 7  --flag" },
		{ "value like option", { "--text", "--flag" }, "0 --flag 7 " },
		{ "unknown", { "--fla" }, "unknown option '--fla'" },
		{ "unknown long", { "--flags" }, "unknown option '--flags'" },
		{ "short", { "-f" }, "unknown option '-f'" },
		{ "no value", { "--text" }, "--text needs a value" },
		{ "flag with value", { "--flag=1" }, "--flag takes no value" },
		{ "bad number", { "--number", "x1" },
		    "--number needs a number, not 'x1'" },
		{ "negative", { "--number=-1" },
		    "--number needs a number, not '-1'" },
		{ "too large", { "--number=4294967296" },
		    "--number needs a number, not '4294967296'" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char got[1024];

		parse(cases[i].words, got, sizeof(got));
		if (strcmp(got, cases[i].wanted) != 0)
			fail_msg("%s: got '%s', wanted '%s'", cases[i].name,
			    got, cases[i].wanted);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
