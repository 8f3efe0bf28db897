/* SPDX-License-Identifier: ISC */
#include "delivery/filter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

/* Numbers are stored in files and tables: they stay. */
static void
numbers(void **state)
{
	static const struct {
		int number;
		const char *name;
	} headers[] = { { 0, "Return-Path" }, { 1, "From" }, { 2, "Subject" },
		{ 3, "To" }, { 4, "Cc" }, { 10, "Message-ID" },
		{ 17, "List-Id" }, { 45, "Original-Recipient" },
		{ 62, "X-Spam-Flag" }, { 43, "Disposition-Notification-To" } };

	(void)state;
	for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++)
		assert_string_equal(
		    filter_header_name(headers[i].number), headers[i].name);
	assert_null(filter_header_name(65));
	assert_null(filter_header_name(-1));
	assert_int_equal(FILTER_NOT_TO_ME, 6);
	assert_int_equal(FILTER_REGEX, 8);
	assert_string_equal(filter_comparison_name(1), "Contains");
	assert_null(filter_comparison_name(9));
}

static void
which_filter(void **state)
{
	static const char text[] =
	    "To: x@example.test,\n alice@example.test\n"
	    "Subject: one\nSubject: two\n"
	    "X-Spam-Level: -3.5 of 9\n\nSubject: three\n";
	static const struct {
		int header, comparison;
		const char *keyword;
		bool is_met;
	} rows[] = {
		{ 2, FILTER_EQUALS, "TWO", true },
		{ 2, FILTER_EQUALS, "three", false },
		{ 2, FILTER_CONTAINS, "", false },
		{ 2, FILTER_CONTAINS_NOT, "two", false },
		{ 2, FILTER_CONTAINS_NOT, "three", true },
		{ 3, FILTER_ENDS, "alice@example.test", true },
		{ 0, FILTER_STARTS, "s@", true },
		{ 63, FILTER_NUMBER, "%p < -3", true },
		{ 63, FILTER_NUMBER, "= -3.5", true },
		{ 63, FILTER_NUMBER, "%p != -3.5", false },
		{ 63, FILTER_NUMBER, "%p", false },
		{ 2, FILTER_NUMBER, "%p > 1", false },
		{ 2, FILTER_REGEX, "^t.o$", true },
		{ 2, FILTER_STRANGER, "x", false },
		{ 1, FILTER_NOT_TO_ME, "", false },
		{ 99, FILTER_EQUALS, "x", false },
		{ 2, 77, "one", false },
	};
	const char *const mine[] = { "alice@example.test", NULL };
	const char *const others[] = { "ice@example.test", NULL };
	struct header header;
	struct filter_message message = { &header, "s@example.net", mine };
	struct store_filter filter = { .name = "f" };
	struct store_filters filters = { .items = &filter, .count = 1 };

	(void)state;
	header_read(&header, text, strlen(text));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		filter.header = rows[i].header;
		filter.comparison = rows[i].comparison;
		filter.keyword = rows[i].keyword;
		assert_int_equal(
		    filter_find(&filters, &message) != NULL, rows[i].is_met);
	}
	message.addresses = others;
	filter.comparison = FILTER_NOT_TO_ME;
	assert_non_null(filter_find(&filters, &message));
	header_release(&header);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers),
		cmocka_unit_test(which_filter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
