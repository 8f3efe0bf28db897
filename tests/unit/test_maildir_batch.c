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
#include <linux/magic.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/unit/tempdir.h"

/*
 * The calls that make durable, in place of the C library's: what they did, and
 * how they are to fail.  Of each: d fdatasync, f fsync, s syncfs, r renameat2,
 * D a file that is done.
 */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t has_changed = PTHREAD_COND_INITIALIZER;
static char calls[2000];
static int failing_call; /* its letter; fails with EIO ... */
static int failing_fd;   /* ... for this descriptor, or for any: -1 */
static int blocked_call; /* waits */
static bool is_blocked;  /* somebody does */

static int
note_call(int call, int fd)
{
	size_t length;
	bool fails;

	pthread_mutex_lock(&lock);
	length = strlen(calls);
	assert_true(length + 1 < sizeof(calls));
	calls[length] = (char)call;
	calls[length + 1] = '\0';
	while (call == blocked_call) {
		is_blocked = true;
		pthread_cond_broadcast(&has_changed);
		pthread_cond_wait(&has_changed, &lock);
	}
	fails = call == failing_call && (failing_fd == -1 || failing_fd == fd);
	pthread_mutex_unlock(&lock);
	if (fails)
		errno = EIO;
	return fails ? -1 : 0;
}

int
fdatasync(int fd)
{
	return note_call('d', fd);
}

int
fsync(int fd)
{
	return note_call('f', fd);
}

int
syncfs(int fd)
{
	return note_call('s', fd);
}

int
renameat2(
    int from_fd, const char *from, int to_fd, const char *to, unsigned flags)
{
	note_call('r', from_fd);
	return (int)syscall(SYS_renameat2, from_fd, from, to_fd, to, flags);
}

static unsigned long filesystem = EXT4_SUPER_MAGIC;

int
fstatfs(int fd, struct statfs *out)
{
	(void)fd;
	memset(out, 0, sizeof(*out));
	out->f_type = (__fsword_t)filesystem;
	return 0;
}

static void
block(int call)
{
	pthread_mutex_lock(&lock);
	blocked_call = call;
	is_blocked = false;
	pthread_mutex_unlock(&lock);
}

static void
wait_until_blocked(void)
{
	pthread_mutex_lock(&lock);
	while (!is_blocked)
		pthread_cond_wait(&has_changed, &lock);
	pthread_mutex_unlock(&lock);
}

static void
unblock(void)
{
	pthread_mutex_lock(&lock);
	blocked_call = 0;
	pthread_cond_broadcast(&has_changed);
	pthread_mutex_unlock(&lock);
}

static void
let_fail(int call, int fd)
{
	pthread_mutex_lock(&lock);
	failing_call = call;
	failing_fd = fd;
	pthread_mutex_unlock(&lock);
}

static char *root;
static int root_fd, wake_fd;
static struct maildir_batch *batch;
static struct maildir users[2];
static size_t done_count;

enum { FILES_MAX = 300 };
static struct maildir_file files[FILES_MAX];

static int
setup(void **state)
{
	(void)state;
	root = tempdir_make();
	root_fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	filesystem = EXT4_SUPER_MAGIC;
	let_fail(0, -1);
	blocked_call = 0;
	batch = maildir_batch_new(2, wake_fd);
	if (maildir_open(root_fd, "a", &users[0], NULL) == -1 ||
	    maildir_open(root_fd, "b", &users[1], NULL) == -1)
		return -1;
	calls[0] = '\0';
	done_count = 0;
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	unblock();
	maildir_batch_free(&batch);
	maildir_release(&users[0]);
	maildir_release(&users[1]);
	close(wake_fd);
	close(root_fd);
	tempdir_remove(root);
	return 0;
}

static void
end_file(struct maildir_file *file)
{
	assert_ptr_equal(file, &files[file - files]);
	note_call('D', -1);
	done_count++;
}

/* Writes file number i to a user's tmp and posts it. */
static void
post(int i, struct maildir *maildir)
{
	struct iovec iovec;
	const char *text = "x\n";
	char name[32];

	memset(&files[i], 0, sizeof(files[i]));
	files[i].done = end_file;
	snprintf(name, sizeof(name), "1.M%d.h", i);
	memcpy(&iovec.iov_base, &text, sizeof(text));
	iovec.iov_len = 2;
	assert_int_equal(maildir_batch_prepare(batch, maildir, NULL), 0);
	assert_int_equal(
	    maildir_file_create(&files[i], maildir, name, NULL), 0);
	assert_int_equal(maildir_file_add(&files[i], &iovec, 1, NULL), 0);
	maildir_batch_post(&files[i]);
}

static void
wait_done(size_t count)
{
	struct pollfd poll_fd = { .fd = wake_fd, .events = POLLIN };
	uint64_t value;

	maildir_batch_start(batch);
	while (done_count < count) {
		assert_int_equal(poll(&poll_fd, 1, 60000), 1);
		assert_int_equal(
		    read(wake_fd, &value, sizeof(value)), sizeof(value));
		maildir_batch_reap(batch);
	}
	assert_int_equal(done_count, count);
}

