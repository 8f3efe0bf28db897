/* SPDX-License-Identifier: ISC */
#include "delivery/forward.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

/* The same question, the same UUID; any other, another one. */
static void
uuids(void **state)
{
	const char *const one[] = { "a@b" }, *const two[] = { "a@c" };
	struct uuid message, first, second;
	struct forward forward = { .of = &message,
		.for_whom = "alice@x",
		.purpose = "forward",
		.sender = "s@t",
		.recipients = one,
		.recipient_count = 1 };

	(void)state;
	uuid_make(&message);
	forward_uuid(&forward, &first);
	forward_uuid(&forward, &second);
	assert_true(uuid_is_equal(&first, &second));
	assert_false(uuid_is_equal(&first, &message));
	assert_int_equal(uuid_time_ms(&first), uuid_time_ms(&message));
	forward.recipients = two;
	forward_uuid(&forward, &second);
	assert_false(uuid_is_equal(&first, &second));
	forward.recipients = one;
	forward.for_whom = "bob@x";
	forward_uuid(&forward, &second);
	assert_false(uuid_is_equal(&first, &second));
	forward.for_whom = "alice@x";
	forward.purpose = "answer";
	forward_uuid(&forward, &second);
	assert_false(uuid_is_equal(&first, &second));
	message = (struct uuid){ { 0 } };
	forward_uuid(&forward, &first);
	forward_uuid(&forward, &second);
	assert_false(uuid_is_equal(&first, &second));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(uuids),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
