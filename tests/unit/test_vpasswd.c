/* SPDX-License-Identifier: ISC */
/* lookupd/vpasswd.c: one user's line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"
#include "lookupd/vpasswd.h"

struct row {
	const char *name;
	const char *line;
	const char *wanted; /* what it is when formatted again; NULL: refused */
};

static const struct row rows[] = {
	{ "plain", "alice:$6$x$y:0:0:Alice A:/d/alice:NOQUOTA",
	    "alice:$6$x$y:0:0:Alice A:/d/alice:NOQUOTA\n" },
	{ "flags", "bob:*:16:385::/d/0/bob:1000S,5C",
	    "bob:*:16:385::/d/0/bob:1000S,5C\n" },
	{ "vpopmail's clear password", "c:h:1:0:g:/d/c:9S:secret",
	    "c:h:1:0:g:/d/c:9S:secret\n" },
	{ "an empty one", "c:h:1:0:g:/d/c:9S:", "c:h:1:0:g:/d/c:9S\n" },
	{ "SCRAM", "c:{SCRAM-SHA-256}4096,c2E=,a2V5,c3I=,$y$j$x:1:0:g:/d/c:9S",
	    "c:{SCRAM-SHA-256}4096,c2E=,a2V5,c3I=,$y$j$x:1:0:g:/d/c:9S\n" },
	{ "SCRAM alone", "c:{SCRAM-SHA-256}4096,c2E=,a2V5,c3I=:1:0:g:/d/c:9S",
	    "c:{SCRAM-SHA-256}4096,c2E=,a2V5,c3I=,*:1:0:g:/d/c:9S\n" },
	{ "another hash in braces", "c:{SSHA}abc,d:1:0:g:/d/c:9S",
	    "c:{SSHA}abc,d:1:0:g:/d/c:9S\n" },
	{ "SCRAM with a blank", "c:{S 1}4,a,b,c,h:1:0:g:/d/c:9S", NULL },
	{ "empty quota", "c:h:1:0:g:/d/c:", "c:h:1:0:g:/d/c:NOQUOTA\n" },
	{ "no password", "c::1:0:g:/d/c:", "c::1:0:g:/d/c:NOQUOTA\n" },
	{ "UTF-8 comment", "c:h:1:0:J\303\266rg:/d/c:9S",
	    "c:h:1:0:J\303\266rg:/d/c:9S\n" },
	{ "no colon", "alice", NULL },
	{ "nothing", "", NULL },
	{ "too few fields", "alice:h:0:0:g:/d/alice", NULL },
	{ "too many fields", "alice:h:0:0:g:/d/alice:q:clear:more", NULL },
	{ "uid is no number", "alice:h:x:0:g:/d/alice:q", NULL },
	{ "uid is empty", "alice:h::0:g:/d/alice:q", NULL },
	{ "gid is negative", "alice:h:0:-1:g:/d/alice:q", NULL },
	{ "gid is too large", "alice:h:0:99999999999:g:/d/alice:q", NULL },
	{ "name is empty", ":h:0:0:g:/d/alice:q", NULL },
	{ "name in upper case", "Alice:h:0:0:g:/d/alice:q", NULL },
	{ "name with a slash", "a/b:h:0:0:g:/d/alice:q", NULL },
	{ "name with a dot in front", ".a:h:0:0:g:/d/alice:q", NULL },
	{ "name of 64",
	    "0123456789012345678901234567890123456789012345678901234567890123"
	    ":h:0:0:g:/d/a:q",
	    "0123456789012345678901234567890123456789012345678901234567890123"
	    ":h:0:0:g:/d/a:q\n" },
	{ "name of 65",
	    "01234567890123456789012345678901234567890123456789012345678901234"
	    ":h:0:0:g:/d/a:q",
	    NULL },
	{ "relative folder", "a:h:0:0:g:d/a:q", NULL },
	{ "no folder", "a:h:0:0:g::q", NULL },
	{ "folder that goes up", "a:h:0:0:g:/d/../a:q", NULL },
	{ "folder that ends up", "a:h:0:0:g:/d/..:q", NULL },
	{ "folder with a dot", "a:h:0:0:g:/./a:q", NULL },
	{ "folder with dots in a name", "a:h:0:0:g:/d../..a:q",
	    "a:h:0:0:g:/d../..a:q\n" },
	{ "tab in the comment", "a:h:0:0:g\tx:/d/a:q", NULL },
	{ "carriage return at the end", "a:h:0:0:g:/d/a:q\r", NULL },
};

static void
parses_and_formats(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *row = &rows[i];
		char *line = xstrdup(row->line);
		struct vpasswd_entry entry;
		struct error err;
		struct buf got;
		int result = vpasswd_parse_line(
		    line, strlen(line), &entry, &err);

		buf_init(&got);
		if (result == 0)
			result = vpasswd_format(&entry, &got, &err);
		if ((result == 0) != (row->wanted != NULL) ||
		    (result == 0 && strcmp(got.data, row->wanted) != 0))
			fail_msg("%s: '%s' gave %d '%s', wanted '%s'",
			    row->name, row->line, result,
			    result == 0 ? got.data : err.text,
			    row->wanted == NULL ? "refused" : row->wanted);
		buf_release(&got);
		free(line);
	}
}

static void
refuses_nul(void **state)
{
	char in_name[] = "a\0b:h:0:0:g:/d/a:q";
	char in_value[] = "a:h:0:0:g:/d/a\0:q";
	struct vpasswd_entry entry;

	(void)state;
	assert_int_equal(
	    vpasswd_parse_line(in_name, sizeof(in_name) - 1, &entry, NULL), -1);
	assert_int_equal(
	    vpasswd_parse_line(in_value, sizeof(in_value) - 1, &entry, NULL),
	    -1);
}

/* Nothing that an operator types can make a second line or field. */
static void
never_formats_separators(void **state)
{
	static const char *const bad[] = { "a:b", "a\nb", "a\rb", "\177" };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		for (unsigned field = 0; field < 5; field++) {
			struct vpasswd_entry entry = { .name = "a",
				.hash = "h",
				.gecos = "g",
				.dir = "/d/a",
				.quota = "9S" };
			const char **fields[] = { &entry.name, &entry.hash,
				&entry.gecos, &entry.dir, &entry.quota };
			struct buf got;

			buf_init(&got);
			*fields[field] = bad[i];
			if (vpasswd_format(&entry, &got, NULL) != -1 ||
			    got.length != 0)
				fail_msg("field %u took '%s': '%s'", field,
				    bad[i], got.data);
			buf_release(&got);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parses_and_formats),
		cmocka_unit_test(refuses_nul),
		cmocka_unit_test(never_formats_separators),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
