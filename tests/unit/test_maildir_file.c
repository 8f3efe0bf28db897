/* SPDX-License-Identifier: ISC */
#include "mailbox/maildir_file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/tempdir.h"

static char *root;
static int root_fd;
static struct maildir maildir;

static int
setup(void **state)
{
	(void)state;
	root = tempdir_make();
	root_fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return maildir_open(root_fd, "a", &maildir, NULL);
}

static int
teardown(void **state)
{
	(void)state;
	maildir_release(&maildir);
	close(root_fd);
	tempdir_remove(root);
	return 0;
}

/* How many files a folder has; the last one's name in name_out. */
static int
count_files(const char *folder, char name_out[NAME_MAX + 1])
{
	char *path = xasprintf("%s/a/%s", root, folder);
	DIR *dir = opendir(path);
	struct dirent *entry;
	int count = 0;

	assert_non_null(dir);
	while ((entry = readdir(dir)) != NULL)
		if (entry->d_name[0] != '.') {
			count++;
			if (name_out != NULL)
				snprintf(name_out, NAME_MAX + 1, "%s",
				    entry->d_name);
		}
	closedir(dir);
	free(path);
	return count;
}

static void
assert_text(const char *path, const char *wanted)
{
	char *whole = xasprintf("%s/a/%s", root, path);
	struct buf buf;

	buf_init(&buf);
	assert_int_equal(file_read(whole, 1000000, &buf, NULL), 1);
	assert_string_equal(buf.data, wanted);
	buf_release(&buf);
	free(whole);
}

static struct iovec
part(const char *text)
{
	struct iovec iovec = { .iov_len = strlen(text) };

	memcpy(&iovec.iov_base, &text, sizeof(text));
	return iovec;
}

static void
create(struct maildir_file *file, const char *name)
{
	struct error err;

	memset(file, 0, sizeof(*file));
	if (maildir_file_create(file, &maildir, name, &err) == -1)
		fail_msg("%s", err.text);
}

static void
add(struct maildir_file *file, const char *text)
{
	const struct iovec iovec = part(text);

	assert_int_equal(maildir_file_add(file, &iovec, 1, NULL), 0);
}

static void
deliver(const char *name, const char *text, bool has_replaced)
{
	struct maildir_file file;

	create(&file, name);
	add(&file, text);
	assert_int_equal(maildir_file_publish(&file, NULL), 0);
	assert_int_equal(file.has_replaced, has_replaced);
	assert_int_equal(file.fd, -1);
	assert_int_equal(file.place, MAILDIR_NEW);
}

static void
from_tmp_to_new(void **state)
{
	struct iovec parts[3] = { part("Subject: x\n"), part(""),
		part("\nbody\n") };
	struct maildir_file file;
	char name[NAME_MAX + 1];
	struct stat st;

	(void)state;
	create(&file, "1.M2.h");
	assert_int_equal(maildir_file_add(&file, parts, 3, NULL), 0);
	add(&file, "more\n");
	assert_int_equal(file.size_bytes, 22);
	assert_int_equal(count_files("new", NULL), 0);
	assert_int_equal(count_files("tmp", name), 1);
	assert_string_equal(name, "1.M2.h");
	assert_int_equal(maildir_file_flush(&file, NULL), 0);
	assert_false(file.is_synced);
	assert_int_equal(maildir_file_sync(&file, NULL), 0);
	assert_true(file.is_synced);
	assert_false(maildir_is_in_new(&maildir, "1.M2.h", 22));
	assert_int_equal(maildir_file_publish(&file, NULL), 0);
	assert_false(file.has_replaced);
	assert_int_equal(count_files("tmp", NULL), 0);
	assert_int_equal(count_files("new", name), 1);
	assert_string_equal(name, "1.M2.h,S=22");
	assert_true(maildir_is_in_new(&maildir, "1.M2.h", 22));
	assert_false(maildir_is_in_new(&maildir, "1.M2.h", 21));
	assert_int_equal(fstatat(maildir.new_fd, name, &st, 0), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0600);
	assert_text("new/1.M2.h,S=22", "Subject: x\n\nbody\nmore\n");
	maildir_file_discard(&file);
	assert_int_equal(count_files("new", NULL), 0);
	maildir_file_discard(&file); /* it is nowhere */
}

