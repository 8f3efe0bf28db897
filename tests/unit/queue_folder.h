/* SPDX-License-Identifier: ISC */
/* A queue of a test's own.  Include after cmocka.h. */
#ifndef TESTS_UNIT_QUEUE_FOLDER_H
#define TESTS_UNIT_QUEUE_FOLDER_H

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "queue/dir.h"
#include "queue/fix.h"
#include "tests/unit/folder.h"

/* queue_fix() without its lines on standard output. */
static inline int
quiet_fix_as(
    const char *path, const struct fix_options *options, struct error *err)
{
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	int out, result;

	fflush(stdout);
	out = dup(1);
	dup2(null, 1);
	result = queue_fix(path, options, err);
	fflush(stdout);
	dup2(out, 1);
	close(out);
	close(null);
	return result;
}

static inline int
quiet_fix(const char *path, unsigned split, bool is_test, struct error *err)
{
	struct fix_options options = { .split = split,
		.is_test = is_test,
		.uid = (uid_t)-1,
		.gid = (gid_t)-1 };

	return quiet_fix_as(path, &options, err);
}

static inline struct queue_dir *
make_queue(const char *name, unsigned split)
{
	struct error err = { "" };
	struct queue_dir *dir;

	if (quiet_fix(folder_path(name), split, false, &err) == -1)
		fail_msg("%s", err.text);
	dir = queue_dir_open(folder_path(name), &err);
	if (dir == NULL)
		fail_msg("%s", err.text);
	return dir;
}

static inline void
make_test_folder(const char *path)
{
	if (mkdir(path, 0700) == -1 && errno != EEXIST)
		fail_msg("cannot make %s", path);
}

/*
 * A queue without what lies in lock/, for tests of the message files; made, or
 * opened again.
 */
static inline struct queue_dir *
make_bare_queue(const char *name, unsigned split)
{
	const char *path = folder_path(name);
	struct error err = { "" };
	enum queue_folder kind;
	struct queue_dir *dir;
	char part[256];

	make_test_folder(path);
	for (kind = 0; kind < QUEUE_FOLDER_COUNT; kind++) {
		snprintf(
		    part, sizeof(part), "%s/%s", path, queue_folder_name(kind));
		make_test_folder(part);
		for (unsigned i = 0; kind < QUEUE_FOLDER_SPLIT_END && i < split;
		     i++) {
			snprintf(part, sizeof(part), "%s/%s/%u", path,
			    queue_folder_name(kind), i);
			make_test_folder(part);
		}
	}
	dir = queue_dir_open(path, &err);
	if (dir == NULL)
		fail_msg("%s", err.text);
	return dir;
}

static inline bool
has_file(const struct queue_dir *dir, enum queue_folder kind, uint64_t id,
    const char *suffix)
{
	char name[QUEUE_NAME_SIZE];

	snprintf(name, sizeof(name), "%llu%s", (unsigned long long)id, suffix);
	return faccessat(queue_dir_fd(dir, kind, id), name, F_OK, 0) == 0;
}

/* Makes or replaces a message's file. */
static inline void
put_file(const struct queue_dir *dir, enum queue_folder kind, uint64_t id,
    const char *data, size_t length)
{
	int fd = queue_open_file(dir, kind, id, O_WRONLY | O_CREAT | O_TRUNC);

	assert_int_not_equal(fd, -1);
	assert_int_equal(write(fd, data, length), length);
	close(fd);
}

static inline void
expect_file(const struct queue_dir *dir, enum queue_folder kind, uint64_t id,
    const char *wanted, size_t length)
{
	int fd = queue_open_file(dir, kind, id, O_RDONLY);
	struct buf content = BUF_INIT;

	if (fd == -1)
		fail_msg("no %s/%llu", queue_folder_name(kind),
		    (unsigned long long)id);
	assert_int_equal(queue_read(fd, &content), 0);
	assert_int_equal(content.length, length);
	assert_memory_equal(content.data, wanted, length);
	buf_release(&content);
	close(fd);
}

#define EXPECT_FILE(dir, kind, id, text) \
	expect_file(dir, kind, id, text, sizeof(text) - 1)

/* A message file named by its inode, as qmail-queue makes it; its id. */
static inline uint64_t
put_message(const struct queue_dir *dir, const char *text)
{
	int pid = queue_dir_fd(dir, QUEUE_PID, 0);
	int fd = openat(pid, "by-test", O_WRONLY | O_CREAT | O_EXCL, 0600);
	char name[QUEUE_NAME_SIZE];
	struct stat st;

	assert_int_not_equal(fd, -1);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(fstat(fd, &st), 0);
	close(fd);
	queue_name(name, st.st_ino);
	assert_int_equal(renameat(pid, "by-test",
			     queue_dir_fd(dir, QUEUE_MESS, st.st_ino), name),
	    0);
	return st.st_ino;
}

/*
 * Gives one file the names of all numbers near id, in a folder.  The inode of
 * a file that is made soon is among them, since a link takes none.
 */
enum { NUMBERS_NEAR = 1000 };

static inline void
put_near(const struct queue_dir *dir, enum queue_folder kind, uint64_t id)
{
	int pid = queue_dir_fd(dir, QUEUE_PID, 0);
	uint64_t number = id > NUMBERS_NEAR ? id - NUMBERS_NEAR : 1;
	int fd = openat(pid, "near", O_WRONLY | O_CREAT | O_EXCL, 0600);

	assert_int_not_equal(fd, -1);
	assert_int_equal(write(fd, "old", 3), 3);
	close(fd);
	for (; number < id + NUMBERS_NEAR; number++) {
		char name[QUEUE_NAME_SIZE];

		queue_name(name, number);
		assert_int_equal(linkat(pid, "near",
				     queue_dir_fd(dir, kind, number), name, 0),
		    0);
	}
	assert_int_equal(unlinkat(pid, "near", 0), 0);
}

/*
 * Which number a new file gets is the filesystem's choice, and others make
 * files, too: a test that says it was not near is done again, in a new queue.
 */
static inline void
until_near(bool (*test)(struct queue_dir *dir))
{
	enum { TURNS = 20 };
	unsigned turn;

	for (turn = 0; turn < TURNS; turn++) {
		struct queue_dir *dir;
		char name[16];
		bool was_near;

		snprintf(name, sizeof(name), "near%u", turn);
		dir = make_queue(name, 3);
		was_near = test(dir);
		queue_dir_close(&dir);
		if (was_near)
			return;
	}
	fail_msg("no new file got a number near the last one's");
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, folder_setup, folder_teardown)

#endif
