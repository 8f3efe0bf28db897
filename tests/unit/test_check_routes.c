/* SPDX-License-Identifier: ISC */
/* Tests of svctool/check/routes.c. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "svctool/check/domain.h"
#include "tests/unit/folder.h"

static char control[64];
static struct home home = { .root = control, .control = control };
static const struct node node = { .home = &home };

/* Names may be borrowed: nothing changes or frees them. */
#define NAME(text)   \
	(char[])     \
	{            \
		text \
	}

static struct check_assign lines[] = {
	{ .line = 4,
	    .is_wildcard = true,
	    .address = NAME(""),
	    .user = NAME("alias") },
	{ .line = 1,
	    .is_wildcard = true,
	    .address = NAME("a.test-"),
	    .domain_length = 6,
	    .user = NAME("a.test") },
	{ .line = 2,
	    .is_wildcard = true,
	    .address = NAME("alias.test-"),
	    .domain_length = 10,
	    .user = NAME("a.test") },
	{ .line = 3,
	    .is_wildcard = true,
	    .address = NAME("bob-"),
	    .user = NAME("bob") },
};

static int
set_up(void **state)
{
	int result = folder_setup(state);

	snprintf(control, sizeof(control), "%s", folder);
	return result;
}

static void
ignore(enum setting_id id, const char *reason, void *context)
{
	(void)id;
	(void)reason;
	(void)context;
}

/* Both domains are there, and known everywhere. */
static const char both[] = "a.test:a.test\nalias.test:alias.test\n";
static const char taken[] = "a.test\nalias.test\n";
static const char more[] = "a.test\nalias.test\nc.test\n";

static void
lines_of_virtualdomains(void **state)
{
	static const struct {
		const char *text; /* behind both */
		const char *locals, *rcpthosts;
		unsigned line;
		const char *wanted; /* begin of the only finding; "": none */
		const char *remedy; /* a part of it */
	} rows[] = {
		{ "", "", taken, 0, "", "" },
		{ "# junk\n\nC.TEST:A.TEST \n", "", more, 0, "", "" },
		{ ".c.test:a.test\nu@c.test:bob\nc.test:\n", "", more, 0, "",
		    "" },
		{ ":alias\n", "", taken, 0, "", "" },
		{ "junk\n", "", taken, 3, "'junk' is not a virtual domain",
		    "write for example" },
		{ "@:a.test\n", "", taken, 3, "'@:a.test' is not a virtual",
		    "write for example" },
		{ "c.test:a/b\n", "", taken, 3, "'c.test:a/b' is not a virt",
		    "write for example" },
		{ "\nA.test:bob\n", "", taken, 4,
		    "'a.test' has two lines, this one and line 1",
		    "remove one of them" },
		/* The catch-all line is not meant by a domain's own prefix. */
		{ "c.test:c.test\n", "", more, 3,
		    "users/assign has no line for the prefix 'c.test-'",
		    "vadddomain c.test" },
		{ "", "A.TEST\n", taken, 1, "'a.test' is also in control/loc",
		    "svc -h the queues" },
		{ "", "", "alias.test\n", 1, "'a.test' is not in rcpthosts",
		    "vadddomain a.test" },
		{ "", "", "a.test\n", 2, "'alias.test' is not in rcpthosts",
		    "vaddaliasdomain alias.test a.test" },
		{ "", "", ".test\n", 0, "", "" },
		{ "", "", "a.test\nalias.test\nC.test\n", 3,
		    "'c.test' is neither in virtualdomains nor in locals",
		    "vadddomain c.test" },
		{ ".test:alias\n", "", "a.test\nalias.test\nb.c.test\n", 0, "",
		    "" },
		{ ":alias\n", "", "a.test\nalias.test\nc.org\n", 0, "", "" },
		{ "c.test:\n", "", "a.test\nalias.test\nc.test\n", 0, "", "" },
		{ "", "C.TEST\n", "a.test\nalias.test\nc.test\n", 0, "", "" },
		{ "", "", NULL, 0,
		    "it does not exist, so mail for every domain is taken",
		    "sed 's/:.*//'" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct check_assigns assigns = { "/assign", lines,
			sizeof(lines) / sizeof(lines[0]) };
		struct check check = { .node = &node };
		char text[256];

		snprintf(text, sizeof(text), "%s%s", both, rows[i].text);
		folder_write("me", "m.test\n", 7);
		folder_write("virtualdomains", text, strlen(text));
		folder_write("locals", rows[i].locals, strlen(rows[i].locals));
		if (rows[i].rcpthosts != NULL)
			folder_write("rcpthosts", rows[i].rcpthosts,
			    strlen(rows[i].rcpthosts));
		else
			remove(folder_path("rcpthosts"));
		check.settings = settings_load_all(control, NULL, ignore, NULL);
		check_routes(&check, &assigns);
		if (check.count != (*rows[i].wanted != '\0') ||
		    (check.count == 1 &&
			(check.findings[0].line != rows[i].line ||
			    strncmp(check.findings[0].text, rows[i].wanted,
				strlen(rows[i].wanted)) != 0 ||
			    strstr(check.findings[0].remedy, rows[i].remedy) ==
				NULL)))
			fail_msg("row %zu: got %zu: %u '%s' '%s', wanted %u "
				 "'%s'",
			    i, check.count,
			    check.count > 0 ? check.findings[0].line : 0,
			    check.count > 0 ? check.findings[0].text : "",
			    check.count > 0 ? check.findings[0].remedy : "",
			    rows[i].line, rows[i].wanted);
		check_release(&check);
	}
}

/* users/assign has a domain that virtualdomains does not know. */
static void
domains_that_are_remote(void **state)
{
	static const struct {
		const char *text;
		unsigned line;
		const char *remedy;
	} rows[] = {
		{ "alias.test:alias.test\n", 1,
		    "vadddomain a.test, or vdeldomain a.test" },
		{ "a.test:a.test\n", 2,
		    "vaddaliasdomain alias.test a.test, or vdeldomain "
		    "alias.test" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct check_assigns assigns = { "/assign", lines,
			sizeof(lines) / sizeof(lines[0]) };
		struct check check = { .node = &node };

		folder_write(
		    "virtualdomains", rows[i].text, strlen(rows[i].text));
		folder_write("rcpthosts", taken, strlen(taken));
		folder_write("locals", "", 0);
		check.settings = settings_load_all(control, NULL, ignore, NULL);
		check_routes(&check, &assigns);
		assert_int_equal(check.count, 1);
		assert_string_equal(check.findings[0].file, "/assign");
		assert_int_equal(check.findings[0].line, rows[i].line);
		assert_string_equal(check.findings[0].remedy, rows[i].remedy);
		check_release(&check);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_of_virtualdomains),
		cmocka_unit_test(domains_that_are_remote),
	};

	return cmocka_run_group_tests(tests, set_up, folder_teardown);
}
