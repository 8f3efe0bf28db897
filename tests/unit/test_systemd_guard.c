/* SPDX-License-Identifier: ISC */
/* Tests of svctool/run/systemd_guard.c: the text of /proc/PID/cgroup. */
#include "svctool/run/systemd_guard.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void
units(void **state)
{
	static const struct {
		const char *name, *cgroup, *service;
		bool wanted;
	} rows[] = {
		{ "version 2", "0::/system.slice/mqmail-queue1.service\n",
		    "queue1", true },
		{ "no line end", "0::/system.slice/mqmail-queue1.service",
		    "queue1", true },
		{ "version 1",
		    "5:cpu,cpuacct:/system.slice\n"
		    "1:name=systemd:/system.slice/mqmail-queue1.service\n",
		    "queue1", true },
		{ "a listener",
		    "0::/system.slice/mqmail-qmail-smtpd.25.service\n",
		    "qmail-smtpd.25", true },
		{ "a folder below the unit's",
		    "0::/system.slice/mqmail-queue1.service/worker\n", "queue1",
		    true },
		{ "of a user's manager",
		    "0::/user.slice/user@1000.service/app.slice/"
		    "mqmail-queue1.service\n",
		    "queue1", true },
		{ "another service", "0::/system.slice/mqmail-queue1.service\n",
		    "queue2", false },
		{ "a name that goes on",
		    "0::/system.slice/mqmail-queue10.service\n", "queue1",
		    false },
		{ "below one that goes on",
		    "0::/mqmail-queue1.service2/mqmail-queue1.service\n",
		    "queue1", true },
		{ "another's unit", "0::/system.slice/daemontools.service\n",
		    "queue1", false },
		{ "none", "0::/\n", "queue1", false },
		{ "another kind of unit", "0::/mqmail-queue1.scope\n", "queue1",
		    false },
		{ "the unit's name goes on", "0::/mqmail-queue1.service2\n",
		    "queue1", false },
		{ "the name begins before", "0::/xmqmail-queue1.service\n",
		    "queue1", false },
		{ "empty", "", "queue1", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (systemd_guard_is_unit(rows[i].cgroup, rows[i].service) !=
		    rows[i].wanted)
			fail_msg("%s: wanted %d", rows[i].name, rows[i].wanted);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(units),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
