/* SPDX-License-Identifier: ISC */
/* Tests of svctool/check/domain_users.c. */
#include "svctool/check/domain.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/check_users.h"

/* Looks at al, whose folder is dir below the node's. */
static void
expect_at(const char *name, const char *dir, const char *wanted)
{
	struct check_assign line = check_users_line();
	struct check check = check_begin();
	struct vpasswd_file *users;

	svc_dir("domains/a.test");
	users = check_users_file("al", dir, 0, 0);
	check_domain_users(&check, &line, users);
	check_expect(&check, name, wanted);
	check_release(&check);
	vpasswd_file_free(&users);
}

static void
expect(const char *name, const char *wanted)
{
	expect_at(name, folder_path("domains/a.test/al"), wanted);
}

#define AL "domains/a.test/al"

static void
modes(void **state)
{
	static const struct {
		const char *dir;
		mode_t mode;
		const char *wanted;
	} rows[] = {
		{ AL, 0700, "" },
		{ AL, 0755, "" }, /* .qmail files may be read */
		{ AL, 0775,
		    "E ~/" AL ": its mode is 775, which lets others change it "
		    "-- chmod 755 '~/" AL "'\n" },
		{ AL, 0500,
		    "E ~/" AL ": its mode is 500, so mail for the user waits "
		    "-- chmod 700 '~/" AL "'\n" },
		{ AL "/Maildir", 0700, "" },
		{ AL "/Maildir", 0750,
		    "E ~/" AL "/Maildir: its mode is 750, which lets others "
		    "read it -- chmod 700\n" },
		{ AL "/Maildir/new", 0702,
		    "E ~/" AL "/Maildir/new: its mode is 702, which lets "
		    "others change it -- chmod 700\n" },
		{ AL "/Maildir/cur", 0300,
		    "E ~/" AL "/Maildir/cur: its mode is 300, so mail\n" },
		{ AL "/Maildir/tmp", 0701, "lets others read it\n" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		check_users_make(AL);
		assert_int_equal(
		    chmod(folder_path(rows[i].dir), rows[i].mode), 0);
		expect(rows[i].dir, rows[i].wanted);
		assert_int_equal(chmod(folder_path(rows[i].dir), 0700), 0);
	}
}

static void
what_is_missing(void **state)
{
	struct error err;

	(void)state;
	expect("no folder",
	    "E ~/" AL ": the folder of 'al@a.test': No such file or directory, "
	    "so mail for the user waits -- put it back, or 'mkdir -m 700 ~/" AL
	    " && chown\n");
	/* A delivery makes these. */
	check_users_dir(AL, 0700);
	expect("no Maildir", "");
	check_users_dir(AL "/Maildir", 0700);
	expect("no new", "");
	svc_put(AL "/Maildir/new", "file");
	expect("a file",
	    "E ~/" AL "/Maildir/new: it is no folder, so mail for the user "
	    "waits -- move it away\n");
	assert_int_equal(file_remove_tree(folder_path(AL), &err), 0);
	/* No delivery follows a link. */
	check_users_make("domains/a.test/real");
	assert_int_equal(symlink("real", folder_path(AL)), 0);
	expect("a link", "E ~/" AL ": it is no folder, so mail for\n");
}

static void
places(void **state)
{
	(void)state;
	check_users_make("domains/a.test/0/1/al");
	expect_at("levels", folder_path("domains/a.test/0/1/al"), "");
	assert_int_equal(chmod(folder_path("domains/a.test/0"), 0720), 0);
	expect_at("a level that others may change",
	    folder_path("domains/a.test/0/1/al"),
	    "E ~/domains/a.test/0: its mode is 720, which lets others\n");
	check_users_make("domains/b.test/al");
	expect_at("another domain's", folder_path("domains/b.test/al"), "");
	check_users_make("elsewhere/al");
	expect_at("elsewhere", folder_path("elsewhere/al"),
	    "E ~/elsewhere/al: the folder of 'al@a.test' is not below "
	    "'~/domains', so mail for the user waits -- move it below that, "
	    "correct '~/domains/a.test/vpasswd', then vmkpasswd a.test\n");
	check_users_make("domains.old/al");
	expect_at("a name that begins alike", folder_path("domains.old/al"),
	    "is not below '~/domains'\n");
}

/* What the remedy of a folder mends is not said of all below it. */
static void
owners(void **state)
{
	(void)state;
	if (geteuid() != 0) {
		print_message("not root: cannot give folders away\n");
		skip();
	}
	check_users_make("domains/a.test/0/al");
	assert_int_equal(
	    chown(folder_path("domains/a.test/0/al/Maildir"), 65534, 0), 0);
	expect_at("Maildir", folder_path("domains/a.test/0/al"),
	    "E ~/domains/a.test/0/al/Maildir: it belongs to uid 65534, and "
	    "should to uid 0 -- chown -R 0:0 '~/domains/a.test/0/al/"
	    "Maildir'\n");
	assert_int_equal(chown(folder_path("domains/a.test/0"), 65534, 0), 0);
	expect_at("a level", folder_path("domains/a.test/0/al"),
	    "E ~/domains/a.test/0: it belongs to uid 65534, and should\n");
}

static void
many_faults(void **state)
{
	struct check_assign line = check_users_line();
	struct check check = check_begin();
	struct vpasswd_file *users = NULL;

	(void)state;
	svc_dir("domains/a.test");
	for (unsigned i = 0; i < CHECK_CROWD_MAX + 5; i++) {
		char name[16], dir[200];

		vpasswd_file_free(&users);
		snprintf(name, sizeof(name), "u%u", i);
		snprintf(dir, sizeof(dir), "%s/%s", line.home, name);
		users = check_users_file(name, dir, 0, 0);
	}
	check_domain_users(&check, &line, users);
	assert_int_equal(check.count, CHECK_CROWD_MAX + 1);
	assert_string_equal(check.findings[CHECK_CROWD_MAX].text,
	    "5 more of these are not shown");
	vpasswd_file_free(&users);
	check_release(&check);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		SVC_TEST(modes),
		SVC_TEST(what_is_missing),
		SVC_TEST(places),
		SVC_TEST(owners),
		SVC_TEST(many_faults),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
