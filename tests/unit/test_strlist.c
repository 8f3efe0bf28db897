/* SPDX-License-Identifier: ISC */
/* Tests of base/strlist.c. */
#include "base/strlist.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

static void
adds_sorts_finds(void **state)
{
	enum { TEXTS = 100 };
	struct strlist list = { .items = NULL };
	char text[16];

	(void)state;
	assert_false(strlist_find(&list, "a"));
	assert_false(strlist_has_name(&list, "a"));
	strlist_sort(&list);
	for (unsigned i = 0; i < TEXTS; i++) {
		snprintf(text, sizeof(text), "t%u", i * 37 % TEXTS);
		strlist_add(&list, text);
		assert_int_equal(list.count, i + 1);
		assert_string_equal(list.items[i], text);
		assert_null(list.items[i + 1]);
	}
	strlist_sort(&list);
	for (unsigned i = 0; i < TEXTS; i++) {
		snprintf(text, sizeof(text), "t%u", i);
		assert_true(strlist_find(&list, text));
	}
	assert_false(strlist_find(&list, "T1"));
	assert_true(strlist_has_name(&list, "T1"));
	assert_true(strlist_has(&list, "t1"));
	assert_false(strlist_has(&list, "T1"));
	assert_false(strlist_find(&list, "t"));
	assert_false(strlist_has_name(&list, "t100"));
	strlist_release(&list);
	assert_null(list.items);
	strlist_release(&list);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(adds_sorts_finds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
