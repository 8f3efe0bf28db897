/* SPDX-License-Identifier: ISC */
/* pop3/options.c: the listener's command line. */
#include "pop3/options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"

static void
test_command_lines(void **state)
{
	static const struct {
		const char *words[5], *pop3s;
		int result;
		bool has_tls_first, is_shared;
	} rows[] = {
		{ { "--listen", "127.0.0.1:110" }, NULL, 0, false, false },
		{ { "--listen", "[::1]:995", "--pop3s" }, NULL, 0, true,
		    false },
		{ { "--pop3s", "--listen", "0:995", "--shared" }, "", 0, true,
		    true },
		{ { "--listen", "0:995" }, "1", 0, true, false },
		{ { "--listen", "110" }, NULL, -1, false, false },
		{ { "--listen" }, NULL, -1, false, false },
		{ { "--smtps", "--listen", "0:1" }, NULL, -1, false, false },
		{ { "--lmtp" }, NULL, -1, false, false },
		{ { "Maildir" }, NULL, -1, false, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct smtp_options options;
		char *words[6] = { NULL };
		struct error err = { "" };
		int result;

		for (size_t j = 0; j < 5 && rows[i].words[j] != NULL; j++)
			words[j] = xstrdup(rows[i].words[j]);
		result = pop3_options_parse(
		    &options, words, rows[i].pop3s, &err);
		if (result != rows[i].result)
			fail_msg("row %zu: %d %s", i, result, err.text);
		if (result == 0) {
			assert_true(options.is_listener);
			assert_int_equal(
			    options.kind.has_tls_first, rows[i].has_tls_first);
			assert_int_equal(options.is_shared, rows[i].is_shared);
		}
		for (size_t j = 0; j < 5; j++)
			free(words[j]);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_command_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
