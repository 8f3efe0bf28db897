/* SPDX-License-Identifier: ISC */
/* Tests of svctool/check/users.c and what it calls with whole files. */
#include "svctool/check/domain.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "control/assign.h"
#include "tests/unit/check_node.h"
#include "svctool/check/check.h"
#include <fcntl.h>
#include "control/cdbmap.h"

static void
below(void **state)
{
	static const struct {
		const char *path, *folder;
		bool wanted;
	} rows[] = {
		{ "/d/a", "/d", true },
		{ "/d/a/b", "/d", true },
		{ "/d", "/d", false },
		{ "/dd/a", "/d", false },
		{ "/", "/d", false },
		{ "", "/d", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (check_is_below(rows[i].path, rows[i].folder) !=
		    rows[i].wanted)
			fail_msg(
			    "'%s' below '%s'", rows[i].path, rows[i].folder);
}

#define NAME(text) ((char[]){ text })

static void
finds_lines(void **state)
{
	struct check_assign items[] = {
		{ .address = NAME("") },
		{ .address = NAME("a") },
		{ .address = NAME("a.test-") },
		{ .address = NAME("a.test-b") },
		{ .address = NAME("b") },
	};
	static const struct {
		const char *address;
		size_t length;
		int wanted; /* -1: none */
	} rows[] = {
		{ "", 0, 0 },
		{ "a", 1, 1 },
		{ "a.test-", 7, 2 },
		{ "a.test-bob", 7, 2 },
		{ "a.test-b", 8, 3 },
		{ "a.test-bob", 10, -1 },
		{ "b", 1, 4 },
		{ "a.tes", 5, -1 },
		{ "c", 1, -1 },
		{ "A", 1, -1 },
	};
	struct check_assigns assigns = { "/assign", items,
		sizeof(items) / sizeof(items[0]) };

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct check_assign *found = check_assign_find(
		    &assigns, rows[i].address, rows[i].length);

		if ((found == NULL ? -1 : found - items) != rows[i].wanted)
			fail_msg("'%s', %zu", rows[i].address, rows[i].length);
	}
	assigns.count = 0;
	assert_null(check_assign_find(&assigns, "a", 1));
}

/* Writes users/assign with the node's folder for "~", and its cdb. */
static void
put_assign(const char *text, bool is_compiled)
{
	struct buf buf;

	buf_init(&buf);
	for (; *text != '\0'; text++)
		if (*text == '~')
			buf_adds(&buf, folder);
		else
			buf_addc(&buf, *text);
	svc_put("users/assign", buf.data);
	buf_release(&buf);
	remove(folder_path("users/cdb"));
	if (is_compiled)
		assert_int_equal(assign_compile(folder_path("users/assign"),
				     folder_path("users/cdb"), NULL),
		    0);
}

static void
expect(const char *name, const char *wanted)
{
	struct check check = check_begin();

	check_domains(&check);
	check_expect(&check, name, wanted);
	check_release(&check);
}

static void
lines(void **state)
{
	static const struct {
		const char *text, *wanted;
	} rows[] = {
		{ ".\n", "" },
		{ "+:alias:7:8:~/alias:-::\n.\n", "" },
		{ "=al:al:7:8:~/none:::\n.\n",
		    "E ~/users/assign:1: the folder '~/none': No such file or "
		    "directory -- put the folder back, or remove the line, "
		    "then qmail-newu\n" },
		{ "=al:al:7:8:~/control/me:::\n.\n",
		    "E ~/users/assign:1: the folder '~/control/me': Not a "
		    "directory\n" },
		{ "=al:al:7:8:~/alias:::\n=bo:bo:7:8:~/alias:::\n"
		  "=al:al:7:9:~/alias:::\n.\n",
		    "E ~/users/assign:3: 'al' has two lines, this one and line "
		    "1: the first counts -- remove one of them, then\n" },
		/* One of each kind is no mistake. */
		{ "=al:al:7:8:~/alias:::\n+al:al:7:8:~/alias:-::\n.\n", "" },
		{ "+c.test-:c.test:7:8:~/alias:-::\n.\n",
		    "E ~/users/assign:1: the folder '~/alias' has virtual "
		    "users, and is not below '~/domains', so their mail "
		    "waits -- move it there\n" },
	};

	(void)state;
	svc_put("control/rcpthosts", "m.test\n");
	svc_put("control/virtualdomains", "");
	svc_put("alias/vpasswd", "");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		/* A general catch-all is no domain with users. */
		if (strncmp(rows[i].text, "+c.test", 7) != 0)
			remove(folder_path("alias/vpasswd"));
		else
			svc_put("alias/vpasswd", "");
		put_assign(rows[i].text, true);
		expect(rows[i].text, rows[i].wanted);
	}
}

static void
faults(void **state)
{
	(void)state;
	svc_put("control/rcpthosts", "m.test\n");
	put_assign("junk\n=al:al:7:8:~/alias:::\n=bo\n.\n", false);
	expect("bad lines",
	    "E ~/users/assign:1: begins with 'j', not '='\n"
	    "E ~/users/assign:3: no colons; write =address:user:uid:gid:home:"
	    "dash:ext: -- correct the line, then qmail-newu\n");
	remove(folder_path("users/assign"));
	expect("no file", "");
	svc_dir("users/assign");
	expect("a folder", "E ~/users/assign: \n");
}

static void
domains(void **state)
{
	struct check check;
	char *got;

	(void)state;
	svc_put("control/rcpthosts", "a.test\n");
	svc_put("control/virtualdomains", "a.test:a.test\n");
	put_assign("+a.test-:a.test:7:8:~/domains/a.test:-::\n.\n", true);
	expect("gone",
	    "E ~/users/assign:1: the folder '~/domains/a.test': No such file "
	    "or directory -- put the folder back (is its disk mounted?), or "
	    "vdeldomain a.test\n");
	svc_put("elsewhere/vpasswd", "");
	assert_int_equal(
	    symlink(folder_path("elsewhere"), folder_path("domains/a.test")),
	    0);
	check = check_begin();
	check_domains(&check);
	got = check_render(&check);
	if (strstr(got,
		"'~/domains/a.test' is a symbolic link, which no "
		"delivery follows") == NULL ||
	    strstr(got, "E ~/domains/a.test/.qmail-default") == NULL)
		fail_msg("got '%s'", got);
	free(got);
	check_release(&check);
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
expect_of_compiled(const char *name, const char *wanted)
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
	expect_of_compiled("no files", "");
	svc_put("control/tcp.smtp", ":allow\n");
	expect_of_compiled("never compiled",
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
		expect_of_compiled(rows[i].name, wanted);
	}
}

static void
contents(void **state)
{
	(void)state;
	svc_put("users/cdb", "no cdb");
	expect_of_compiled("damaged", "E ~/users/cdb: \n");
}

static void
as_the_tools_make_it(void **state)
{
	(void)state;
	svc_put("users/assign", "=al:al:7:8:/h:::\n+bo-:bo:7:8:/b:-::\n.\n");
	assert_int_equal(assign_compile(folder_path("users/assign"),
			     folder_path("users/cdb"), NULL),
	    0);
	expect_of_compiled("qmail-newu", "");
	set_time("users/cdb", 1000, 0);
	expect_of_compiled(
	    "older", OLDER("users/cdb", "users/assign", "qmail-newu"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(below),
		cmocka_unit_test(finds_lines),
		SVC_TEST(lines),
		SVC_TEST(faults),
		SVC_TEST(domains),
		SVC_TEST(ages),
		SVC_TEST(contents),
		SVC_TEST(as_the_tools_make_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