static int
count_files(const char *folder)
{
	char *path = xasprintf("%s/%s", root, folder);
	DIR *dir = opendir(path);
	int count = -2;

	assert_non_null(dir);
	while (readdir(dir) != NULL)
		count++;
	closedir(dir);
	free(path);
	return count;
}

static bool
only_of_even_names(const struct maildir_file *file, struct error *err)
{
	bool is_even = (file->name[3] - '0') % 2 == 0;

	if (!is_even)
		error_set(err, "the store is another's");
	return is_even;
}

/* Who may not be seen any more, when it is synced, is nowhere. */
static void
what_may_not_be_seen_is_given_up(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		post(i, &users[0]);
		files[i].may_publish = only_of_even_names;
	}
	wait_done(4);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(files[i].error_number, i % 2 == 0 ? 0 : ESTALE);
		assert_int_equal(files[i].place,
		    i % 2 == 0 ? MAILDIR_NEW : MAILDIR_NOWHERE);
	}
	assert_string_equal(files[1].error.text, "the store is another's");
	assert_int_equal(count_files("a/new"), 2);
	assert_int_equal(count_files("a/tmp"), 0);
}

/* How often a call is in calls. */
static int
count_calls(char call)
{
	const char *at = calls;
	int count = 0;

	while ((at = strchr(at, call)) != NULL) {
		at++;
		count++;
	}
	return count;
}

static void
one_is_durable_before_it_is_in_new(void **state)
{
	(void)state;
	post(0, &users[0]);
	assert_int_equal(count_files("a/new"), 0);
	assert_int_equal(count_files("a/tmp"), 1);
	wait_done(1);
	assert_int_equal(files[0].error_number, 0);
	assert_string_equal(calls, "drfD");
	assert_int_equal(count_files("a/new"), 1);
	assert_int_equal(count_files("a/tmp"), 0);
}

static void
nothing_begins_before_the_start(void **state)
{
	int i;

	(void)state;
	for (i = 0; i < 10; i++)
		post(i, &users[i % 2]);
	assert_int_equal(count_calls('d'), 0);
	wait_done(10);
	/* All files, all renames, each folder once. */
	assert_string_equal(calls, "ddddddddddrrrrrrrrrrffDDDDDDDDDD");
}

/* The calls without those for files that are done. */
static const char *
calls_before_done(void)
{
	static char result[sizeof(calls)];
	size_t length = 0, i;

	for (i = 0; calls[i] != '\0'; i++)
		if (calls[i] != 'D')
			result[length++] = calls[i];
	result[length] = '\0';
	return result;
}

static void
a_large_group_is_synced_as_one(void **state)
{
	char wanted[FILES_MAX];
	int i;

	(void)state;
	for (i = 0; i < 200; i++)
		post(i, &users[i % 2]);
	wait_done(200);
	memset(wanted, 'r', sizeof(wanted));
	wanted[0] = 's';
	memcpy(wanted + 201, "ff", 3); /* no next group: the two folders */
	assert_string_equal(calls_before_done(), wanted);
	assert_int_equal(strchr(calls, 'D') - calls, 203);
	assert_int_equal(count_files("a/new"), 100);
	assert_int_equal(count_files("b/new"), 100);
}

/* What comes while a group is synced is the next, and syncs its renames. */
static void
renames_are_synced_with_the_next_group(void **state)
{
	const char *before;

	(void)state;
	block('d');
	post(0, &users[0]);
	maildir_batch_start(batch);
	wait_until_blocked();
	post(1, &users[1]);
	post(2, &users[1]);
	maildir_batch_start(batch);
	assert_int_equal(count_files("a/new"), 0);
	unblock();
	wait_done(3);
	before = calls_before_done();
	assert_int_equal(strlen(before), 8);
	assert_int_equal(strncmp(before, "dr", 2), 0);
	/* In any order: two files and the first one's folder. */
	assert_in_range(strchr(before, 'f') - before, 2, 4);
	assert_string_equal(before + 5, "rrf");
	assert_true(strchr(calls, 'D') > strchr(calls, 'f'));
	assert_int_equal(count_files("b/new"), 2);
}

static void
a_group_is_bounded(void **state)
{
	int i;

	(void)state;
	for (i = 0; i < FILES_MAX; i++)
		post(i, &users[i % 2]);
	wait_done(FILES_MAX);
	/* 256, then the others with the first ones' renames, then theirs. */
	assert_int_equal(calls[0], 's');
	assert_int_equal(calls[257], 's');
	assert_int_equal(count_files("a/new"), FILES_MAX / 2);
}

