/* SPDX-License-Identifier: ISC */
#include "mailbox/quota.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/folder_fd.h"

static int
setup(void **state)
{
	if (folder_fd_setup(state) != 0)
		return -1;
	return mkdirat(folder_fd, "tmp", 0700) |
	    mkdirat(folder_fd, "new", 0700) | mkdirat(folder_fd, "cur", 0700);
}

static void
put_file(const char *name, const char *text, time_t age)
{
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT },
		{ .tv_sec = time(NULL) - age } };
	int file = openat(folder_fd, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_int_not_equal(file, -1);
	assert_int_equal(file_write_all(file, text, strlen(text)), 0);
	assert_int_equal(futimens(file, times), 0);
	close(file);
}

static void
assert_file(const char *wanted)
{
	struct buf buf;

	buf_init(&buf);
	assert_int_equal(
	    file_read(folder_path("maildirsize"), 100000, &buf, NULL), 1);
	assert_string_equal(buf.data, wanted);
	buf_release(&buf);
}

/* As a delivery: what seems full is counted before it is called full. */
static int
check_quota(int fd, const struct quota *quota, const struct quota_usage *added,
    time_t now, struct quota_usage *usage_out, struct error *err)
{
	switch (quota_look(fd, quota, added, now, usage_out, err)) {
	case QUOTA_FITS:
		return 1;
	case QUOTA_FULL:
		return 0;
	case QUOTA_FAILED:
		return -1;
	case QUOTA_SEEMS_FULL:
	case QUOTA_UNKNOWN:
		break;
	}
	if (quota_recalculate(fd, quota, usage_out, err) == -1)
		return -1;
	return quota_fits(quota, usage_out, added);
}

static void
quota_texts(void **state)
{
	static const struct {
		const char *text;
		int result;
		struct quota wanted;
	} rows[] = {
		{ "", 0, { 0, 0 } },
		{ "NOQUOTA", 0, { 0, 0 } },
		{ "0S", 0, { 0, 0 } },
		{ "5000000", 1, { 5000000, 0 } },
		{ "5000000S", 1, { 5000000, 0 } },
		{ "5000000S,1000C", 1, { 5000000, 1000 } },
		{ "1000C,5000000S", 1, { 5000000, 1000 } },
		{ "1000C", 1, { 0, 1000 } },
		{ "9223372036854775807S", 1, { INT64_MAX, 0 } },
		{ "9223372036854775808S", -1, { 0, 0 } },
		{ "noquota", 0, { 0, 0 } },
		{ "unlimited", 0, { 0, 0 } },
		{ "UNLIMITED", 0, { 0, 0 } },
		{ "none", 0, { 0, 0 } },
		{ "0", 0, { 0, 0 } },
		{ "0S,0C", 0, { 0, 0 } },
		{ "0S,5C", 1, { 0, 5 } },
		{ "5M", 1, { 5 << 20, 0 } },
		{ "5m", 1, { 5 << 20, 0 } },
		{ "5MB", 1, { 5 << 20, 0 } },
		{ "5mb", 1, { 5 << 20, 0 } },
		{ "5MS", 1, { 5 << 20, 0 } },
		{ "1mbs,1000C", 1, { 1 << 20, 1000 } },
		{ "1000c,10MBS", 1, { 10 << 20, 1000 } },
		{ "1024KB", 1, { 1 << 20, 0 } },
		{ "1024k", 1, { 1 << 20, 0 } },
		{ "1G", 1, { 1 << 30, 0 } },
		{ "2T", 1, { (uint64_t)2 << 40, 0 } },
		{ "1000B", 1, { 1000, 0 } },
		{ "1000s", 1, { 1000, 0 } },
		{ "8388607T", 1, { (uint64_t)8388607 << 40, 0 } },
		{ "8388608T", -1, { 0, 0 } },
		{ "5MM", -1, { 0, 0 } },
		{ "5SB", -1, { 0, 0 } },
		{ "5P", -1, { 0, 0 } },
		{ "1.5M", -1, { 0, 0 } },
		{ "MB", -1, { 0, 0 } },
		{ "much", -1, { 0, 0 } },
		{ "NOQUOTA ", -1, { 0, 0 } },
		{ "NOQUOTA,5C", -1, { 0, 0 } },
		{ "1S,2S", -1, { 0, 0 } },
		{ "1C,2C", -1, { 0, 0 } },
		{ "S", -1, { 0, 0 } },
		{ "C", -1, { 0, 0 } },
		{ "5000S,", -1, { 0, 0 } },
		{ ",5000S", -1, { 0, 0 } },
		{ "5000S,x", -1, { 0, 0 } },
		{ "-1S", -1, { 0, 0 } },
		{ "5000S 3C", -1, { 0, 0 } },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct quota quota;
		struct error err = { "" };
		int result = quota_read(rows[i].text, &quota, &err);

		if ((err.text[0] != '\0') != (result == -1))
			fail_msg("'%s': %d with the reason '%s'", rows[i].text,
			    result, err.text);
		if (result != rows[i].result ||
		    quota.bytes != rows[i].wanted.bytes ||
		    quota.count != rows[i].wanted.count)
			fail_msg("'%s': %d %lluS,%lluC, wanted %d %lluS,%lluC",
			    rows[i].text, result,
			    (unsigned long long)quota.bytes,
			    (unsigned long long)quota.count, rows[i].result,
			    (unsigned long long)rows[i].wanted.bytes,
			    (unsigned long long)rows[i].wanted.count);
	}
}

