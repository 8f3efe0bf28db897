/* SPDX-License-Identifier: ISC */
/* Tests of control/percenthack.h. */
#include "control/percenthack.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void
test_rewriting(void **state)
{
	static const struct {
		const char *address, *wanted;
	} rows[] = {
		{ "a%b.test@gate.test", "a@b.test" },
		{ "a%b.test@GATE.test", "a@b.test" },
		{ "a%b.test@other.test", "a%b.test@other.test" },
		{ "a@gate.test", "a@gate.test" },
		{ "a%b%gate.test@gate.test", "a@b" },
		{ "a%b%c@gate.test", "a%b@c" },
		{ "%b@gate.test", "@b" },
		{ "a%@gate.test", "a@" },
		{ "a@x%b@gate.test", "a@x@b" },
		{ "a%second.test%gate.test@second.test", "a@second.test" },
		{ "a%b", "a%b" },
		{ "gate.test", "gate.test" },
		{ "", "" },
	};
	char first[] = "gate.test", second[] = "second.test";
	char *names[] = { first, second, NULL };
	const struct strlist list = { .items = names, .count = 2 };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char address[100];

		snprintf(address, sizeof(address), "%s", rows[i].address);
		percenthack_apply(&list, address);
		if (strcmp(address, rows[i].wanted) != 0)
			fail_msg("'%s' became '%s', wanted '%s'",
			    rows[i].address, address, rows[i].wanted);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rewriting),
	};

	return cmocka_run_group_tests_name("percenthack", tests, NULL, NULL);
}
