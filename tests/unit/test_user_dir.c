/* SPDX-License-Identifier: ISC */
/* Tests of adminsrv/user_dir.c; a user's whole life is in test_users.c. */
#include "adminsrv/user_dir.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/folder.h"

static void
make_dir(const char *name)
{
	assert_int_equal(file_make_dirs(folder_path(name), 0700, NULL), 0);
}

static bool
is_there(const char *name)
{
	struct stat st;

	return lstat(folder_path(name), &st) == 0;
}

static void
made_whole(void **state)
{
	static const char *const parts[] = { "0/al", "0/al/Maildir",
		"0/al/Maildir/tmp", "0/al/Maildir/new", "0/al/Maildir/cur" };
	mode_t old = umask(0777);
	struct error err = { "" };
	enum admin_result first, second;
	struct stat st;

	(void)state;
	first = user_dir_make(folder_path("0/al"), &err);
	/* As one that a killed run began. */
	second = user_dir_make(folder_path("0/al"), &err);
	umask(old);
	assert_int_equal(first, ADMIN_OK);
	assert_int_equal(second, ADMIN_OK);
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		assert_int_equal(stat(folder_path(parts[i]), &st), 0);
		assert_int_equal(st.st_mode, S_IFDIR | 0700);
	}
	assert_int_equal(user_dir_sync(folder, folder_path("0/al"), &err), 0);
	assert_int_equal(user_dir_sync_all(folder, &err), 0);
}

/* Whatever lies there is not the new user's. */
static void
refused_with_files(void **state)
{
	static const char *const files[] = { "al/x", "al/Maildir/new/1",
		"al/Maildir/.Sent/cur/2", "al/.hidden" };
	struct error err = { "" };

	(void)state;
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		char parent[64];

		snprintf(parent, sizeof(parent), "%s", files[i]);
		*strrchr(parent, '/') = '\0';
		make_dir(parent);
		folder_write(files[i], "x", 1);
		if (user_dir_make(folder_path("al"), &err) != ADMIN_REFUSED ||
		    strstr(err.text, "files of an earlier user") == NULL)
			fail_msg("%s: '%s'", files[i], err.text);
		assert_int_equal(file_remove_tree(folder_path("al"), &err), 0);
	}
	make_dir("al");
	assert_int_equal(symlink("/", folder_path("al/link")), 0);
	assert_int_equal(user_dir_make(folder_path("al"), &err), ADMIN_REFUSED);
	folder_write("file", "", 0);
	assert_int_equal(
	    user_dir_make(folder_path("file"), &err), ADMIN_REFUSED);
	/* Our trouble, not the operator's mistake. */
	assert_int_equal(
	    user_dir_make(folder_path("file/al"), &err), ADMIN_FAILED);
}

static void
missing_folders_cannot_be_durable(void **state)
{
	struct error err = { "" };

	(void)state;
	make_dir("al");
	assert_int_equal(user_dir_sync(folder, folder_path("al"), &err), -1);
	assert_non_null(strstr(err.text, "al/Maildir/tmp'"));
	assert_int_equal(user_dir_sync_all(folder_path("none"), &err), -1);
}

static void
size_is_forgotten(void **state)
{
	struct error err = { "" };

	(void)state;
	assert_int_equal(user_dir_forget_size(folder_path("al"), &err), 0);
	make_dir("al/Maildir");
	folder_write("al/Maildir/maildirsize", "x", 1);
	folder_write("al/Maildir/other", "x", 1);
	assert_int_equal(user_dir_forget_size(folder_path("al"), &err), 0);
	assert_false(is_there("al/Maildir/maildirsize"));
	assert_true(is_there("al/Maildir/other"));
	make_dir("al/Maildir/maildirsize");
	assert_int_equal(user_dir_forget_size(folder_path("al"), &err), -1);
	assert_non_null(strstr(err.text, "cannot remove '"));
}

/* Out of the way of deliveries first, then removed. */
static void
put_aside_and_removed(void **state)
{
	struct error err = { "" };
	char *aside;

	(void)state;
	make_dir("0/al/Maildir/new");
	folder_write("0/al/Maildir/new/1", "mail", 4);
	make_dir("0/bo");
	assert_int_equal(
	    symlink(folder_path("0/bo"), folder_path("0/al/Maildir/link")), 0);
	assert_int_equal(
	    user_dir_put_aside(folder, folder_path("0/al"), &aside, &err), 0);
	assert_string_equal(aside, folder_path(".removed/al"));
	assert_false(is_there("0/al"));
	assert_true(is_there(".removed/al/Maildir/new/1"));
	assert_int_equal(user_dir_remove(folder, aside, &err), 0);
	free(aside);
	assert_false(is_there(".removed"));
	assert_true(is_there("0/bo"));
}

static void
nothing_to_put_aside(void **state)
{
	struct error err = { "" };
	char *aside;

	(void)state;
	assert_int_equal(
	    user_dir_put_aside(folder, folder_path("al"), &aside, &err), 0);
	assert_null(aside);
	/* Nor a domain's folder. */
	assert_int_equal(user_dir_put_aside(folder_path("none"),
			     folder_path("none/al"), &aside, &err),
	    0);
	assert_null(aside);
	/* What is in the way must be seen, not written over. */
	make_dir("al");
	make_dir(".removed/al");
	folder_write(".removed/al/x", "x", 1);
	assert_int_equal(
	    user_dir_put_aside(folder, folder_path("al"), &aside, &err), -1);
	assert_null(aside);
	assert_non_null(strstr(err.text, "cannot rename '"));
	assert_true(is_there("al"));
	user_dir_sweep(folder);
	assert_false(is_there(".removed"));
	user_dir_sweep(folder);
	assert_int_equal(
	    user_dir_put_aside(folder, folder_path("al"), &aside, &err), 0);
	free(aside);
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, folder_setup, folder_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(made_whole),
		TEST(refused_with_files),
		TEST(missing_folders_cannot_be_durable),
		TEST(size_is_forgotten),
		TEST(put_aside_and_removed),
		TEST(nothing_to_put_aside),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
