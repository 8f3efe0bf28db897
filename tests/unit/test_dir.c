/* SPDX-License-Identifier: ISC */
/* Tests of queue/dir.c. */
#include "queue/dir.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <sys/wait.h>

#include "tests/unit/queue_folder.h"

static void
split_is_found_on_disk(void **state)
{
	static const unsigned splits[] = { 1, 23, 151 };
	struct error err = { "" };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		char name[20];
		struct queue_dir *dir;

		snprintf(name, sizeof(name), "queue%zu", i);
		dir = make_queue(name, splits[i]);
		assert_int_equal(dir->split, splits[i]);
		assert_string_equal(dir->name, name);
		assert_int_equal(queue_dir_fd(dir, QUEUE_MESS, 153),
		    dir->folders[QUEUE_MESS][153 % splits[i]]);
		assert_int_equal(queue_dir_fd(dir, QUEUE_TODO, 153),
		    dir->folders[QUEUE_TODO][0]);
		queue_dir_close(&dir);
		assert_null(dir);
	}
	assert_null(queue_dir_open(folder_path("none"), &err));
	assert_non_null(strstr(err.text, "queue-fix"));
	assert_null(queue_dir_open(folder, &err));
	assert_non_null(strstr(err.text, "not a queue"));
	assert_int_equal(rmdir(folder_path("queue1/local/7")), 0);
	assert_null(queue_dir_open(folder_path("queue1"), &err));
	assert_non_null(strstr(err.text, "local/7"));
}

/*
 * A smaller split had each envelope looked for in the folder of another one,
 * not found there, and removed.
 */
