/* SPDX-License-Identifier: ISC */
/* adminsrv/users.c and user_dir.c: a domain's users, changed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "adminsrv/users.h"
#include "adminsrv/vpasswd_file.h"
#include "base/mem.h"
#include "tests/unit/folder.h"

static struct users *
open_users(bool is_new, enum admin_result wanted)
{
	const struct users_at at = { .domain = "a.test",
		.dir = folder,
		.uid = geteuid(),
		.gid = getegid() };
	struct users *users;
	struct error err = { "" };
	enum admin_result result = users_open(&at, is_new, &users, &err);

	if (result != wanted)
		fail_msg("users_open gave %d (%s), wanted %d", (int)result,
		    err.text, (int)wanted);
	return users;
}

static void
add(const char *name, enum admin_result wanted)
{
	struct users_new new = {
		.name = name, .hash = "h", .gecos = "g", .quota = "NOQUOTA"
	};
	struct users *users = open_users(true, ADMIN_OK);
	struct error err = { "" };
	enum admin_result result = users_add(users, &new, 1, &err);

	users_close(&users);
	if (result != wanted)
		fail_msg("adding '%s' gave %d (%s), wanted %d", name,
		    (int)result, err.text, (int)wanted);
}

static bool
is_there(const char *name)
{
	return access(folder_path(name), F_OK) == 0;
}

static void
adds_with_a_maildir(void **state)
{
	const struct vpasswd_entry *entry;
	struct users *users;
	struct stat st;

	(void)state;
	add("alice", ADMIN_OK);
	assert_true(is_there("alice/Maildir/tmp"));
	assert_true(is_there("alice/Maildir/new"));
	assert_true(is_there("alice/Maildir/cur"));
	assert_int_equal(stat(folder_path("alice"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	add("alice", ADMIN_REFUSED);
	users = open_users(false, ADMIN_OK);
	assert_int_equal(users_find(users, "alice", &entry, NULL), ADMIN_OK);
	assert_string_equal(entry->dir, folder_path("alice"));
	users_close(&users);
}

static void
adds_all_or_none(void **state)
{
	const struct vpasswd_entry *entry;
	struct users_new list[40];
	char names[40][8];
	struct users *users;

	(void)state;
	add("u30", ADMIN_OK);
	for (unsigned i = 0; i < 40; i++) {
		snprintf(names[i], sizeof(names[i]), "u%u", i);
		list[i] = (struct users_new){ .name = names[i],
			.hash = "h",
			.gecos = "",
			.quota = "NOQUOTA" };
	}
	users = open_users(false, ADMIN_OK);
	assert_int_equal(users_add(users, list, 40, NULL), ADMIN_REFUSED);
	users_close(&users);
	users = open_users(false, ADMIN_OK);
	assert_int_equal(users_find(users, "u0", &entry, NULL), ADMIN_REFUSED);
	/* What that run made is no hindrance. */
	assert_int_equal(users_add(users, list, 30, NULL), ADMIN_OK);
	users_close(&users);
	assert_true(is_there("u29/Maildir/new"));
}

/* A new user must never find the mail of an earlier one. */
static void
refuses_a_folder_with_mail(void **state)
{
	(void)state;
	assert_int_equal(
	    file_make_dirs(folder_path("bob/Maildir/new"), 0700, NULL), 0);
	folder_write("bob/Maildir/new/1.x", "secret", 6);
	add("bob", ADMIN_REFUSED);
	assert_int_equal(unlink(folder_path("bob/Maildir/new/1.x")), 0);
	add("bob", ADMIN_OK);
}

static void
spreads_by_users_per_level(void **state)
{
	(void)state;
	folder_write(".users_per_level", "2\n", 2);
	add("postmaster", ADMIN_OK);
	add("alice", ADMIN_OK);
	add("bob", ADMIN_OK);
	assert_true(is_there("0/bob/Maildir/new"));
	folder_write(".users_per_level", "101\n", 4);
	{
		struct users_new new = { .name = "carol" };
		struct users *users = open_users(false, ADMIN_OK);
		struct error err = { "" };

		assert_int_equal(users_add(users, &new, 1, &err), ADMIN_FAILED);
		assert_non_null(strstr(err.text, ".users_per_level"));
		users_close(&users);
	}
}

