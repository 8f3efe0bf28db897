/* SPDX-License-Identifier: ISC */
/* adminsrv/import.c: files of other systems. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "adminsrv/import.h"
#include "base/mem.h"

static void
reads_or_refuses(void **state)
{
	static const struct {
		enum import_format format;
		const char *text;
		size_t count;
		const char *wanted; /* the last gecos; or in the reason */
	} rows[] = {
		{ IMPORT_PASSWD, "al:x:1:1:Al,1,2:/h:/s\n#\n\n", 1, "Al" },
		{ IMPORT_PASSWD, "al:x:1:1:Al:/h\n", 0, "line 1" },
		{ IMPORT_PASSWD, "a b:x:1:1:Al:/h:/s\n", 0, "line 1" },
		{ IMPORT_VPOPMAIL, "al:h:1:2:Al:/h:5M", 1, "Al" },
		{ IMPORT_VPOPMAIL, "al:h:1:x:Al:/h:5M", 0, "'x' is no number" },
		{ IMPORT_INDIMAIL,
		    "pw_name,pw_passwd,pw_gecos\na,h,\"b,\"\"c\"", 1, "b,\"c" },
		{ IMPORT_INDIMAIL, "PW_NAME,PW_PASSWD\r\na,h\r\n", 1, "" },
		{ IMPORT_INDIMAIL, "pw_name\tpw_passwd\tpw_gecos\na\th\tb\\\\c",
		    1, "b\\c" },
		{ IMPORT_INDIMAIL, "pw_name\tpw_passwd\tpw_gecos\na\th\t\\N", 1,
		    "" },
		{ IMPORT_INDIMAIL, "pw_name,pw_passwd\na,h,more\n", 0,
		    "3 fields, and 2 columns" },
		{ IMPORT_INDIMAIL, "a,h\n", 0, "header" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		OWN_TEXT text = xstrdup(rows[i].text);
		FILE *file = fmemopen(text, strlen(text), "r");
		struct error err = { "" };
		struct import import;
		int result = import_read(
		    file, rows[i].format, "a.test", true, &import, &err);
		const char *got = result == -1
		    ? err.text
		    : import.users[import.count - 1].gecos;

		if ((result == 0 ? import.count : 0) != rows[i].count ||
		    strstr(got, rows[i].wanted) == NULL ||
		    (result == 0 && strcmp(got, rows[i].wanted) != 0))
			fail_msg("row %zu: %d, '%s'", i, result, got);
		import_release(&import);
		fclose(file);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_or_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