static void
lost_folder_is_no_smaller_split(void **state)
{
	static const struct {
		const char *name, *lost[2];
		const char *wanted; /* NULL: it is a queue, of split 5 */
	} rows[] = {
		{ "none", { NULL }, NULL },
		{ "in between", { "mess/3" }, "mess/3' is missing" },
		{ "the first", { "mess/0" }, "mess/0' is missing" },
		{ "the last", { "mess/4" }, "mess/4' is missing" },
		{ "two", { "mess/1", "mess/3" }, "mess/1' is missing" },
		{ "another kind", { "info/4" }, "info/4' is missing" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct error err = { "" };
		char name[20], path[40];
		struct queue_dir *dir;
		size_t lost;

		snprintf(name, sizeof(name), "queue%zu", i);
		dir = make_queue(name, 5);
		queue_dir_close(&dir);
		for (lost = 0; lost < 2; lost++) {
			if (rows[i].lost[lost] == NULL)
				continue;
			snprintf(path, sizeof(path), "%s/%s", name,
			    rows[i].lost[lost]);
			assert_int_equal(rmdir(folder_path(path)), 0);
		}
		/* No folders, or of no split. */
		snprintf(path, sizeof(path), "%s/mess/1009", name);
		assert_int_equal(mkdir(folder_path(path), 0700), 0);
		snprintf(path, sizeof(path), "%s/mess/77", name);
		folder_write(path, "x", 1);
		dir = queue_dir_open(folder_path(name), &err);
		if ((dir == NULL) != (rows[i].wanted != NULL))
			fail_msg("%s: %s", rows[i].name, err.text);
		if (dir != NULL)
			assert_int_equal(dir->split, 5);
		else if (strstr(err.text, rows[i].wanted) == NULL ||
		    strstr(err.text, "queue-fix") == NULL)
			fail_msg("%s: %s", rows[i].name, err.text);
		queue_dir_close(&dir);
	}
}

static void
files(void **state)
{
	struct queue_dir *dir = make_queue("q", 3);
	struct buf got = BUF_INIT;
	int fd;

	(void)state;
	assert_int_equal(queue_open_file(dir, QUEUE_INFO, 5, O_RDONLY), -1);
	assert_int_equal(errno, ENOENT);
	put_file(dir, QUEUE_INFO, 5, "a\0b", 3);
	EXPECT_FILE(dir, QUEUE_INFO, 5, "a\0b");
	assert_int_equal(access(folder_path("q/info/2/5"), F_OK), 0);
	assert_int_equal(queue_unlink(dir, QUEUE_INFO, 5), 0);
	assert_int_equal(queue_unlink(dir, QUEUE_INFO, 5), 0);
	assert_false(has_file(dir, QUEUE_INFO, 5, ""));
	/* Nobody may send us through a link. */
	assert_int_equal(symlink("/etc/passwd", folder_path("q/info/2/5")), 0);
	assert_int_equal(queue_open_file(dir, QUEUE_INFO, 5, O_RDONLY), -1);
	assert_int_equal(errno, ELOOP);
	fd = queue_open_file(dir, QUEUE_INFO, 8, O_RDWR | O_CREAT);
	assert_int_equal(ftruncate(fd, 70 << 20), 0);
	assert_int_equal(queue_read(fd, &got), -1);
	assert_int_equal(errno, EFBIG);
	close(fd);
	buf_release(&got);
	queue_dir_close(&dir);
}

static void
one_owner(void **state)
{
	struct queue_dir *dir = make_queue("q", 3);
	struct error err = { "" };
	int fd, status;
	pid_t pid;

	(void)state;
	assert_int_equal(queue_is_owned(dir->path, &err), 0);
	fd = queue_take(dir->path, 0, &err);
	assert_int_not_equal(fd, -1);
	assert_int_equal(queue_is_owned(dir->path, &err), 1);
	assert_int_equal(queue_take(dir->path, 60, &err), -1);
	assert_non_null(strstr(err.text, "another qmail-send"));
	close(fd);
	assert_int_equal(queue_is_owned(dir->path, &err), 0);
	/* It waits for the owner to leave. */
	pid = fork();
	if (pid == 0) {
		/* The parent's looks hold the lock for moments, too. */
		fd = queue_take(dir->path, 20000, &err);
		usleep(200000);
		_exit(fd == -1);
	}
	while (queue_is_owned(dir->path, &err) == 0)
		usleep(1000);
	fd = queue_take(dir->path, 20000, &err);
	assert_int_not_equal(fd, -1);
	close(fd);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(queue_is_owned(folder_path("none"), &err), 0);
	/* Its owner does not keep who looks. */
	assert_int_equal(unlink(folder_path("q/lock/sendmutex")), 0);
	assert_int_equal(mkfifo(folder_path("q/lock/sendmutex"), 0600), 0);
	assert_int_equal(queue_is_owned(dir->path, &err), 0);
	queue_dir_close(&dir);
}

/* Many write files alone at once, or one repairs. */
static void
writers_or_repair(void **state)
{
	struct queue_dir *dir = make_queue("q", 3);
	struct error err = { "" };
	int root = queue_open_root(dir->path, &err);
	int one, two;

	(void)state;
	one = queue_lock_files(root, dir->path, QUEUE_FOR_FILES, 0, &err);
	two = queue_lock_files(root, dir->path, QUEUE_FOR_FILES, 0, &err);
	assert_int_not_equal(one, -1);
	assert_int_not_equal(two, -1);
	close(one);
	assert_int_equal(
	    queue_lock_files(root, dir->path, QUEUE_FOR_REPAIR, 60, &err), -1);
	assert_non_null(strstr(err.text, "a qmail-queue is writing"));
	close(two);
	one = queue_lock_files(root, dir->path, QUEUE_FOR_REPAIR, 0, &err);
	assert_int_not_equal(one, -1);
	assert_int_equal(
	    queue_lock_files(root, dir->path, QUEUE_FOR_FILES, 0, &err), -1);
	assert_non_null(strstr(err.text, "queue-fix is repairing"));
	close(one);
	assert_int_equal(rmdir(folder_path("q/pid")), 0);
	assert_int_equal(
	    queue_lock_files(root, dir->path, QUEUE_FOR_FILES, 0, &err), -1);
	assert_non_null(strstr(err.text, "make it with queue-fix"));
	close(root);
	queue_dir_close(&dir);
}

/* What lies elsewhere is not the queue's. */
static void
links_are_not_followed(void **state)
{
	static const char *const names[] = { "mess", "mess/1", "remote/2",
		"todo", "lock", "pid" };
	struct queue_dir *dir = make_queue("q", 3);
	struct error err = { "" };

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char path[40];

		snprintf(path, sizeof(path), "q/%s", names[i]);
		assert_int_equal(
		    rename(folder_path(path), folder_path("away")), 0);
		assert_int_equal(
		    symlink(folder_path("away"), folder_path(path)), 0);
		if (queue_dir_open(dir->path, &err) != NULL)
			fail_msg("%s is a link", names[i]);
		assert_non_null(strstr(err.text, "queue-fix"));
		assert_int_equal(unlink(folder_path(path)), 0);
		assert_int_equal(
		    rename(folder_path("away"), folder_path(path)), 0);
	}
	queue_dir_close(&dir);
	dir = queue_dir_open(folder_path("q"), &err);
	assert_non_null(dir);
	queue_dir_close(&dir);
}

static void
interrupted_repair(void **state)
{
	struct queue_dir *dir = make_queue("q", 3);
	struct error err = { "" };

	(void)state;
	assert_int_equal(queue_check_fixed(dir->path, &err), 0);
	folder_write("q/lock/fixing", "", 0);
	assert_int_equal(queue_check_fixed(dir->path, &err), -1);
	assert_non_null(strstr(err.text, "was interrupted"));
	assert_non_null(strstr(err.text, "run it again"));
	/* Cannot be told: as if it were there. */
	folder_write("q/lock-too", "", 0);
	assert_int_equal(unlink(folder_path("q/lock/fixing")), 0);
	assert_int_equal(rename(folder_path("q/lock"), folder_path("l")), 0);
	assert_int_equal(
	    rename(folder_path("q/lock-too"), folder_path("q/lock")), 0);
	assert_int_equal(queue_check_fixed(dir->path, &err), -1);
	assert_non_null(strstr(err.text, "cannot look for"));
	queue_dir_close(&dir);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(split_is_found_on_disk),
		TEST(lost_folder_is_no_smaller_split),
		TEST(files),
		TEST(one_owner),
		TEST(writers_or_repair),
		TEST(links_are_not_followed),
		TEST(interrupted_repair),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