/* Whoever has it gets mail all the same, and it is told, but not each time. */
static void
an_unreadable_quota_is_none_and_told_once(void **state)
{
	int ends[2], old = dup(2);
	struct quota quota;
	char text[4096];
	ssize_t n;

	(void)state;
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(dup2(ends[1], 2), 2);
	assert_int_equal(quota_parse("5M", &quota), 1);
	assert_int_equal(quota.bytes, 5 << 20);
	assert_int_equal(quota_parse("50X", &quota), 0);
	assert_int_equal(quota_parse("much", &quota), 0);
	assert_int_equal(quota.bytes, 0);
	dup2(old, 2);
	close(old);
	close(ends[1]);
	n = read(ends[0], text, sizeof(text) - 1);
	assert_true(n > 0);
	text[n] = '\0';
	assert_int_equal(strncmp(text, "alert: ", 7), 0);
	assert_non_null(strstr(text, "'50X' is no quota: write NOQUOTA, or"));
	assert_ptr_equal(strchr(text, '\n'), text + n - 1);
	close(ends[0]);
}

static void
file_texts(void **state)
{
	static const struct {
		const char *text;
		bool is_fine;
		int64_t bytes, count;
	} rows[] = {
		{ "1000S\n10 1\n", true, 10, 1 },
		{ "1000S,5C\n10 1\n20 2\n-10 -1\n", true, 20, 2 },
		{ "1000S\n          10            1\n", true, 10, 1 },
		{ "1000S\n10 1  \n", true, 10, 1 },
		{ "1000S\n10  1\n", true, 10, 1 },
		{ "", false, 0, 0 },
		{ "1000S", false, 0, 0 },
		{ "1000S\n", false, 0, 0 },
		{ "NOQUOTA\n10 1\n", false, 0, 0 },
		{ "\n10 1\n", false, 0, 0 },
		{ "1000S\n10 1", false, 0, 0 },
		{ "1000S\n10\n", false, 0, 0 },
		{ "1000S\n10 x\n", false, 0, 0 },
		{ "1000S\n10 1 1\n", false, 0, 0 },
		{ "1000S\n\n", false, 0, 0 },
		{ "1000S\n--10 1\n", false, 0, 0 },
		{ "1000S\n-10 -1\n", false, 0, 0 },
		{ "1000S\n10 1\n-20 -1\n", false, 0, 0 },
		{ "1000S\n9223372036854775807 1\n", false, 0, 0 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct quota_usage usage;
		struct quota quota;
		unsigned lines;
		bool is_fine = quota_read_text(
		    rows[i].text, strlen(rows[i].text), &quota, &usage, &lines);

		if (is_fine != rows[i].is_fine ||
		    (is_fine &&
			(usage.bytes != rows[i].bytes ||
			    usage.count != rows[i].count)))
			fail_msg("'%s': %d %lld %lld", rows[i].text, is_fine,
			    (long long)usage.bytes, (long long)usage.count);
	}
}

/*
 * Each row: what maildirsize says, how old it is; a message of 100 bytes lies
 * in new.  Asked is whether 50 bytes fit into 200S.
 */
static void
decisions(void **state)
{
	static const struct {
		const char *name;
		const char *file; /* NULL: none */
		time_t age;
		int result;
		int64_t bytes;     /* usage that was found */
		const char *after; /* NULL: as before */
	} rows[] = {
		{ "none yet", NULL, 0, 1, 100, "200S\n100 1\n" },
		{ "fits", "200S\n150 1\n", 0, 1, 150, NULL },
		{ "over, new", "200S\n151 1\n", 0, 0, 151, NULL },
		{ "over, of the future", "200S\n151 1\n", -86400, 1, 100,
		    "200S\n100 1\n" },
		{ "over, old", "200S\n151 1\n", 901, 1, 100, "200S\n100 1\n" },
		{ "over, lines", "200S\n100 1\n51 1\n", 0, 1, 100,
		    "200S\n100 1\n" },
		{ "fits, old", "200S\n20 1\n", 100000, 1, 20, NULL },
		{ "other quota", "300S\n1 1\n", 0, 1, 100, "200S\n100 1\n" },
		{ "more quota", "200S,5C\n1 1\n", 0, 1, 100, "200S\n100 1\n" },
		{ "damaged", "200S\nx\n", 0, 1, 100, "200S\n100 1\n" },
		{ "cut", "200S\n1 1", 0, 1, 100, "200S\n100 1\n" },
		{ "empty", "", 0, 1, 100, "200S\n100 1\n" },
	};
	const struct quota quota = { .bytes = 200 };
	const struct quota_usage added = { 50, 1 };
	size_t i;

	(void)state;
	put_file("new/1.M1.h,S=100", "", 0);
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct quota_usage usage;
		struct error err = { "" };
		int result;

		unlinkat(folder_fd, "maildirsize", 0);
		if (rows[i].file != NULL)
			put_file("maildirsize", rows[i].file, rows[i].age);
		result = check_quota(
		    folder_fd, &quota, &added, time(NULL), &usage, &err);
		if (result != rows[i].result || usage.bytes != rows[i].bytes)
			fail_msg("%s: %d %lld %s", rows[i].name, result,
			    (long long)usage.bytes, err.text);
		assert_file(
		    rows[i].after != NULL ? rows[i].after : rows[i].file);
	}
}

