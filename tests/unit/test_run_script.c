/* SPDX-License-Identifier: ISC */
/* Tests of svctool/run/run_script.c. */
#include "svctool/run/run_script.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

static void
quote(void **state)
{
	static const struct {
		const char *text, *wanted;
	} rows[] = {
		{ "", "''" },
		{ "/var/mqmail", "'/var/mqmail'" },
		{ "a b$c`d\"e\\", "'a b$c`d\"e\\'" },
		{ "it's", "'it'\\''s'" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf buf;

		buf_init(&buf);
		run_script_quote(&buf, rows[i].text);
		assert_string_equal(buf.data, rows[i].wanted);
		buf_release(&buf);
	}
}

/* sh itself says whether a script with a difficult path is one. */
static void
scripts_parse(void **state)
{
	const char *const path = "/a b'c$(exit 9)/x";

	(void)state;
	for (int kind = 0; kind < 5; kind++) {
		struct buf script, command;

		buf_init(&script);
		buf_init(&command);
		if (kind == 0)
			run_script_queue(&script, path, path, path);
		else if (kind == 1)
			run_script_listener(
			    &script, path, path, "qmail-smtpd", path);
		else if (kind == 4)
			run_script_plain(&script, "what", path, path, path);
		else
			run_script_log(&script, kind == 2 ? path : NULL, path);
		assert_memory_equal(script.data, "#!/bin/sh\n", 10);
		buf_adds(&command, "sh -n -c ");
		run_script_quote(&command, script.data);
		assert_int_equal(system(command.data), 0);
		buf_release(&command);
		buf_release(&script);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(quote),
		cmocka_unit_test(scripts_parse),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
