/* SPDX-License-Identifier: ISC */
#include "delivery/header.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

static void
fields(void **state)
{
	static const char text[] = "From first@x\nSubject:  one\r\n  two \n"
				   "not a field\n more of it\nX-A : b\n"
				   "subject: three\n\nSubject: body\n";
	struct header header;
	const char *value;

	(void)state;
	header_read(&header, text, strlen(text));
	value = header_get(&header, "SUBJECT");
	assert_string_equal(value, "one  two");
	value = header_next(&header, "Subject", value);
	assert_string_equal(value, "three");
	assert_null(header_next(&header, "Subject", value));
	assert_string_equal(header_get(&header, "X-A"), "b");
	assert_null(header_get(&header, "From"));
	header_release(&header);
	header_read(&header, "a:b", 3);
	assert_string_equal(header_get(&header, "A"), "b");
	header_release(&header);
	header_read(&header, "", 0);
	assert_null(header_get(&header, "A"));
	header_release(&header);
}

static void
addresses(void **state)
{
	static const char text[] = "To: \"Bob\" <bob@example.net>, jacob@x.y\n";
	static const struct {
		const char *address;
		bool is_named;
	} rows[] = {
		{ "bob@example.net", true },
		{ "BOB@Example.net", true },
		{ "cob@x.y", false },
		{ "jacob@x", false },
		{ "jacob@x.y", true },
		{ "", false },
	};
	struct header header;

	(void)state;
	header_read(&header, text, strlen(text));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(header_names(&header, "To", rows[i].address),
		    rows[i].is_named);
	header_release(&header);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields),
		cmocka_unit_test(addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