static void
a_large_file_is_made_anew(void **state)
{
	const struct quota quota = { .bytes = 200, .count = 10 };
	const struct quota_usage added = { 1, 1 };
	struct quota_usage usage;
	struct buf text;

	(void)state;
	buf_init(&text);
	buf_adds(&text, "200S,10C\n");
	while (text.length <= 5120)
		buf_adds(&text, "0 0\n");
	put_file("maildirsize", text.data, 0);
	assert_int_equal(
	    check_quota(folder_fd, &quota, &added, time(NULL), &usage, NULL),
	    1);
	assert_file("200S,10C\n0 0\n");
	buf_release(&text);
}

static void
both_limits_count(void **state)
{
	static const struct {
		struct quota quota;
		struct quota_usage added;
		int result;
	} rows[] = {
		{ { 200, 0 }, { 100, 9 }, 1 },
		{ { 200, 0 }, { 101, 9 }, 0 },
		{ { 0, 3 }, { 1000000, 2 }, 1 },
		{ { 0, 3 }, { 1, 3 }, 0 },
		{ { 200, 3 }, { 100, 2 }, 1 },
		{ { 200, 3 }, { 100, 3 }, 0 },
		{ { 200, 3 }, { 101, 2 }, 0 },
	};
	size_t i;

	(void)state;
	put_file("new/1.M1.h,S=100", "", 0);
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct quota_usage usage;

		if (check_quota(folder_fd, &rows[i].quota, &rows[i].added,
			time(NULL), &usage, NULL) != rows[i].result)
			fail_msg("row %zu", i);
	}
}

