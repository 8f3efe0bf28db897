/* SPDX-License-Identifier: ISC */
/* Tests of svctool/run/systemd_guard.c: the text of /proc/PID/cgroup. */
#include "svctool/run/systemd_guard.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#define LONG_64 \
	"0123456789012345678901234567890123456789012345678901234567890123"
#define LONG_256 LONG_64 LONG_64 LONG_64 LONG_64

static void
units(void **state)
{
	static const struct {
		const char *name, *cgroup, *wanted; /* NULL: none */
	} rows[] = {
		{ "version 2", "0::/system.slice/mqmail-queue1.service\n",
		    "queue1" },
		{ "no line end", "0::/system.slice/mqmail-queue1.service",
		    "queue1" },
		{ "version 1",
		    "5:cpu,cpuacct:/system.slice\n"
		    "1:name=systemd:/system.slice/mqmail-queue1.service\n",
		    "queue1" },
		{ "a listener",
		    "0::/system.slice/mqmail-qmail-smtpd.25.service\n",
		    "qmail-smtpd.25" },
		{ "a folder below the unit's",
		    "0::/system.slice/mqmail-queue1.service/worker\n",
		    "queue1" },
		{ "in a container, seen from outside",
		    "0::/machine.slice/x.scope/system.slice/"
		    "mqmail-queue1.service\n",
		    "queue1" },
		{ "of a user's manager",
		    "0::/user.slice/user@1000.service/app.slice/"
		    "mqmail-queue1.service\n",
		    "queue1" },
		{ "another's unit", "0::/system.slice/daemontools.service\n",
		    NULL },
		{ "none", "0::/\n", NULL },
		{ "a shell's", "0::/user.slice/session-1.scope\n", NULL },
		{ "another hierarchy", "5:cpu:/mqmail-queue1.service\n", NULL },
		{ "another's own hierarchy",
		    "5:name=systemd2:/mqmail-queue1.service\n", NULL },
		{ "no name", "0::/mqmail-.service\n", NULL },
		{ "another kind of unit", "0::/mqmail-queue1.scope\n", NULL },
		{ "the name goes on", "0::/mqmail-queue1.service2\n", NULL },
		{ "the name begins before", "0::/xmqmail-queue1.service\n",
		    NULL },
		{ "too long", "0::/mqmail-" LONG_256 ".service\n", NULL },
		{ "empty", "", NULL },
		{ "no fields", "mqmail-queue1.service\n", NULL },
		{ "one field", "0:mqmail-queue1.service\n", NULL },
		{ "no path", "0::\n", NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char name[SYSTEMD_NAME_SIZE] = "";
		bool found = systemd_guard_parse(
		    rows[i].cgroup, strlen(rows[i].cgroup), name);

		if (found != (rows[i].wanted != NULL) ||
		    (found && strcmp(name, rows[i].wanted) != 0))
			fail_msg("%s: '%s', wanted '%s'", rows[i].name,
			    found ? name : "(none)",
			    rows[i].wanted != NULL ? rows[i].wanted : "(none)");
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(units),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
