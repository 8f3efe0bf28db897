/* SPDX-License-Identifier: ISC */
/* Tests of svctool/show/report_text.c. */
#include "svctool/show/report.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <time.h>

#include "tests/unit/capture.h"
#include "tests/unit/report.h"

static char *
print(const struct report *report)
{
	struct capture capture = capture_begin(1);

	report_print_text(report);
	return capture_end(&capture);
}

static void
all_of_it(void **state)
{
	char *got = print(&a_report);

	(void)state;
	assert_string_equal(got,
	    "node /n: NOT fine, svscan pid 77\n"
	    "1 of 2 queues takes no new mail: slowq (full)\n\n"
	    "SERVICE              STATE           PID  SINCE                "
	    "LOG      LISTENS\n"
	    "queue1               up              258  1970-01-02 00:00:00  "
	    "up       \n"
	    "qmail-smtpd.25       down              0  -                    "
	    "stopped  127.0.0.1:25\n"
	    "    it is \xff down\n"
	    "    its logger was stopped\n"
	    "other                up*               0  -                    "
	    "-        \n"
	    "  * works, but not under supervise\n"
	    "\n"
	    "QUEUE      STATE       BACKLOG     NEW   RUNNING     COMMIT    "
	    "FREE DELIVERED DEFERRED FAILED  HELD\n"
	    "queue1     up               12       5      3/10      1.6ms    "
	    "1.5K        30        4      2  -\n"
	    "    3 damaged messages cannot be delivered (qmail-qread says why): "
	    "8, 9 and 1 more\n"
	    "    its journal is full, and new mail waits: see its log, and "
	    "control/journalsize\n"
	    "    1 lane of deliveries backs off: 'svctool queue ages' and its "
	    "log say why\n"
	    "slowq      full              0       0       0/0      0.0ms      "
	    "7B         0        0      0  -\n"
	    "    takes no new mail\n");
	free(got);
}

static void
nothing_runs(void **state)
{
	struct report report = { .home = a_report.home, .is_fine = true };
	char *got = print(&report);

	(void)state;
	assert_memory_equal(got, "node /n: up, svscan does not run\n\n", 34);
	assert_null(strstr(got, "not under supervise"));
	free(got);
	report.has_lost_svscan = true;
	got = print(&report);
	assert_non_null(strstr(got, "svscan does not run: "));
	assert_non_null(strstr(got, "'svctool start'"));
	free(got);
}

static void
amounts_and_holds(void **state)
{
	static const struct {
		uint64_t free_bytes;
		bool is_held_local, is_held_remote;
		const char *amount, *held;
	} rows[] = {
		{ 0, false, false, " 0B ", "  -\n" },
		{ 1023, true, false, " 1023B ", "  local\n" },
		{ 1024, false, true, " 1.0K ", "  remote\n" },
		{ 10 * 1024, true, true, " 10K ", "  all\n" },
		{ 1024 * 1024 - 1, false, false, " 1024K ", "  -\n" },
		{ UINT64_C(5) << 30, false, false, " 5.0G ", "  -\n" },
		{ UINT64_MAX, false, false, " 16E ", "  -\n" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct report_queue queue = { .name = REPORT_TEXT("q"),
			.health = { .free_bytes = rows[i].free_bytes,
			    .is_held_local = rows[i].is_held_local,
			    .is_held_remote = rows[i].is_held_remote },
			.problem = REPORT_TEXT("") };
		const struct report report = { .home = a_report.home,
			.queues = &queue,
			.queue_count = 1 };
		char *got = print(&report);

		if (strstr(got, rows[i].amount) == NULL ||
		    strstr(got, rows[i].held) == NULL)
			fail_msg("row %zu: got '%s'", i, got);
		free(got);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_of_it),
		cmocka_unit_test(nothing_runs),
		cmocka_unit_test(amounts_and_holds),
	};

	setenv("TZ", "UTC", 1);
	tzset();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
