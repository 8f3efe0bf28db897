/* SPDX-License-Identifier: ISC */
#include "smtp/hops.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

static void
messages(void **state)
{
	static const struct {
		const char *message;
		uint64_t wanted;
	} rows[] = {
		{ "", 0 },
		{ "\nReceived: x\n", 0 },
		{ "Received: x\n", 1 },
		{ "Received:", 1 },
		{ "Received", 0 },
		{ "RECEIVED:x\ndelivered-TO: y\n\nReceived: z\n", 2 },
		{ "Received: a\n Received: b\nReceived: c\n", 2 },
		{ "Received-SPF: x\nX-Received: y\n", 0 },
		{ "Received : x\n", 0 },
		{ "D: Received: x\nDelivered-To-X: y\n", 0 },
		{ "Subject: x\nDelivered-To: y\n\n", 1 },
		{ "\rReceived: x\n", 0 },
	};
	size_t i, cut;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const char *message = rows[i].message;
		size_t length = strlen(message);

		for (cut = 0; cut <= length; cut++) {
			struct smtp_hops hops = SMTP_HOPS_INIT;

			smtp_hops_read(&hops, message, cut);
			smtp_hops_read(&hops, message + cut, length - cut);
			if (hops.count != rows[i].wanted)
				fail_msg("'%s', cut at %zu: %d, wanted %d",
				    message, cut, (int)hops.count,
				    (int)rows[i].wanted);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
