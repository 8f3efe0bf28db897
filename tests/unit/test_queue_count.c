/* SPDX-License-Identifier: ISC */
/* Tests of svctool/queue/count.c. */
#include "svctool/queue/count.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void
numbers(void **state)
{
	static const struct {
		const char *name;
		unsigned wanted;
	} rows[] = {
		{ "queue1", 1 },
		{ "queue20", 20 },
		{ "queue1000000", 1000000 },
		{ "queue1000001", 0 },
		{ "queue0", 0 },
		{ "queue01", 0 },
		{ "queue", 0 },
		{ "queue1x", 0 },
		{ "queue-1", 0 },
		{ "slowq", 0 },
		{ "", 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		unsigned got = queue_count_number(rows[i].name);

		if (got != rows[i].wanted)
			fail_msg("'%s': got %u, wanted %u", rows[i].name, got,
			    rows[i].wanted);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
