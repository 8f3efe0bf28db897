/* SPDX-License-Identifier: ISC */
#include "lookupd/extension.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/buf.h"

static void
parts(void **state)
{
	static const struct {
		const char *local, *separators, *wanted;
	} rows[] = {
		{ "mary-ann-lists", "-", "mary-ann mary " },
		{ "a-b+c", "-+", "a-b a " },
		{ "a-", "-", "a " },
		{ "-a", "-", "" },
		{ "a-b", "", "" },
		{ "", "-", "" },
		{ "a--b", "-", "a- a " },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t length = strlen(rows[i].local);
		struct buf text = BUF_INIT;

		while (
		    extension_cut(rows[i].local, rows[i].separators, &length)) {
			buf_add(&text, rows[i].local, length);
			buf_addc(&text, ' ');
		}
		buf_adds(&text, "");
		assert_string_equal(text.data, rows[i].wanted);
		buf_release(&text);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
