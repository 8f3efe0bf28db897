/* SPDX-License-Identifier: ISC */
/* Tests of queue/remembered.c. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "queue/remembered.h"

#define BYTES(text) text, sizeof(text) - 1

/* "OFFSET mark address;" for each recipient, then "end" or the reason. */
static char *
read_list(const char *bytes, size_t length)
{
	/* Of just that size, for the address sanitizer. */
	char *list = xmalloc(length > 0 ? length : 1);
	struct buf text = BUF_INIT;
	struct remembered recipient;
	struct error err;
	size_t at = 0;
	int result;

	memcpy(list, bytes, length);
	while ((result = remembered_next(
		    list, length, &at, &recipient, &err)) == 1)
		buf_addf(&text, "%zu %s %s;", recipient.offset,
		    recipient.is_done ? "done" : "to do", recipient.address);
	buf_adds(&text, result == 0 ? "end" : err.text);
	free(list);
	return text.data;
}

static void
lists_of_recipients(void **state)
{
	static const struct {
		const char *bytes;
		size_t length;
		const char *wanted;
	} rows[] = {
		{ BYTES("Ta@b\0"), "0 to do a@b;end" },
		{ BYTES("Da@b\0Tc@d\0De\0"),
		    "0 done a@b;5 to do c@d;10 done e;end" },
		{ BYTES("T\0D\0"), "0 to do ;2 done ;end" },
		{ BYTES(""), "is not complete" },
		{ BYTES("T"), "is not complete" },
		{ BYTES("Ta@b\0Tc"), "is not complete" },
		{ BYTES("\0"), "unknown record type 0" },
		{ BYTES("Ta@b\0\0"), "0 to do a@b;unknown record type 0" },
		{ BYTES("Ta@b\0xTc@d\0"),
		    "0 to do a@b;unknown record type 120" },
		{ BYTES("\377a\0"), "unknown record type 255" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *got = read_list(rows[i].bytes, rows[i].length);

		if (strcmp(got, rows[i].wanted) != 0)
			fail_msg("row %zu: got '%s', wanted '%s'", i, got,
			    rows[i].wanted);
		free(got);
	}
}

static void
fields_of_info(void **state)
{
	static const struct {
		const char *bytes;
		size_t length;
		char type;
		const char *wanted; /* NULL: none */
	} rows[] = {
		{ BYTES("Fa@b\0"), 'F', "a@b" },
		{ BYTES("F\0"), 'F', "" },
		{ BYTES("Fa@b\0HX: y\n\0"), 'F', "a@b" },
		{ BYTES("Fa@b\0HX: y\n\0"), 'H', "X: y\n" },
		{ BYTES("Fa@b\0Fc@d\0"), 'F', "a@b" },
		{ BYTES("Fa@b\0"), 'H', NULL },
		{ BYTES("xF\0\0F\0"), 'F', "" },
		{ BYTES("Fa@b\0HX: y"), 'F', NULL },
		{ BYTES("Fa@b"), 'F', NULL },
		{ BYTES("F"), 'F', NULL },
		{ BYTES("\0"), 'F', NULL },
		{ BYTES(""), 'F', NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *got = remembered_field(
		    rows[i].bytes, rows[i].length, rows[i].type);
		const char *wanted = rows[i].wanted;

		if ((got == NULL) != (wanted == NULL) ||
		    (got != NULL && strcmp(got, wanted) != 0))
			fail_msg("row %zu: got '%s', wanted '%s'", i,
			    got == NULL ? "none" : got,
			    wanted == NULL ? "none" : wanted);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lists_of_recipients),
		cmocka_unit_test(fields_of_info),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