static void
a_failed_sync_of_the_filesystem_fails_all(void **state)
{
	int i;

	(void)state;
	let_fail('s', -1);
	for (i = 0; i < 100; i++)
		post(i, &users[i % 2]);
	wait_done(100);
	for (i = 0; i < 100; i++) {
		assert_int_equal(files[i].error_number, EIO);
		assert_non_null(strstr(files[i].error.text, "cannot sync"));
	}
	assert_int_equal(count_calls('r'), 0);
	assert_int_equal(count_files("a/tmp"), 0);
	assert_int_equal(count_files("b/new"), 0);
	let_fail(0, -1);
	done_count = 0;
	for (i = 0; i < 100; i++)
		post(i, &users[i % 2]);
	wait_done(100);
	assert_int_equal(files[0].error_number, 0);
	assert_int_equal(count_files("a/new"), 50);
}

/* Their content is durable, but nobody knows whether they are in new. */
static void
renames_that_failed_to_sync_are_undone(void **state)
{
	int i;

	(void)state;
	block('r');
	for (i = 0; i < 100; i++)
		post(i, &users[0]);
	maildir_batch_start(batch);
	wait_until_blocked();
	for (; i < 200; i++)
		post(i, &users[1]);
	let_fail('s', -1);
	unblock();
	wait_done(200);
	assert_int_equal(count_calls('s'), 2);
	for (i = 0; i < 200; i++)
		assert_int_equal(files[i].error_number, EIO);
	assert_int_equal(count_files("a/new"), 0);
	assert_int_equal(count_files("b/new"), 0);
	assert_int_equal(count_files("b/tmp"), 0);
}

static void
a_failed_sync_of_a_file_fails_it_alone(void **state)
{
	(void)state;
	post(0, &users[0]);
	post(1, &users[0]);
	post(2, &users[1]);
	let_fail('d', files[1].fd);
	wait_done(3);
	assert_int_equal(files[0].error_number, 0);
	assert_int_equal(files[1].error_number, EIO);
	assert_int_equal(files[2].error_number, 0);
	assert_int_equal(count_files("a/new"), 1);
	assert_int_equal(count_files("a/tmp"), 0);
}

static void
a_failed_sync_of_a_folder_fails_what_is_in_it(void **state)
{
	(void)state;
	post(0, &users[0]);
	post(1, &users[1]);
	post(2, &users[0]);
	let_fail('f', users[0].new_fd);
	wait_done(3);
	assert_int_equal(files[0].error_number, EIO);
	assert_int_equal(files[1].error_number, 0);
	assert_int_equal(files[2].error_number, EIO);
	assert_int_equal(count_files("a/new"), 0);
	assert_int_equal(count_files("b/new"), 1);
}

static void
what_is_synced_already_is_not_again(void **state)
{
	(void)state;
	post(0, &users[0]);
	files[0].is_synced = true;
	wait_done(1);
	assert_string_equal(calls, "rfD");
}

/* Where nobody knows what a sync of the filesystem means. */
static void
other_filesystems_have_each_file_synced(void **state)
{
	int i;

	(void)state;
	filesystem = NFS_SUPER_MAGIC;
	for (i = 0; i < 100; i++)
		post(i, &users[i % 2]);
	wait_done(100);
	assert_int_equal(count_calls('d'), 100);
	assert_int_equal(count_calls('f'), 2);
	assert_int_equal(count_calls('s'), 0);
}

static void
a_removed_maildir_fails_alone(void **state)
{
	char *path;

	(void)state;
	post(0, &users[0]);
	post(1, &users[1]);
	path = xasprintf("%s/a", root);
	assert_int_equal(file_remove_tree(path, NULL), 0);
	free(path);
	wait_done(2);
	assert_int_equal(files[0].error_number, ENOENT);
	assert_non_null(strstr(files[0].error.text, "cannot rename"));
	assert_int_equal(files[1].error_number, 0);
}

static void
the_end_finishes_all(void **state)
{
	int i;

	(void)state;
	for (i = 0; i < 20; i++)
		post(i, &users[i % 2]);
	maildir_batch_free(&batch);
	assert_int_equal(done_count, 20);
	assert_int_equal(files[19].error_number, 0);
	assert_int_equal(count_files("a/new"), 10);
}

int
main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(one_is_durable_before_it_is_in_new),
		CASE(nothing_begins_before_the_start),
		CASE(a_large_group_is_synced_as_one),
		CASE(renames_are_synced_with_the_next_group),
		CASE(a_group_is_bounded),
		CASE(a_failed_sync_of_the_filesystem_fails_all),
		CASE(renames_that_failed_to_sync_are_undone),
		CASE(a_failed_sync_of_a_file_fails_it_alone),
		CASE(what_may_not_be_seen_is_given_up),
		CASE(a_failed_sync_of_a_folder_fails_what_is_in_it),
		CASE(what_is_synced_already_is_not_again),
		CASE(other_filesystems_have_each_file_synced),
		CASE(a_removed_maildir_fails_alone),
		CASE(the_end_finishes_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