static void
removes_user_and_mail(void **state)
{
	struct users *users;

	(void)state;
	add("alice", ADMIN_OK);
	folder_write("alice/Maildir/new/1.x", "mail", 4);
	users = open_users(false, ADMIN_OK);
	assert_int_equal(users_remove(users, "nobody", NULL), ADMIN_REFUSED);
	assert_int_equal(users_remove(users, "alice", NULL), ADMIN_OK);
	users_close(&users);
	assert_false(is_there("alice"));
	assert_false(is_there(".removed"));
	/* The place is given out again. */
	add("alice", ADMIN_OK);
	assert_true(is_there("alice/Maildir/new"));
	assert_false(is_there("alice/Maildir/new/1.x"));
}

static void
sweeps_what_a_killed_removal_left(void **state)
{
	struct users *users;

	(void)state;
	add("alice", ADMIN_OK);
	assert_int_equal(
	    file_make_dirs(
		folder_path(".removed/alice/Maildir/new"), 0700, NULL),
	    0);
	folder_write(".removed/alice/Maildir/new/1.x", "mail", 4);
	/* The folder renamed, the user still there: removable all the same. */
	assert_int_equal(file_remove_tree(folder_path("alice"), NULL), 0);
	users = open_users(false, ADMIN_OK);
	assert_false(is_there(".removed"));
	assert_int_equal(users_remove(users, "alice", NULL), ADMIN_OK);
	users_close(&users);
	add("alice", ADMIN_OK);
}

/* Files from elsewhere: folders that are another's too, or the domain's own. */
static void
never_removes_others_mail(void **state)
{
	static const struct {
		const char *dir, *other;
		enum admin_result wanted;
	} rows[] = {
		{ "/box", "/box/inner", ADMIN_REFUSED },
		{ "/box/inner", "/box", ADMIN_REFUSED },
		{ "/box/inner", "/box/inner", ADMIN_REFUSED },
		{ "/box/inner/", "/box/inner", ADMIN_REFUSED },
		{ "", "/box", ADMIN_REFUSED },
		{ "/box/inner", "/box/inn", ADMIN_OK },
		{ "/box/inn", "/box/inner", ADMIN_OK },
	};

	(void)state;
	assert_int_equal(
	    file_make_dirs(folder_path("box/inn/Maildir"), 0700, NULL), 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *text = xasprintf("one:h:0:0::%s%s:NOQUOTA\n"
				       "two:h:0:0::%s%s:NOQUOTA\n",
		    folder, rows[i].dir, folder, rows[i].other);
		struct users *users;
		enum admin_result result;

		assert_int_equal(
		    file_make_dirs(
			folder_path("box/inner/Maildir"), 0700, NULL),
		    0);
		folder_write("vpasswd", text, strlen(text));
		free(text);
		users = open_users(false, ADMIN_OK);
		result = users_remove(users, "one", NULL);
		if (result != rows[i].wanted)
			fail_msg("'%s' beside '%s': %d, wanted %d", rows[i].dir,
			    rows[i].other, (int)result, (int)rows[i].wanted);
		assert_int_equal(is_there("box/inner/Maildir"),
		    result == ADMIN_REFUSED ||
			strcmp(rows[i].dir, "/box/inn") == 0);
		users_close(&users);
	}
}

static void
completes_what_a_killed_run_left(void **state)
{
	struct vpasswd_file *file;
	struct users *users;

	(void)state;
	add("alice", ADMIN_OK);
	assert_int_equal(unlink(folder_path("vpasswd.cdb")), 0);
	users = open_users(false, ADMIN_OK);
	users_close(&users);
	assert_int_equal(vpasswd_file_load(folder, &file, NULL), 1);
	assert_true(vpasswd_file_is_compiled(file));
	vpasswd_file_free(&file);
	assert_int_equal(unlink(folder_path("vpasswd")), 0);
	/* The text gone: not a domain without users. */
	users = open_users(false, ADMIN_FAILED);
	assert_null(users);
}

int
main(void)
{
#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, folder_setup, folder_teardown)
	const struct CMUnitTest tests[] = {
		TEST(adds_with_a_maildir),
		TEST(adds_all_or_none),
		TEST(refuses_a_folder_with_mail),
		TEST(spreads_by_users_per_level),
		TEST(removes_user_and_mail),
		TEST(sweeps_what_a_killed_removal_left),
		TEST(never_removes_others_mail),
		TEST(completes_what_a_killed_run_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
