/* SPDX-License-Identifier: ISC */
/* Tests of svctool/run/systemd_unit.c. */
#include "svctool/run/systemd_unit.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

static void
service(void **state)
{
	static const struct {
		const char *folder;
		const char *user;
		bool is_queue;
		const char *lines[4];
	} rows[] = {
		{ "/var/mqmail/service/queue1", NULL, true,
		    { "\nWorkingDirectory=/var/mqmail/service/queue1\n",
			"\nExecStart=\"/var/mqmail/service/queue1/run\"\n",
			"\nTimeoutStopSec=120\n", "" } },
		{ "/a b/100%/it\"s", "alice", false,
		    { "\nWorkingDirectory=/a b/100%%/it\"s\n",
			"\nExecStart=\"/a b/100%%/it\\\"s/run\"\n",
			"\nTimeoutStopSec=30\n", "\nUser=alice\n" } },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf buf;

		buf_init(&buf);
		systemd_unit_service(
		    &buf, "x", rows[i].folder, rows[i].user, rows[i].is_queue);
		assert_int_equal(
		    rows[i].user != NULL, strstr(buf.data, "\nUser=") != NULL);
		for (size_t j = 0; j < 4; j++)
			if (strstr(buf.data, rows[i].lines[j]) == NULL)
				fail_msg("'%s': no '%s' in\n%s", rows[i].folder,
				    rows[i].lines[j], buf.data);
		buf_release(&buf);
	}
}

static void
target(void **state)
{
	struct buf buf;
	const char *unit;

	(void)state;
	buf_init(&buf);
	systemd_unit_target(&buf);
	systemd_unit_target_service(&buf, "queue1");
	systemd_unit_target_service(&buf, "qmail-smtpd.25");
	unit = strstr(buf.data, "\n[Unit]\n");
	assert_non_null(unit);
	assert_non_null(strstr(unit, "\nWants=mqmail-queue1.service\n"));
	assert_non_null(
	    strstr(unit, "\nWants=mqmail-qmail-smtpd.25.service\n"));
	assert_null(strchr(unit + 2, '[')); /* nothing else follows */
	buf_release(&buf);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(service),
		cmocka_unit_test(target),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
