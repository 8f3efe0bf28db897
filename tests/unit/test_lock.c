/* SPDX-License-Identifier: ISC */
/* Tests of adminsrv/lock.c. */
#include "adminsrv/lock.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/unit/folder.h"

enum { LONG_MS = 20000, LOOK_AGAIN_MS = 5 };

static void
makes_and_holds(void **state)
{
	const char *path = folder_path("lock");
	struct error err = { "" };
	struct stat st;
	int fd, other;

	(void)state;
	fd = lock_take(path, &err);
	assert_int_not_equal(fd, -1);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	other = open(path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(flock(other, LOCK_SH | LOCK_NB), -1);
	assert_int_equal(errno, EWOULDBLOCK);
	close(fd);
	assert_int_equal(flock(other, LOCK_SH | LOCK_NB), 0);
	close(other);
	/* What is in a file that is there already stays. */
	folder_write("lock", "kept", 4);
	fd = lock_take(path, &err);
	assert_int_not_equal(fd, -1);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, 4);
	close(fd);
}

static void
cannot_be_had(void **state)
{
	struct error err = { "" };

	(void)state;
	assert_int_equal(lock_take(folder_path("none/lock"), &err), -1);
	assert_non_null(strstr(err.text, "cannot open the lock '"));
	/* A link could have root make a file anywhere. */
	assert_int_equal(
	    symlink(folder_path("elsewhere"), folder_path("link")), 0);
	assert_int_equal(lock_take(folder_path("link"), &err), -1);
	assert_int_equal(access(folder_path("elsewhere"), F_OK), -1);
	assert_int_equal(mkdir(folder_path("dir"), 0700), 0);
	assert_int_equal(lock_take(folder_path("dir"), &err), -1);
}

/* A thread that takes the lock. */
struct taker {
	const char *path;
	int fd;
};

static void *
take(void *argument)
{
	struct taker *taker = argument;

	taker->fd = lock_take(taker->path, NULL);
	return NULL;
}

/* Does anybody wait for a lock on this inode?  As /proc/locks(5) has it. */
static bool
is_waited_for(ino_t inode)
{
	FILE *locks = fopen("/proc/locks", "r");
	char line[256], wanted[64];
	bool is_found = false;

	assert_non_null(locks);
	snprintf(wanted, sizeof(wanted), ":%lu ", (unsigned long)inode);
	while (fgets(line, sizeof(line), locks) != NULL)
		is_found |= strstr(line, "-> FLOCK") != NULL &&
		    strstr(line, wanted) != NULL;
	fclose(locks);
	return is_found;
}

static void
wait_until_waited_for(ino_t inode)
{
	int64_t deadline = clock_ms() + LONG_MS;

	while (!is_waited_for(inode)) {
		assert_true(clock_ms() < deadline);
		poll(NULL, 0, LOOK_AGAIN_MS);
	}
}

/* Who waited must not hold a file that others no longer find by its name. */
static void
a_removed_file_is_no_lock(void **state)
{
	char path[256];
	struct taker taker = { .path = path, .fd = -1 };
	struct stat old, held, named;
	pthread_t thread;
	int first;

	(void)state;
	snprintf(path, sizeof(path), "%s", folder_path("lock"));
	first = lock_take(folder_path("lock"), NULL);
	assert_int_not_equal(first, -1);
	assert_int_equal(fstat(first, &old), 0);
	assert_int_equal(pthread_create(&thread, NULL, take, &taker), 0);
	wait_until_waited_for(old.st_ino);
	assert_int_equal(unlink(folder_path("lock")), 0);
	folder_write("lock", "", 0);
	close(first);
	pthread_join(thread, NULL);
	assert_int_not_equal(taker.fd, -1);
	assert_int_equal(fstat(taker.fd, &held), 0);
	assert_int_equal(stat(folder_path("lock"), &named), 0);
	assert_int_equal(held.st_ino, named.st_ino);
	close(taker.fd);
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, folder_setup, folder_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(makes_and_holds),
		TEST(cannot_be_had),
		TEST(a_removed_file_is_no_lock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
