/* SPDX-License-Identifier: ISC */
#include "mailbox/maildir.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/tempdir.h"

static char *root;
static int root_fd;

static int
setup(void **state)
{
	(void)state;
	root = tempdir_make();
	root_fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return root_fd == -1 ? -1 : 0;
}

static int
teardown(void **state)
{
	(void)state;
	close(root_fd);
	tempdir_remove(root);
	return 0;
}

static mode_t
mode_of(const char *path)
{
	struct stat st;

	return fstatat(root_fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0
	    ? st.st_mode
	    : 0;
}

static void
missing_folders_are_made(void **state)
{
	static const char *const before[] = { NULL, "M", "M/tmp", "M/new" };
	struct maildir maildir;
	struct error err;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(before) / sizeof(*before); i++) {
		if (i > 0)
			assert_int_equal(mkdirat(root_fd, "M", 0700), 0);
		if (i > 1)
			assert_int_equal(mkdirat(root_fd, before[i], 0700), 0);
		assert_int_equal(maildir_open(root_fd, "M", &maildir, &err), 0);
		assert_int_equal(mode_of("M"), S_IFDIR | 0700);
		assert_int_equal(mode_of("M/tmp"), S_IFDIR | 0700);
		assert_int_equal(mode_of("M/new"), S_IFDIR | 0700);
		assert_int_equal(mode_of("M/cur"), S_IFDIR | 0700);
		assert_int_equal(faccessat(maildir.dir_fd, "cur", F_OK, 0), 0);
		maildir_release(&maildir);
		assert_int_equal(maildir.new_fd, -1);
		unlinkat(root_fd, "M/tmp", AT_REMOVEDIR);
		unlinkat(root_fd, "M/new", AT_REMOVEDIR);
		unlinkat(root_fd, "M/cur", AT_REMOVEDIR);
		assert_int_equal(unlinkat(root_fd, "M", AT_REMOVEDIR), 0);
	}
}

static void
links_and_files_are_refused(void **state)
{
	static const struct {
		const char *name;
		const char *text;
	} rows[] = { { "M", "'M'" }, { "M/tmp", "'tmp'" }, { "M/new", "'new'" },
		{ "M/cur", "'cur'" } };
	struct maildir maildir;
	struct error err;
	size_t i;

	(void)state;
	assert_int_equal(mkdirat(root_fd, "elsewhere", 0700), 0);
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		if (i > 0)
			assert_int_equal(mkdirat(root_fd, "M", 0700), 0);
		assert_int_equal(
		    symlinkat("../elsewhere", root_fd, rows[i].name), 0);
		assert_int_equal(
		    maildir_open(root_fd, "M", &maildir, &err), -1);
		assert_int_equal(errno, ENOTDIR);
		assert_int_equal(maildir.dir_fd, -1);
		assert_non_null(strstr(err.text, rows[i].text));
		unlinkat(root_fd, rows[i].name, 0);
		unlinkat(root_fd, "M/tmp", AT_REMOVEDIR);
		unlinkat(root_fd, "M/new", AT_REMOVEDIR);
		if (i > 0)
			assert_int_equal(
			    unlinkat(root_fd, "M", AT_REMOVEDIR), 0);
	}
}

/* A reason names the Maildir, whatever file of it failed. */
static void
reasons_name_the_maildir(void **state)
{
	char wanted[PATH_MAX + 64], *real;
	struct maildir maildir;
	struct error err;

	(void)state;
	assert_int_equal(maildir_open(root_fd, "M", &maildir, &err), 0);
	errno = ENOSPC;
	error_set(&err, "cannot write to 'tmp'");
	maildir_context(&maildir, &err);
	assert_int_equal(errno, ENOSPC);
	real = realpath(root, NULL);
	assert_non_null(real);
	snprintf(wanted, sizeof(wanted),
	    "Maildir '%s/M': cannot write to 'tmp'", real);
	assert_string_equal(err.text, wanted);
	free(real);
	maildir_release(&maildir);
}

static void
paths_stay_beneath(void **state)
{
	static const struct {
		const char *path;
		int error; /* 0: opens */
	} rows[] = {
		{ "a", 0 },
		{ "a/b", 0 },
		{ "a/b/", 0 },
		{ "", EINVAL },
		{ "/a", EINVAL },
		{ "a//b", EINVAL },
		{ ".", EINVAL },
		{ "..", EINVAL },
		{ "a/../a", EINVAL },
		{ "a/./b", EINVAL },
		{ "a/b/..", EINVAL },
		{ "absent", ENOENT },
		{ "a/absent", ENOENT },
		{ "link", ENOTDIR },
		{ "link/b", ENOTDIR },
		{ "file", ENOTDIR },
	};
	size_t i;

	(void)state;
	assert_int_equal(mkdirat(root_fd, "a", 0700), 0);
	assert_int_equal(mkdirat(root_fd, "a/b", 0700), 0);
	assert_int_equal(symlinkat("a", root_fd, "link"), 0);
	close(openat(root_fd, "file", O_WRONLY | O_CREAT, 0600));
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		int fd = maildir_open_beneath(root_fd, rows[i].path);
		int error = fd == -1 ? errno : 0;

		if (error != rows[i].error)
			fail_msg("'%s': errno %d, wanted %d", rows[i].path,
			    error, rows[i].error);
		if (fd != -1)
			close(fd);
	}
}

static void
a_long_component_is_refused(void **state)
{
	char path[400];

	(void)state;
	memset(path, 'x', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(maildir_open_beneath(root_fd, path), -1);
	assert_int_equal(errno, EINVAL);
}

static void
names_never_repeat(void **state)
{
	char before[MAILDIR_NAME_SIZE] = "", name[MAILDIR_NAME_SIZE];
	char pid[40];
	int i;

	(void)state;
	snprintf(pid, sizeof(pid), "P%ldQ", (long)getpid());
	for (i = 0; i < 1000; i++) {
		maildir_make_name(name, "host.example");
		assert_string_not_equal(name, before);
		memcpy(before, name, sizeof(name));
	}
	assert_non_null(strstr(name, ".M"));
	assert_non_null(strstr(name, pid));
	assert_string_equal(strstr(name, ".host"), ".host.example");
}

static void
the_host_fits_a_file_name(void **state)
{
	char host[MAILDIR_HOST_SIZE];

	(void)state;
	maildir_host(host);
	assert_true(strlen(host) > 0);
	assert_null(strpbrk(host, "/:,"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    missing_folders_are_made, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    links_and_files_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    reasons_name_the_maildir, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    paths_stay_beneath, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    a_long_component_is_refused, setup, teardown),
		cmocka_unit_test(names_never_repeat),
		cmocka_unit_test(the_host_fits_a_file_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
