/* SPDX-License-Identifier: ISC */
/* Tests of queue/send_message.c: which messages are taken into memory. */
#include "queue/send.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void
room(void **state)
{
	static const struct {
		const char *name;
		size_t count, bytes;
		bool wanted;
	} rows[] = {
		{ "empty", 0, 0, true },
		{ "some", 9, 999, true },
		{ "as many as may be", 10, 0, false },
		{ "as large as may be", 1, 1000, false },
		{ "larger", 9, 5000, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct send send = { .kept_count = rows[i].count,
			.kept_max = 10,
			.kept_bytes = rows[i].bytes,
			.kept_bytes_max = 1000 };

		if (message_has_room(&send) != rows[i].wanted)
			fail_msg("%s", rows[i].name);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
