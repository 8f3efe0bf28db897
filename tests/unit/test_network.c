/* SPDX-License-Identifier: ISC */
/* control/network.c: addresses with ports; networks are test_bindings' too. */
#include "control/network.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <netdb.h>
#include <stdio.h>
#include <string.h>

static void
endpoints(void **state)
{
	static const struct {
		const char *text, *wanted; /* NULL: none */
	} rows[] = {
		{ "192.0.2.1", "192.0.2.1 25" },
		{ "192.0.2.1:628", "192.0.2.1 628" },
		{ "[192.0.2.1]:1", "192.0.2.1 1" },
		{ "2001:db8::1", "2001:db8::1 25" },
		{ "[2001:db8::1]", "2001:db8::1 25" },
		{ "[2001:db8::1]:628", "2001:db8::1 628" },
		{ "", NULL },
		{ ":25", NULL },
		{ "192.0.2.1:", NULL },
		{ "192.0.2.1:0", NULL },
		{ "192.0.2.1:65536", NULL },
		{ "192.0.2.1:x", NULL },
		{ "192.0.2.0/24", NULL },
		{ "192.0.2.0/24:25", NULL },
		{ "host.example", NULL },
		{ "host.example:25", NULL },
	};
	char host[100], port[10], got[120];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct sockaddr_storage address;

		if (!network_read_endpoint(rows[i].text, 25, &address)) {
			if (rows[i].wanted != NULL)
				fail_msg("'%s' is none", rows[i].text);
			continue;
		}
		assert_non_null(rows[i].wanted);
		assert_int_equal(
		    getnameinfo((struct sockaddr *)&address, sizeof(address),
			host, sizeof(host), port, sizeof(port),
			NI_NUMERICHOST | NI_NUMERICSERV),
		    0);
		snprintf(got, sizeof(got), "%s %s", host, port);
		assert_string_equal(got, rows[i].wanted);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(endpoints),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
