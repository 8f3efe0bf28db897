/* SPDX-License-Identifier: ISC */
#include "mailbox/maildir_batch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/tempdir.h"

static char *root;
static int root_fd;
static struct sync_pool *pool;
static struct maildir_batch *batch;
static struct maildir users[2];

static int
setup(void **state)
{
	(void)state;
	root = tempdir_make();
	root_fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	pool = sync_pool_new(4);
	batch = maildir_batch_new(pool);
	if (maildir_open(root_fd, "a", &users[0], NULL) == -1)
		return -1;
	return maildir_open(root_fd, "b", &users[1], NULL);
}

static int
teardown(void **state)
{
	(void)state;
	maildir_batch_reset(batch);
	maildir_batch_free(&batch);
	sync_pool_free(&pool);
	maildir_release(&users[0]);
	maildir_release(&users[1]);
	close(root_fd);
	tempdir_remove(root);
	return 0;
}

/* How many files a folder has; the last one's name in name_out. */
static int
count_files(const char *folder, char name_out[NAME_MAX + 1])
{
	char *path = xasprintf("%s/%s", root, folder);
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

static struct buf
read_only_file(const char *folder)
{
	char name[NAME_MAX + 1] = "";
	struct buf buf;
	char *path;

	assert_int_equal(count_files(folder, name), 1);
	buf_init(&buf);
	path = xasprintf("%s/%s/%s", root, folder, name);
	assert_int_equal(file_read(path, 10000000, &buf, NULL), 1);
	free(path);
	return buf;
}

static struct iovec
part(const char *text)
{
	struct iovec iovec = { .iov_len = strlen(text) };

	memcpy(&iovec.iov_base, &text, sizeof(text));
	return iovec;
}

static int
write_text(struct maildir *maildir, const char *text, struct error *err)
{
	struct iovec iovec = part(text);
	struct maildir_message message = { &iovec, 1, -1, 0 };

	return maildir_batch_write(batch, maildir, &message, err);
}

static void
nothing_is_in_new_before_the_commit(void **state)
{
	char name[NAME_MAX + 1];
	struct stat st;
	struct buf text;
	int slot;

	(void)state;
	slot = write_text(&users[0], "Subject: x\n\nbody\n", NULL);
	assert_int_equal(slot, 0);
	assert_int_equal(count_files("a/new", NULL), 0);
	assert_int_equal(count_files("a/tmp", NULL), 1);
	maildir_batch_commit(batch);
	assert_int_equal(maildir_batch_result(batch, slot, NULL), 0);
	assert_int_equal(maildir_batch_size(batch, slot), 17);
	assert_int_equal(count_files("a/new", name), 1);
	assert_int_equal(count_files("a/tmp", NULL), 0);
	assert_string_equal(strstr(name, ",S="), ",S=17");
	assert_null(strchr(name, ':'));
	assert_int_equal(fstatat(users[0].new_fd, name, &st, 0), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0600);
	text = read_only_file("a/new");
	assert_string_equal(text.data, "Subject: x\n\nbody\n");
	buf_release(&text);
}

static void
parts_and_the_rest_of_a_file_are_joined(void **state)
{
	static const size_t sizes[] = { 0, 1, 4096, 131072, 131073, 700000 };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		struct iovec parts[3] = { part("front\n"), part(""),
			part("more\n") };
		char *body = xmalloc(sizes[i] + 1);
		struct maildir_message message = { parts, 3, -1, 2 };
		char name[NAME_MAX + 1];
		struct buf text;
		size_t j;

		for (j = 0; j < sizes[i]; j++)
			body[j] = (char)(j * 2654435761u >> 24);
		message.fd = openat(root_fd, "mess",
		    O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		assert_int_equal(file_write_all(message.fd, "XY", 2), 0);
		assert_int_equal(file_write_all(message.fd, body, sizes[i]), 0);
		assert_int_equal(
		    maildir_batch_write(batch, &users[0], &message, NULL), 0);
		maildir_batch_commit(batch);
		assert_int_equal(maildir_batch_result(batch, 0, NULL), 0);
		maildir_batch_reset(batch);
		text = read_only_file("a/new");
		assert_int_equal(text.length, 11 + sizes[i]);
		assert_memory_equal(text.data, "front\nmore\n", 11);
		assert_memory_equal(text.data + 11, body, sizes[i]);
		buf_release(&text);
		close(message.fd);
		free(body);
		count_files("a/new", name);
		unlinkat(users[0].new_fd, name, 0);
	}
}

static void
a_full_batch_to_two_users(void **state)
{
	int i;

	(void)state;
	for (i = 0; i < MAILDIR_BATCH_MAX; i++)
		assert_int_equal(write_text(&users[i % 2], "x\n", NULL), i);
	maildir_batch_commit(batch);
	for (i = 0; i < MAILDIR_BATCH_MAX; i++)
		assert_int_equal(maildir_batch_result(batch, i, NULL), 0);
	assert_int_equal(count_files("a/new", NULL), MAILDIR_BATCH_MAX / 2);
	assert_int_equal(count_files("b/new", NULL), MAILDIR_BATCH_MAX / 2);
	assert_int_equal(count_files("a/tmp", NULL), 0);
}

static void
a_write_that_fails_leaves_nothing(void **state)
{
	struct iovec big = { .iov_len = 200000 };
	struct maildir_message message = { &big, 1, -1, 0 };
	struct rlimit old, small;
	struct error err;
	int slot;

	(void)state;
	big.iov_base = xcalloc(1, big.iov_len);
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(write_text(&users[0], "before\n", NULL), 0);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small = old;
	small.rlim_cur = 100000; /* a short write first, then a failure */
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	slot = maildir_batch_write(batch, &users[0], &message, &err);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(slot, -1);
	assert_int_equal(errno, EFBIG);
	assert_non_null(strstr(err.text, "cannot write"));
	assert_int_equal(count_files("a/tmp", NULL), 1); /* the other one */
	assert_int_equal(write_text(&users[1], "after\n", NULL), 1);
	maildir_batch_commit(batch);
	assert_int_equal(maildir_batch_result(batch, 0, NULL), 0);
	assert_int_equal(maildir_batch_result(batch, 1, NULL), 0);
	free(big.iov_base);
}

static void
a_message_that_cannot_be_read_leaves_nothing(void **state)
{
	struct maildir_message message = { NULL, 0, root_fd, 0 };
	struct iovec none = part("");
	struct error err;

	(void)state;
	message.parts = &none;
	assert_int_equal(
	    maildir_batch_write(batch, &users[0], &message, &err), -1);
	assert_int_equal(errno, EISDIR);
	assert_non_null(strstr(err.text, "cannot read the message"));
	assert_int_equal(count_files("a/tmp", NULL), 0);
}

static void
a_removed_maildir_fails_alone(void **state)
{
	char name[NAME_MAX + 1];
	struct error err;
	char *path;

	(void)state;
	assert_int_equal(write_text(&users[0], "lost\n", NULL), 0);
	assert_int_equal(write_text(&users[1], "kept\n", NULL), 1);
	count_files("a/tmp", name);
	path = xasprintf("%s/a", root);
	assert_int_equal(file_remove_tree(path, NULL), 0);
	free(path);
	maildir_batch_commit(batch);
	assert_int_equal(maildir_batch_result(batch, 0, &err), -1);
	assert_int_equal(errno, ENOENT);
	assert_non_null(strstr(err.text, "cannot rename"));
	assert_int_equal(maildir_batch_result(batch, 1, &err), 0);
	maildir_batch_reset(batch);
	assert_int_equal(write_text(&users[0], "x\n", &err), -1);
	assert_int_equal(errno, ENOENT);
	assert_non_null(strstr(err.text, "cannot create"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    nothing_is_in_new_before_the_commit, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    parts_and_the_rest_of_a_file_are_joined, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    a_full_batch_to_two_users, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    a_write_that_fails_leaves_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    a_message_that_cannot_be_read_leaves_nothing, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(
		    a_removed_maildir_fails_alone, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
