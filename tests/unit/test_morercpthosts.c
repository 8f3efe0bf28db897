/* SPDX-License-Identifier: ISC */
/* Tests of control/rcpthosts.c; who matches is in test_rcpthosts.c. */
#include "control/rcpthosts.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <sys/stat.h>

#include "control/cdbmap.h"
#include "tests/unit/folder.h"

#define TEXT(bytes) bytes, sizeof(bytes) - 1

static int
find(const char *key)
{
	struct cdbmap *map;
	int result;

	assert_int_equal(
	    cdbmap_open(folder_path("morercpthosts.cdb"), &map, NULL), 1);
	result = cdbmap_get(map, key, strlen(key), NULL, NULL);
	cdbmap_free(&map);
	return result;
}

/* Lines as an editor of any system leaves them. */
static void
lines(void **state)
{
	static const struct {
		const char *name, *text;
		size_t length;
		const char *key, *other; /* in the cdb, and not */
	} rows[] = {
		{ "one", TEXT("a.test\n"), "a.test", "" },
		{ "no newline", TEXT("a.test"), "a.test", "" },
		{ "two", TEXT("b.test\na.test\n"), "a.test", "a" },
		{ "capitals", TEXT("A.TesT\n"), "a.test", "A.TesT" },
		{ "U-label", TEXT("B\303\274cher.test\n"), "xn--bcher-kva.test",
		    "b\303\274cher.test" },
		{ "suffix", TEXT(".A.test\n"), ".a.test", "a.test" },
		{ "blanks", TEXT("a.test \t\n"), "a.test", "a.test \t" },
		{ "CRLF", TEXT("a.test\r\n"), "a.test", "a.test\r" },
		{ "comments", TEXT("#b.test\n\n  \na.test\n"), "a.test",
		    "#b.test" },
		{ "twice", TEXT("a.test\na.test\n"), "a.test", "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct error err = { "" };

		folder_write("morercpthosts", rows[i].text, rows[i].length);
		if (rcpthosts_compile_more(folder, &err) == -1)
			fail_msg("%s: %s", rows[i].name, err.text);
		if (find(rows[i].key) != 1 || find(rows[i].other) != 0)
			fail_msg("%s: other keys", rows[i].name);
	}
	folder_write("morercpthosts", "", 0);
	assert_int_equal(rcpthosts_compile_more(folder, NULL), 0);
	assert_int_equal(find("a.test"), 0);
}

/* The old cdb stays, and serves. */
static void
bad_lines(void **state)
{
	static const struct {
		const char *text;
		size_t length;
		const char *reason; /* behind the path */
	} rows[] = {
		{ TEXT("a.test\nb c.test\n"),
		    ":2: 'b c.test' is not a domain" },
		{ TEXT("a@b.test\n"), ":1: 'a@b.test' is not a domain" },
		{ TEXT("\n\n.\n"), ":3: '.' is not a domain" },
		{ TEXT("a\0b.test\n"),
		    ":1: a NUL byte; this is not a text file" },
		{ TEXT("b\001.test"), ":1: 'b\001.test' has a control" },
	};

	(void)state;
	folder_write("morercpthosts", "old.test\n", 9);
	assert_int_equal(rcpthosts_compile_more(folder, NULL), 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct error err = { "" };
		char wanted[160];

		folder_write("morercpthosts", rows[i].text, rows[i].length);
		snprintf(wanted, sizeof(wanted), "%s/morercpthosts%s", folder,
		    rows[i].reason);
		errno = 0;
		if (rcpthosts_compile_more(folder, &err) != -1 ||
		    errno != EINVAL ||
		    strncmp(err.text, wanted, strlen(wanted)) != 0)
			fail_msg("row %zu: got '%s', wanted '%s'", i, err.text,
			    wanted);
		assert_int_equal(find("old.test"), 1);
	}
}

static void
files_that_are_not_there(void **state)
{
	struct error err = { "" };

	(void)state;
	errno = 0;
	assert_int_equal(rcpthosts_compile_more(folder, &err), -1);
	assert_int_equal(errno, ENOENT);
	assert_non_null(strstr(err.text, "write the domains in it"));
	assert_int_equal(mkdir(folder_path("morercpthosts"), 0700), 0);
	assert_int_equal(rcpthosts_compile_more(folder, &err), -1);
	assert_int_not_equal(errno, EINVAL);
	remove(folder_path("morercpthosts"));
	folder_write("morercpthosts", "a.test\n", 7);
	assert_int_equal(mkdir(folder_path("morercpthosts.cdb"), 0700), 0);
	folder_write("morercpthosts.cdb/x", "", 0);
	assert_int_equal(rcpthosts_compile_more(folder, &err), -1);
	assert_non_null(strstr(err.text, "cannot rename '"));
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, folder_setup, folder_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(lines),
		TEST(bad_lines),
		TEST(files_that_are_not_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
