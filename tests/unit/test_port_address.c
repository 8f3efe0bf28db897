/* SPDX-License-Identifier: ISC */
/* Tests of control/port_address.c. */
#include "control/port_address.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

static void
parse_port_address(void **state)
{
	static const struct {
		const char *text;
		const char *wanted; /* IP PORT, or NULL: refused */
	} rows[] = {
		{ "25", "192.0.2.1 25" },
		{ "127.0.0.1:2525", "127.0.0.1 2525" },
		{ "0:25", "0.0.0.0 25" },
		{ ":25", "0.0.0.0 25" },
		{ "[::1]:587", "::1 587" },
		{ "::1:587", "::1 587" },
		{ "65535", "192.0.2.1 65535" },
		{ "65536", NULL },
		{ "0", NULL },
		{ "", NULL },
		{ "smtp", NULL },
		{ "127.0.0.1:", NULL },
		{ "127.0.0.1:25x", NULL },
		{ "localhost:25", NULL },
		{ "127.0.0.1.1:25", NULL },
		{ "1111111111111111111111111111111111111111111111111111111111"
		  "1111111111111111111111111111:25",
		    NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct port_address address;
		struct error err;
		char got[128];
		int result = port_parse(
		    rows[i].text, "192.0.2.1", &address, &err);

		if (rows[i].wanted == NULL) {
			if (result != -1)
				fail_msg("'%s' was taken", rows[i].text);
			continue;
		}
		if (result == -1)
			fail_msg("'%s': %s", rows[i].text, err.text);
		snprintf(got, sizeof(got), "%s %u", address.ip, address.port);
		if (strcmp(got, rows[i].wanted) != 0)
			fail_msg("'%s': got '%s', wanted '%s'", rows[i].text,
			    got, rows[i].wanted);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parse_port_address),
	};

	return cmocka_run_group_tests_name("port_address", tests, NULL, NULL);
}
