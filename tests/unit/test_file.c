/* SPDX-License-Identifier: ISC */
/* Tests of base/file.c. */
#include "base/file.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/folder.h"

static mode_t
mode_of(const char *name)
{
	struct stat st;

	assert_int_equal(stat(folder_path(name), &st), 0);
	return st.st_mode & 07777;
}

static unsigned
count_files(void)
{
	DIR *dir = opendir(folder);
	unsigned count = 0;

	assert_non_null(dir);
	for (struct dirent *entry; (entry = readdir(dir)) != NULL;)
		count += entry->d_name[0] != '.';
	closedir(dir);
	return count;
}

static void
reads_whole_files(void **state)
{
	struct error err = { "" };
	struct buf buf;
	char large[20000];

	(void)state;
	buf_init(&buf);
	buf_adds(&buf, "before ");
	folder_write("small", "a\0b", 3);
	assert_int_equal(file_read(folder_path("small"), 3, &buf, &err), 1);
	assert_int_equal(buf.length, 10);
	assert_memory_equal(buf.data, "before a\0b", 11);
	buf_reset(&buf);
	memset(large, 'x', sizeof(large));
	folder_write("large", large, sizeof(large));
	assert_int_equal(
	    file_read(folder_path("large"), sizeof(large), &buf, &err), 1);
	assert_int_equal(buf.length, sizeof(large));
	buf_reset(&buf);
	folder_write("empty", "", 0);
	assert_int_equal(file_read(folder_path("empty"), 0, &buf, &err), 1);
	assert_int_equal(buf.length, 0);
	buf_release(&buf);
}

static void
absent_and_unreadable(void **state)
{
	struct error err = { "" };
	struct buf buf = BUF_INIT;

	(void)state;
	assert_int_equal(file_read(folder_path("none"), 9, &buf, &err), 0);
	assert_string_equal(err.text, "");
	assert_int_equal(file_read(folder, 9, &buf, &err), -1);
	assert_non_null(strstr(err.text, "cannot read '"));
	folder_write("ten", "0123456789", 10);
	assert_int_equal(file_read(folder_path("ten"), 9, &buf, &err), -1);
	assert_non_null(strstr(err.text, "/ten' is larger than 9 bytes"));
	assert_int_equal(file_read(folder_path("ten/x"), 9, &buf, &err), -1);
	assert_non_null(strstr(err.text, "Not a directory"));
	buf_release(&buf);
}

static void
replaces(void **state)
{
	struct error err = { "" };
	struct buf buf = BUF_INIT;

	(void)state;
	umask(077);
	assert_int_equal(
	    file_replace(folder_path("r"), "one", 3, 0644, &err), 0);
	assert_int_equal(mode_of("r"), 0644);
	assert_int_equal(chmod(folder_path("r"), 0600), 0);
	assert_int_equal(
	    file_replace(folder_path("r"), "two\0", 4, 0644, &err), 0);
	assert_int_equal(mode_of("r"), 0600);
	assert_int_equal(file_read(folder_path("r"), 9, &buf, &err), 1);
	assert_memory_equal(buf.data, "two\0", 4);
	assert_int_equal(buf.length, 4);
	assert_int_equal(count_files(), 1);
	buf_release(&buf);
}

static void
failed_replace_leaves_nothing(void **state)
{
	struct error err = { "" };

	(void)state;
	assert_int_equal(
	    file_replace(folder_path("no/x"), "a", 1, 0644, &err), -1);
	assert_non_null(strstr(err.text, "cannot create '"));
	assert_int_equal(mkdir(folder_path("dir"), 0755), 0);
	assert_int_equal(
	    file_replace(folder_path("dir"), "a", 1, 0644, &err), -1);
	assert_non_null(strstr(err.text, "cannot rename '"));
	assert_int_equal(count_files(), 1);
}

static void
makes_folders(void **state)
{
	struct error err = { "" };

	(void)state;
	umask(077);
	assert_int_equal(mkdir(folder_path("a"), 0700), 0);
	assert_int_equal(file_make_dirs(folder_path("a/b/c"), 0755, &err), 0);
	assert_int_equal(mode_of("a"), 0700);
	assert_int_equal(mode_of("a/b"), 0755);
	assert_int_equal(mode_of("a/b/c"), 0755);
	assert_int_equal(file_make_dirs(folder_path("a/b/c"), 0700, &err), 0);
	assert_int_equal(mode_of("a/b/c"), 0755);
	folder_write("file", "", 0);
	assert_int_equal(file_make_dirs(folder_path("file/x"), 0755, &err), -1);
	assert_non_null(strstr(err.text, "cannot make folder '"));
}

static void
removes_trees_not_what_links_name(void **state)
{
	struct error err = { "" };
	struct stat st;

	(void)state;
	assert_int_equal(file_make_dirs(folder_path("t/u/v"), 0755, &err), 0);
	assert_int_equal(mkdir(folder_path("kept"), 0755), 0);
	folder_write("kept/file", "x", 1);
	folder_write("t/u/file", "x", 1);
	assert_int_equal(symlink("../../kept", folder_path("t/u/link")), 0);
	assert_int_equal(file_remove_tree(folder_path("t"), &err), 0);
	assert_int_equal(stat(folder_path("t"), &st), -1);
	assert_int_equal(stat(folder_path("kept/file"), &st), 0);
	assert_int_equal(file_remove_tree(folder_path("t"), &err), 0);
}

static void
writes_all_or_says_why(void **state)
{
	int fd = open("/dev/full", O_WRONLY);

	(void)state;
	assert_int_not_equal(fd, -1);
	assert_int_equal(file_write_all(fd, "x", 1), -1);
	assert_int_equal(errno, ENOSPC);
	assert_int_equal(file_write_all(fd, "", 0), 0);
	close(fd);
}

static void
syncs_the_parent(void **state)
{
	struct error err = { "" };

	(void)state;
	assert_int_equal(file_sync_parent(folder_path("x"), &err), 0);
	assert_int_equal(file_sync_parent("x", &err), 0);
	assert_int_equal(file_sync_parent("/x", &err), 0);
	assert_int_equal(file_sync_parent(folder_path("no/x"), &err), -1);
	assert_non_null(strstr(err.text, "/no'"));
}

static void
own_folder(void **state)
{
	char *dir = file_program_dir();
	char path[PATH_MAX];

	(void)state;
	snprintf(path, sizeof(path), "%s/test_file", dir);
	assert_int_equal(access(path, X_OK), 0);
	free(dir);
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, folder_setup, folder_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(reads_whole_files),
		TEST(absent_and_unreadable),
		TEST(replaces),
		TEST(failed_replace_leaves_nothing),
		TEST(makes_folders),
		TEST(removes_trees_not_what_links_name),
		TEST(writes_all_or_says_why),
		TEST(syncs_the_parent),
		TEST(own_folder),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
