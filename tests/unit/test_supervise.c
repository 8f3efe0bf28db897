/* SPDX-License-Identifier: ISC */
/* Tests of svctool/run/supervise.c. */
#include "svctool/run/supervise.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "tests/unit/folder.h"

/* 2^62 + 10 + 1000 seconds, nanoseconds, pid 258, paused, want */
#define STATUS(pid_low, pid_high, want)    \
	"\x40\0\0\0\0\0\x03\xf2"           \
	"\0\0\0\0" pid_low pid_high "\0\0" \
	"\0" want

static void
parse(void **state)
{
	static const struct {
		const char *name;
		const char *status;
		size_t length;
		bool wanted;
		pid_t pid;
		bool is_wanted_up;
	} rows[] = {
		{ "up", STATUS("\x02", "\x01", "u"), 18, true, 258, true },
		{ "up once", STATUS("\x02", "\x01", "\0"), 18, true, 258,
		    true },
		{ "to go down", STATUS("\x02", "\x01", "d"), 18, true, 258,
		    false },
		{ "down", STATUS("\0", "\0", "d"), 18, true, 0, false },
		{ "down, wanted up", STATUS("\0", "\0", "u"), 18, true, 0,
		    true },
		{ "short", STATUS("\0", "\0", "u"), 17, false, 0, false },
		{ "long", STATUS("\0", "\0", "u"), 19, false, 0, false },
		{ "empty", "", 0, false, 0, false },
		{ "before 1970", "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 18,
		    false, 0, false },
		{ "no second of TAI64",
		    "\xc0\0\0\0\0\0\x03\xf2\0\0\0\0\0\0\0\0\0u", 18, false, 0,
		    false },
		{ "pid too large",
		    "\x40\0\0\0\0\0\x03\xf2\0\0\0\0\xff\xff\xff\xff\0u", 18,
		    false, 0, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct supervise_state got;
		bool result = supervise_parse(
		    (const unsigned char *)rows[i].status, rows[i].length,
		    &got);

		if (result != rows[i].wanted)
			fail_msg("%s: got %d", rows[i].name, result);
		if (result &&
		    (got.pid != rows[i].pid || got.since != 1000 ||
			got.is_wanted_up != rows[i].is_wanted_up))
			fail_msg("%s: got pid %ld, since %ld, up %d",
			    rows[i].name, (long)got.pid, (long)got.since,
			    got.is_wanted_up);
	}
}

/* A folder that supervise never saw. */
static void
never_supervised(void **state)
{
	struct supervise_state got;
	struct error err;

	(void)state;
	assert_int_equal(supervise_read(folder, &got, &err), 0);
	assert_false(got.is_supervised);
	assert_int_equal(supervise_send(folder, "d", &err), 0);
}

/* Only a fifo is written to, by its own name: root must be led nowhere. */
static void
only_a_fifo_is_written_to(void **state)
{
	static const struct {
		const char *name;
		bool is_fifo, is_link;
		int wanted;
	} rows[] = {
		{ "a fifo", true, false, 1 },
		{ "a file", false, false, -1 },
		{ "a link to a fifo", true, true, -1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *control = xasprintf("%s/supervise/control", folder);
		char *real = xasprintf("%s/real", folder);
		const char *path = rows[i].is_link ? real : control;
		struct error err = { "" };
		struct stat st;
		int alive, got, reader = -1;

		assert_int_equal(
		    file_make_dirs(folder_path("supervise"), 0700, NULL), 0);
		assert_int_equal(mkfifo(folder_path("supervise/ok"), 0600), 0);
		alive = open(
		    folder_path("supervise/ok"), O_RDONLY | O_NONBLOCK);
		if (rows[i].is_fifo)
			assert_int_equal(mkfifo(path, 0600), 0);
		else
			folder_write("supervise/control", "", 0);
		if (rows[i].is_fifo)
			reader = open(path, O_RDONLY | O_NONBLOCK);
		if (rows[i].is_link)
			assert_int_equal(symlink(real, control), 0);
		got = supervise_send(folder, "d", &err);
		if (got != rows[i].wanted)
			fail_msg("%s: got %d '%s', wanted %d", rows[i].name,
			    got, err.text, rows[i].wanted);
		assert_int_equal(stat(control, &st), 0);
		assert_int_equal(st.st_size, 0);
		close(reader);
		close(alive);
		free(real);
		free(control);
		assert_int_equal(folder_teardown(NULL), 0);
		assert_int_equal(folder_setup(NULL), 0);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parse),
		cmocka_unit_test_setup_teardown(
		    never_supervised, folder_setup, folder_teardown),
		cmocka_unit_test_setup_teardown(
		    only_a_fifo_is_written_to, folder_setup, folder_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
