/* SPDX-License-Identifier: ISC */
/* Tests of svctool/check/spelling.c. */
#include "svctool/check/variable.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

static void
names(void **state)
{
	static const struct {
		const char *name;
		const char *wanted; /* NULL: no misspelling */
	} rows[] = {
		{ "QUEUE_COUNT", NULL },
		{ "MQMAIL_USER", NULL },
		{ "QUEUE_CUONT", "QUEUE_COUNT" },
		{ "QUEUECOUNT", "QUEUE_COUNT" },
		{ "DATABYTE", "DATABYTES" },
		{ "MQMAILUSER", "MQMAIL_USER" },
		{ "queue_count", NULL },
		{ "MY_FILTER_DIR", NULL },
		{ "ASAN_OPTIONS", NULL },
		{ "PATH", NULL },
		{ "HOME", NULL },
		{ "LC_ALL", NULL },
		{ "LD_LIBRARY_PATH", NULL },
		{ "A_NAME_THAT_IS_LONGER_THAN_ALL_THAT_ARE_KNOWN", NULL },
		{ "", NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *got = check_spelling(rows[i].name);

		if ((got == NULL) != (rows[i].wanted == NULL) ||
		    (got != NULL && strcmp(got, rows[i].wanted) != 0))
			fail_msg("'%s': got '%s'", rows[i].name,
			    got != NULL ? got : "none");
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
