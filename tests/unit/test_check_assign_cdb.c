/* SPDX-License-Identifier: ISC */
/* Tests of svctool/check/assign_cdb.c. */
#include "svctool/check/domain.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "control/assign.h"
#include "tests/unit/check_node.h"

#define NAME(text) ((char[]){ text })

/* Two users, two prefixes, sorted; of the second two lines. */
static const char text[] = "=al:al:7:8:/h:::\n"
			   "+a.test-:a.test:7:8:/d/a.test:-::\n"
			   "+bo-:bo:9:8:/b:-::\n+bo-:bo:1:1:/x:-::\n.\n";

static struct check_assign lines[] = {
	{ .line = 2,
	    .is_wildcard = true,
	    .address = NAME("a.test-"),
	    .user = NAME("a.test"),
	    .uid = 7,
	    .gid = 8,
	    .home = NAME("/d/a.test"),
	    .dash = NAME("-") },
	{ .line = 1,
	    .address = NAME("al"),
	    .user = NAME("al"),
	    .uid = 7,
	    .gid = 8,
	    .home = NAME("/h"),
	    .dash = NAME("") },
};

static void
compile(const char *source)
{
	svc_put("users/assign", source);
	assert_int_equal(assign_compile(folder_path("users/assign"),
			     folder_path("users/cdb"), NULL),
	    0);
}

static void
expect(const char *name, struct check_assign *items, size_t count,
    const char *wanted)
{
	const struct check_assigns assigns = { "/assign", items, count };
	struct check check = check_begin();

	check_assign_cdb(&check, &assigns);
	check_expect(&check, name, wanted);
	check_release(&check);
}

static void
every_field(void **state)
{
	static const struct {
		const char *source, *wanted;
	} rows[] = {
		{ "=al:al:7:8:/h:::\n+a.test-:a.test:7:8:/d/a.test:-::\n.\n",
		    "" },
		{ "=al:bl:7:8:/h:::\n+a.test-:a.test:7:8:/d/a.test:-::\n.\n",
		    "('al') -- run qmail-newu\n" },
		{ "=al:al:6:8:/h:::\n+a.test-:a.test:7:8:/d/a.test:-::\n.\n",
		    "('al')\n" },
		{ "=al:al:7:9:/h:::\n+a.test-:a.test:7:8:/d/a.test:-::\n.\n",
		    "('al')\n" },
		{ "=al:al:7:8:/i:::\n+a.test-:a.test:7:8:/d/a.test:-::\n.\n",
		    "('al')\n" },
		{ "=al:al:7:8:/h:-::\n+a.test-:a.test:7:8:/d/a.test:-::\n.\n",
		    "('al')\n" },
		{ "+al:al:7:8:/h:::\n+a.test-:a.test:7:8:/d/a.test:-::\n.\n",
		    "('al')\n" },
		{ "=al:al:7:8:/h:::\n.\n",
		    "E ~/users/cdb: it was not made from 'assign' as that is "
		    "now ('a.test-')\n" },
		{ "=al:al:7:8:/h:::\n+a.test-:a.test:7:8:/d/a.test:-::\n"
		  "=old:old:7:8:/h:::\n.\n",
		    "E ~/users/cdb: it has 4 entries, and 'assign' makes 3 -- "
		    "run qmail-newu\n" },
	};

	(void)state;
	expect("no cdb", lines, 2, "");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		compile(rows[i].source);
		expect(rows[i].source, lines, 2, rows[i].wanted);
	}
	/* Found by check_compiled(). */
	svc_put("users/cdb", "no cdb");
	expect("damaged", lines, 2, "");
}

/* Of two lines of one address the first counts, in the cdb too. */
static void
two_lines(void **state)
{
	struct check_assign all[4] = { lines[0], lines[1],
		{ .line = 3,
		    .is_wildcard = true,
		    .address = NAME("bo-"),
		    .user = NAME("bo"),
		    .uid = 9,
		    .gid = 8,
		    .home = NAME("/b"),
		    .dash = NAME("-") },
		{ .line = 4,
		    .is_wildcard = true,
		    .address = NAME("bo-"),
		    .user = NAME("bo"),
		    .uid = 1,
		    .gid = 1,
		    .home = NAME("/x"),
		    .dash = NAME("-") } };

	(void)state;
	compile(text);
	expect("both", all, 4, "");
	all[2].uid = 1;
	expect("another first", all, 4, "('bo-')\n");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		SVC_TEST(every_field),
		SVC_TEST(two_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