static void
made_again_it_replaces_itself(void **state)
{
	(void)state;
	deliver("1.M2.h", "once\n", false);
	deliver("1.M2.h", "twice", true);
	assert_text("new/1.M2.h,S=5", "twice");
	assert_int_equal(count_files("new", NULL), 1);
	deliver("1.M3.h", "other", false);
	assert_int_equal(count_files("new", NULL), 2);
}

static void
what_a_killed_one_left_is_taken_over(void **state)
{
	int fd = openat(
	    maildir.tmp_fd, "1.M2.h", O_WRONLY | O_CREAT | O_EXCL, 0600);

	(void)state;
	assert_int_equal(file_write_all(fd, "a long half of it", 17), 0);
	close(fd);
	deliver("1.M2.h", "whole", false);
	assert_text("new/1.M2.h,S=5", "whole");
	assert_int_equal(count_files("tmp", NULL), 0);
}

/* Nothing else that has the name is written to. */
static void
no_link_is_written_through(void **state)
{
	struct maildir_file file;
	int fd = openat(maildir.dir_fd, "victim", O_WRONLY | O_CREAT, 0600);

	(void)state;
	assert_int_equal(file_write_all(fd, "precious", 8), 0);
	close(fd);
	assert_int_equal(symlinkat("../victim", maildir.tmp_fd, "1.M1.h"), 0);
	deliver("1.M1.h", "x", false);
	assert_int_equal(
	    linkat(maildir.dir_fd, "victim", maildir.tmp_fd, "1.M2.h", 0), 0);
	deliver("1.M2.h", "x", false);
	assert_int_equal(mkfifoat(maildir.tmp_fd, "1.M3.h", 0600), 0);
	deliver("1.M3.h", "x", false);
	assert_text("victim", "precious");
	assert_int_equal(mkdirat(maildir.tmp_fd, "1.M4.h", 0700), 0);
	assert_int_equal(
	    maildir_file_create(&file, &maildir, "1.M4.h", NULL), -1);
	assert_int_equal(file.place, MAILDIR_NOWHERE);
}

static void
two_deliveries_of_one_message(void **state)
{
	struct maildir_file first, second;
	struct error err;

	(void)state;
	create(&first, "1.M2.h");
	add(&first, "first");
	errno = 0;
	assert_int_equal(
	    maildir_file_create(&second, &maildir, "1.M2.h", &err), -1);
	assert_int_equal(errno, EWOULDBLOCK);
	assert_non_null(strstr(err.text, "under way"));
	assert_int_equal(maildir_file_publish(&first, NULL), 0);
	assert_text("new/1.M2.h,S=5", "first");
	deliver("1.M2.h", "again", true);
}

static void
a_write_that_fails_leaves_nothing(void **state)
{
	struct iovec big = { .iov_len = 200000 };
	struct maildir_file file;
	struct rlimit old, small;
	struct error err;
	int result;

	(void)state;
	big.iov_base = xcalloc(1, big.iov_len);
	signal(SIGXFSZ, SIG_IGN);
	create(&file, "1.M2.h");
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small = old;
	small.rlim_cur = 100000; /* a short write first, then a failure */
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	result = maildir_file_add(&file, &big, 1, &err);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(result, -1);
	assert_int_equal(errno, EFBIG);
	assert_non_null(strstr(err.text, "cannot write"));
	assert_int_equal(count_files("tmp", NULL), 1);
	errno = EIO;
	maildir_file_discard(&file);
	assert_int_equal(errno, EIO);
	assert_int_equal(count_files("tmp", NULL), 0);
	free(big.iov_base);
}

static void
a_removed_maildir_is_told(void **state)
{
	struct maildir_file file;
	struct error err;
	char *path;

	(void)state;
	create(&file, "1.M2.h");
	path = xasprintf("%s/a", root);
	assert_int_equal(file_remove_tree(path, NULL), 0);
	free(path);
	assert_int_equal(maildir_file_publish(&file, &err), -1);
	assert_int_equal(errno, ENOENT);
	assert_non_null(strstr(err.text, "cannot rename"));
	maildir_file_discard(&file);
	assert_int_equal(
	    maildir_file_create(&file, &maildir, "1.M3.h", &err), -1);
	assert_int_equal(errno, ENOENT);
	assert_non_null(strstr(err.text, "cannot create"));
}

int
main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(from_tmp_to_new),
		CASE(made_again_it_replaces_itself),
		CASE(what_a_killed_one_left_is_taken_over),
		CASE(no_link_is_written_through),
		CASE(two_deliveries_of_one_message),
		CASE(a_write_that_fails_leaves_nothing),
		CASE(a_removed_maildir_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
