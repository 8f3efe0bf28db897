/* SPDX-License-Identifier: ISC */
/* Tests of svctool/check/compiled.c. */
#include "svctool/check/check.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>

#include "control/assign.h"
#include "control/cdbmap.h"
#include "tests/unit/check_node.h"

#define TEXT(bytes) bytes, sizeof(bytes) - 1

static void
put_cdb(const char *name, const char *key, size_t key_length, const char *value,
    size_t length)
{
	struct cdbmap_writer *writer = cdbmap_writer_new(
	    folder_path(name), NULL);

	assert_non_null(writer);
	assert_int_equal(
	    cdbmap_writer_add(writer, key, key_length, value, length, NULL), 0);
	assert_int_equal(cdbmap_writer_commit(&writer, NULL), 0);
}

/* The file was changed at that time. */
static void
set_time(const char *name, time_t second, long nanosecond)
{
	const struct timespec times[2] = { { second, nanosecond },
		{ second, nanosecond } };

	assert_int_equal(utimensat(AT_FDCWD, folder_path(name), times, 0), 0);
}

static void
expect(const char *name, const char *wanted)
{
	struct check check = check_begin();

	check_compiled(&check);
	check_expect(&check, name, wanted);
	check_release(&check);
}

#define OLDER(cdb, source, remedy)                                           \
	"E ~/" cdb ": it is older than '~/" source "', so the last changes " \
	"do not count -- run " remedy "\n"

static void
ages(void **state)
{
	static const struct {
		const char *name;
		long cdb_s, cdb_ns, source_s, source_ns;
		const char *wanted;
	} rows[] = {
		{ "newer", 2000, 0, 1000, 0, "" },
		{ "at once", 1000, 5, 1000, 5, "" },
		{ "a moment later", 1000, 6, 1000, 5, "" },
		{ "a moment before", 1000, 4, 1000, 5,
		    OLDER("control/tcp.smtp.cdb", "control/tcp.smtp",
			"'tcprules ") },
		{ "older", 999, 9, 1000, 5,
		    OLDER("control/tcp.smtp.cdb", "control/tcp.smtp",
			"'tcprules ") },
	};

	(void)state;
	expect("no files", "");
	svc_put("control/tcp.smtp", ":allow\n");
	expect("never compiled",
	    "E ~/control/tcp.smtp.cdb: No such file or directory -- run "
	    "'tcprules tcp.smtp.cdb tcp.smtp.tmp < tcp.smtp' there\n");
	svc_put("control/tcp.smtp.cdb", "not looked into here");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char wanted[256], *end;

		snprintf(wanted, sizeof(wanted), "%s", rows[i].wanted);
		end = strchr(wanted, '<');
		if (end != NULL)
			memcpy(end, "\n", 2);
		set_time(
		    "control/tcp.smtp", rows[i].source_s, rows[i].source_ns);
		set_time("control/tcp.smtp.cdb", rows[i].cdb_s, rows[i].cdb_ns);
		expect(rows[i].name, wanted);
	}
}

#define NOT_FORM                                                           \
	": it has entries that are not of the right form: it was made of " \
	"something else -- run "

static void
contents(void **state)
{
	static const struct {
		const char *name, *file;
		const char *key;
		size_t key_length;
		const char *value;
		size_t length;
		bool is_right;
	} rows[] = {
		{ "wildcards", "users/cdb", TEXT(""), TEXT("-"), true },
		{ "a user", "users/cdb", TEXT("!al"),
		    TEXT("al\0"
			 "7\0"
			 "8\0/h\0-\0"),
		    true },
		{ "no mark", "users/cdb", TEXT("al"),
		    TEXT("al\0"
			 "7\0"
			 "8\0/h\0-\0"),
		    false },
		{ "five fields", "users/cdb", TEXT("!al"),
		    TEXT("al\0"
			 "7\0"
			 "8\0/h\0-"),
		    false },
		{ "seven fields", "users/cdb", TEXT("!al"),
		    TEXT("al\0"
			 "7\0"
			 "8\0/h\0-\0\0"),
		    false },
		{ "no value", "users/cdb", TEXT("!al"), TEXT(""), false },
		{ "uid", "users/cdb", TEXT("!al"),
		    TEXT("al\0x\0"
			 "8\0/h\0-\0"),
		    false },
		{ "gid", "users/cdb", TEXT("!al"),
		    TEXT("al\0"
			 "7\0-8\0/h\0-\0"),
		    false },
		{ "uid of nobody", "users/cdb", TEXT("!al"),
		    TEXT("al\0"
			 "4294967295\0"
			 "8\0/h\0-\0"),
		    false },
		{ "relative home", "users/cdb", TEXT("!al"),
		    TEXT("al\0"
			 "7\0"
			 "8\0h\0-\0"),
		    false },
		{ "host", "control/morercpthosts.cdb", TEXT("a.test"), TEXT(""),
		    true },
		{ "suffix", "control/morercpthosts.cdb", TEXT(".a.test"),
		    TEXT(""), true },
		{ "address", "control/morercpthosts.cdb", TEXT("a@b.test"),
		    TEXT(""), false },
		{ "NUL", "control/morercpthosts.cdb", TEXT("a.test\0"),
		    TEXT(""), false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char wanted[256];

		snprintf(wanted, sizeof(wanted), "E ~/%s" NOT_FORM "\n",
		    rows[i].file);
		put_cdb(rows[i].file, rows[i].key, rows[i].key_length,
		    rows[i].value, rows[i].length);
		expect(rows[i].name, rows[i].is_right ? "" : wanted);
		remove(folder_path(rows[i].file));
	}
	svc_put("users/cdb", "no cdb");
	expect("damaged", "E ~/users/cdb: \n");
}

static void
as_the_tools_make_it(void **state)
{
	(void)state;
	svc_put("users/assign", "=al:al:7:8:/h:::\n+bo-:bo:7:8:/b:-::\n.\n");
	assert_int_equal(assign_compile(folder_path("users/assign"),
			     folder_path("users/cdb"), NULL),
	    0);
	expect("qmail-newu", "");
	set_time("users/cdb", 1000, 0);
	expect("older", OLDER("users/cdb", "users/assign", "qmail-newu"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		SVC_TEST(ages),
		SVC_TEST(contents),
		SVC_TEST(as_the_tools_make_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