static void
additions_are_appended(void **state)
{
	const struct quota_usage added = { 4096, 2 }, removed = { -96, -1 };

	(void)state;
	/* A file that is not there will be made when it is asked for. */
	assert_int_equal(quota_add(folder_fd, &added, NULL), 0);
	assert_int_equal(faccessat(folder_fd, "maildirsize", F_OK, 0), -1);
	put_file("maildirsize", "5000S\n0 0\n", 0);
	assert_int_equal(quota_add(folder_fd, &added, NULL), 0);
	assert_int_equal(quota_add(folder_fd, &removed, NULL), 0);
	assert_file("5000S\n0 0\n4096 2\n-96 -1\n");
}

static void
a_link_is_replaced_not_followed(void **state)
{
	const struct quota quota = { .bytes = 200 };
	const struct quota_usage added = { 50, 1 };
	struct quota_usage usage;
	struct stat st;

	(void)state;
	put_file("victim", "200S\n0 0\n", 0);
	assert_int_equal(symlinkat("victim", folder_fd, "maildirsize"), 0);
	assert_int_equal(quota_add(folder_fd, &added, NULL), 0);
	assert_int_equal(
	    check_quota(folder_fd, &quota, &added, time(NULL), &usage, NULL),
	    1);
	assert_int_equal(fstatat(folder_fd, "victim", &st, 0), 0);
	assert_int_equal(st.st_size, 9);
	assert_int_equal(
	    fstatat(folder_fd, "maildirsize", &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_true(S_ISREG(st.st_mode));
	assert_int_equal(st.st_mode & 07777, 0600);
}

static void
what_cannot_be_told_is_an_error(void **state)
{
	const struct quota quota = { .bytes = 200 };
	const struct quota_usage added = { 50, 1 };
	struct quota_usage usage;
	struct error err = { "" };

	(void)state;
	assert_int_equal(mkdirat(folder_fd, "maildirsize", 0700), 0);
	assert_int_equal(
	    check_quota(folder_fd, &quota, &added, time(NULL), &usage, &err),
	    -1);
	assert_non_null(strstr(err.text, "maildirsize"));
	assert_int_equal(
	    quota_recalculate(folder_fd, &quota, &usage, &err), -1);
	assert_int_equal(unlinkat(folder_fd, "maildirsize", AT_REMOVEDIR), 0);
	assert_int_equal(unlinkat(folder_fd, "tmp", AT_REMOVEDIR), 0);
	assert_int_equal(
	    quota_recalculate(folder_fd, &quota, &usage, &err), -1);
	assert_non_null(strstr(err.text, "cannot create 'tmp/"));
}

/* Another process's lock, as it looks to us. */
static int
hold_lock(void)
{
	int other_fd = openat(
	    folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_int_equal(flock(other_fd, LOCK_EX), 0);
	return other_fd;
}

static void
a_held_lock_is_not_waited_for(void **state)
{
	const struct quota quota = { .bytes = 200 };
	const struct quota_usage added = { 50, 1 };
	struct quota_usage usage;
	struct error err = { "" };
	int other_fd = hold_lock();

	(void)state;
	alarm(20); /* ends a test that waits */
	errno = 0;
	assert_int_equal(
	    check_quota(folder_fd, &quota, &added, time(NULL), &usage, &err),
	    -1);
	assert_int_equal(errno, EWOULDBLOCK);
	assert_non_null(strstr(err.text, "locked"));
	put_file("maildirsize", "200S\n100 1\n", 0);
	assert_int_equal(
	    check_quota(folder_fd, &quota, &added, time(NULL), &usage, &err),
	    1);
	assert_int_equal(quota_add(folder_fd, &added, &err), 0);
	assert_file("200S\n100 1\n50 1\n");
	/* It still is the other's. */
	assert_int_equal(flock(folder_fd, LOCK_SH | LOCK_NB), -1);
	close(other_fd);
	assert_int_equal(
	    check_quota(folder_fd, &quota, &added, time(NULL), &usage, &err),
	    1);
	alarm(0);
}

enum { UNSIZED = 2000, CATCHES = 12, ROUNDS_MAX = 1000 };

/* Counts once for each byte that it reads, and answers it. */
static void
count_on_demand(int socket_fd)
{
	const struct quota quota = { .bytes = 200 };
	int own_fd = openat(folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct quota_usage usage;
	char c;

	while (read(socket_fd, &c, 1) == 1) {
		/* stop_within() may have the lock whenever it is tried. */
		while (quota_recalculate(own_fd, &quota, &usage, NULL) == -1)
			if (errno != EWOULDBLOCK)
				_exit(1);
		if (write(socket_fd, &c, 1) != 1)
			_exit(1);
	}
	_exit(0);
}

/* Stops the counting child; whether it has the lock then. */
static bool
stop_within(pid_t child)
{
	bool is_locked = false;
	int i, status;

	for (i = 0; i < 100000 && !is_locked; i++) {
		is_locked = flock(folder_fd, LOCK_SH | LOCK_NB) == -1;
		if (!is_locked)
			flock(folder_fd, LOCK_UN);
	}
	kill(child, SIGSTOP);
	assert_int_equal(waitpid(child, &status, WUNTRACED), child);
	assert_true(WIFSTOPPED(status));
	is_locked = flock(folder_fd, LOCK_SH | LOCK_NB) == -1;
	if (!is_locked)
		flock(folder_fd, LOCK_UN);
	return is_locked;
}

/* A message of 7 bytes in new, then its line. */
static void
deliver(int number)
{
	const struct quota_usage added = { 7, 1 };
	char name[40];

	snprintf(name, sizeof(name), "new/late%d.M1.h,S=7", number);
	put_file(name, "", 0);
	assert_int_equal(quota_add(folder_fd, &added, NULL), 0);
}

/* At least so many: what is in twice is no loss. */
static void
assert_remembered(int64_t late)
{
	struct quota_usage usage;
	struct quota quota;
	unsigned lines;
	struct buf buf;

	buf_init(&buf);
	assert_int_equal(
	    file_read(folder_path("maildirsize"), 100000, &buf, NULL), 1);
	assert_true(
	    quota_read_text(buf.data, buf.length, &quota, &usage, &lines));
	if (usage.bytes < 7 * late || usage.count < UNSIZED + late)
		fail_msg("after %d deliveries: %s", (int)late, buf.data);
	buf_release(&buf);
}

/* A count that another process is stopped in, at any place of it. */
static void
what_is_added_while_another_counts_is_kept(void **state)
{
	int sockets[2], i, status, late = 0;
	char name[40], c = 'x';
	pid_t child;

	(void)state;
	for (i = 0; i < UNSIZED; i++) {
		snprintf(name, sizeof(name), "new/%d.M1.h", i);
		put_file(name, "", 0);
	}
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
	child = fork();
	if (child == 0) {
		close(sockets[0]);
		count_on_demand(sockets[1]);
	}
	close(sockets[1]);
	for (i = 0; i < ROUNDS_MAX && late < CATCHES; i++) {
		if (late % 2 == 0)
			unlinkat(folder_fd, "maildirsize", 0);
		assert_int_equal(write(sockets[0], &c, 1), 1);
		if (stop_within(child))
			deliver(++late);
		kill(child, SIGCONT);
		assert_int_equal(read(sockets[0], &c, 1), 1);
		assert_remembered(late);
	}
	assert_int_equal(late, CATCHES);
	close(sockets[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(quota_texts),
		cmocka_unit_test(an_unreadable_quota_is_none_and_told_once),
		cmocka_unit_test(file_texts),
		cmocka_unit_test_setup_teardown(
		    decisions, setup, folder_fd_teardown),
		cmocka_unit_test_setup_teardown(
		    a_large_file_is_made_anew, setup, folder_fd_teardown),
		cmocka_unit_test_setup_teardown(
		    both_limits_count, setup, folder_fd_teardown),
		cmocka_unit_test_setup_teardown(
		    additions_are_appended, setup, folder_fd_teardown),
		cmocka_unit_test_setup_teardown(
		    a_link_is_replaced_not_followed, setup, folder_fd_teardown),
		cmocka_unit_test_setup_teardown(
		    what_cannot_be_told_is_an_error, setup, folder_fd_teardown),
		cmocka_unit_test_setup_teardown(
		    a_held_lock_is_not_waited_for, setup, folder_fd_teardown),
		cmocka_unit_test_setup_teardown(
		    what_is_added_while_another_counts_is_kept, setup,
		    folder_fd_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
