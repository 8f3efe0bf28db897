/* SPDX-License-Identifier: ISC */
/* Tests of control/rcpthosts.c and control/morercpthosts.c. */
#include "control/rcpthosts.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <unistd.h>

#include "control/cdbmap.h"
#include "tests/unit/folder.h"

static void
put(const char *name, const char *text)
{
	folder_write(name, text, strlen(text));
}

static struct rcpthosts *
load(struct error *err)
{
	struct settings *settings;
	struct rcpthosts *hosts;

	put("me", "m.test\n");
	settings = settings_load(folder, "qmail-smtpd", NULL, err);
	if (settings == NULL)
		fail_msg("%s", err->text);
	hosts = rcpthosts_new(folder, settings, err);
	settings_free(&settings);
	return hosts;
}

struct row {
	const char *mailbox;
	int wanted;
};

static void
check_rows(const struct rcpthosts *hosts, const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct error err = { "" };
		int got = rcpthosts_match(hosts, rows[i].mailbox, &err);

		if (got != rows[i].wanted)
			fail_msg("%s: got %d (%s), wanted %d", rows[i].mailbox,
			    got, err.text, rows[i].wanted);
	}
}

static void
names_and_suffixes(void **state)
{
	static const struct row rows[] = {
		{ "a@example.org", 1 },
		{ "a@EXAMPLE.Org", 1 },
		{ "a@mixed.test", 1 },
		{ "a@x.example.org", 0 },
		{ "a@example.org.", 0 },
		{ "a@sub.test", 0 },
		{ "a@x.sub.test", 1 },
		{ "a@y.x.sub.test", 1 },
		{ "a@xsub.test", 0 },
		{ "a@.sub.test", 1 },
		{ "a@b@example.org", 1 },
		{ "\"a@example.org\"@c.test", 0 },
		{ "a@b\303\274cher.test", 1 },
		{ "a@B\303\234CHER.test", 1 },
		{ "a@xn--bcher-kva.test", 1 },
		{ "a@stra\303\237e.test", 1 },
		{ "a@XN--strae-oqa.test", 1 },
		{ "a@strasse.test", 0 },
		{ "a@x.\303\274.test", 1 },
		{ "a@x.xn--tda.test", 1 },
		{ "a@xn--tda.test", 0 },
		{ "a@\342\230\225.test", 1 }, /* as in the file, no IDN */
		{ "a@\342\230\226.test", 0 },
		{ "a@", 0 },
		{ "a@.", 0 },
		{ "postmaster", 1 },
		{ "", 1 },
	};
	struct error err = { "" };
	struct rcpthosts *hosts;

	(void)state;
	put("rcpthosts",
	    "zzz.test\nexample.org\nMiXeD.test\n.sub.test\n"
	    "b\303\274cher.test\nxn--strae-oqa.test\n.\303\274.test\n"
	    "\342\230\225.test\n");
	hosts = load(&err);
	assert_non_null(hosts);
	check_rows(hosts, rows, sizeof(rows) / sizeof(rows[0]));
	rcpthosts_free(&hosts);
	assert_null(hosts);
	rcpthosts_free(&hosts);
}

static void
no_file_matches_all_an_empty_one_none(void **state)
{
	static const struct row open_rows[] = { { "a@b.test", 1 } };
	static const struct row closed_rows[] = { { "a@b.test", 0 },
		{ "a", 1 } };
	struct error err = { "" };
	struct rcpthosts *hosts = load(&err);

	(void)state;
	check_rows(hosts, open_rows, 1);
	rcpthosts_free(&hosts);
	put("rcpthosts", "");
	hosts = load(&err);
	check_rows(hosts, closed_rows, 2);
	rcpthosts_free(&hosts);
}

static void
more_counts_at_once(void **state)
{
	static const struct row before[] = { { "a@more.test", 0 } };
	static const struct row after[] = { { "a@more.test", 1 },
		{ "a@MORE.test", 1 }, { "a@x.more.test", 0 },
		{ "a@x.suffix.test", 1 }, { "a@suffix.test", 0 },
		{ "a@first.test", 1 }, { "a@none.test", 0 }, { "a@", 0 } };
	static const struct row damaged[] = { { "a@more.test", -1 },
		{ "a@first.test", 1 } };
	struct error err = { "" };
	struct rcpthosts *hosts;

	(void)state;
	put("rcpthosts", "first.test\n");
	hosts = load(&err);
	check_rows(hosts, before, 1);
	put("morercpthosts", "# x\nMore.test \t\n\n.suffix.test");
	assert_int_equal(rcpthosts_compile_more(folder, &err), 0);
	check_rows(hosts, after, sizeof(after) / sizeof(after[0]));
	put("morercpthosts.cdb", "damaged");
	check_rows(hosts, damaged, 2);
	rcpthosts_free(&hosts);
	assert_null(load(&err));
	assert_non_null(strstr(err.text, "/morercpthosts.cdb' is not a cdb"));
}

static void
bad_more(void **state)
{
	struct error err = { "" };
	struct cdbmap *map;

	(void)state;
	assert_int_equal(rcpthosts_compile_more(folder, &err), -1);
	assert_int_equal(errno, ENOENT);
	assert_non_null(strstr(err.text, "/morercpthosts'; write the domains"));
	put("morercpthosts", "old.test\n");
	assert_int_equal(rcpthosts_compile_more(folder, &err), 0);
	put("morercpthosts", "a.test\nuser@b.test\n");
	assert_int_equal(rcpthosts_compile_more(folder, &err), -1);
	assert_int_equal(errno, EINVAL);
	assert_non_null(strstr(err.text,
	    "/morercpthosts:2: 'user@b.test' is "
	    "not a domain"));
	folder_write("morercpthosts", "a\0b\n", 4);
	assert_int_equal(rcpthosts_compile_more(folder, &err), -1);
	assert_int_equal(errno, EINVAL);
	assert_non_null(strstr(err.text, "/morercpthosts:1: a NUL byte"));
	assert_int_equal(
	    cdbmap_open(folder_path("morercpthosts.cdb"), &map, &err), 1);
	assert_int_equal(cdbmap_get(map, "old.test", 8, NULL, &err), 1);
	assert_int_equal(cdbmap_get(map, "a.test", 6, NULL, &err), 0);
	cdbmap_free(&map);
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, folder_setup, folder_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(names_and_suffixes),
		TEST(no_file_matches_all_an_empty_one_none),
		TEST(more_counts_at_once),
		TEST(bad_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
