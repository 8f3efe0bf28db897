/* SPDX-License-Identifier: ISC */
/* Tests of svctool/show/report_restart.c. */
#include "svctool/show/report.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void
young(void **state)
{
	enum { NOW = 1000 };
	static const struct {
		const char *name;
		time_t since, log_since;
		pid_t pid, log_pid;
		bool is_supervised, wanted;
	} rows[] = {
		{ "old", 900, 800, 5, 6, true, false },
		{ "started with its log", 999, 999, 5, 6, true, false },
		{ "again, now", 1000, 900, 5, 6, true, true },
		{ "again, two seconds ago", 998, 900, 5, 6, true, true },
		{ "again, three seconds ago", 997, 900, 5, 6, true, false },
		{ "its log is down", 999, 999, 5, 0, true, true },
		{ "down", 999, 900, 0, 6, true, false },
		{ "no supervise", 999, 900, 5, 6, false, false },
		{ "the clock was set back", 2000, 900, 5, 6, true, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct report_service service = {
			.state = { .is_supervised = rows[i].is_supervised,
			    .pid = rows[i].pid,
			    .since = rows[i].since },
			.log_state = { .is_supervised = true,
			    .pid = rows[i].log_pid,
			    .since = rows[i].log_since },
		};

		if (report_is_young(&service, NOW) != rows[i].wanted)
			fail_msg("%s: wanted %d", rows[i].name, rows[i].wanted);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(young),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
