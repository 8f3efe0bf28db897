/* SPDX-License-Identifier: ISC */
/* Tests of queue/scanner.c. */
#include "queue/scanner.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <poll.h>
#include <sys/eventfd.h>

#include "queue/keep.h"
#include "tests/unit/queue_folder.h"

/* How much later than it is the scanner takes it to be. */
static time_t ahead_s;

time_t
time(time_t *out)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	if (out != NULL)
		*out = now.tv_sec + ahead_s;
	return now.tv_sec + ahead_s;
}

/* A scanner, and all that it has found. */
struct bench {
	struct queue_dir *dir;
	struct scanner *scanner;
	int wake_fd;
	struct found_list found[FOUND_COUNT];
	int takes;
};

static void
open_bench(struct bench *bench)
{
	*bench = (struct bench){ .dir = make_bare_queue("q", 3) };
	folder_write("q/lock/no-folder", "", 0);
	bench->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	assert_int_not_equal(bench->wake_fd, -1);
	bench->scanner = scanner_new(bench->dir, bench->wake_fd);
}

static void
close_bench(struct bench *bench)
{
	enum found what;

	scanner_free(&bench->scanner);
	assert_null(bench->scanner);
	scanner_free(&bench->scanner);
	for (what = 0; what < FOUND_COUNT; what++)
		found_list_release(&bench->found[what]);
	close(bench->wake_fd);
	queue_dir_close(&bench->dir);
}

/* Runs one scan to its end, as the event loop would. */
static enum scan_end
scan(struct bench *bench, bool is_whole)
{
	struct pollfd wake = { .fd = bench->wake_fd, .events = POLLIN };
	enum scan_end end;
	enum found what;

	for (what = 0; what < FOUND_COUNT; what++)
		bench->found[what].count = 0;
	assert_int_equal(scanner_start(bench->scanner, is_whole), 0);
	assert_true(scanner_is_running(bench->scanner));
	assert_int_equal(scanner_is_running_whole(bench->scanner), is_whole);
	bench->takes = 0;
	do {
		struct found_list found[FOUND_COUNT];
		uint64_t count;

		assert_int_equal(poll(&wake, 1, 20000), 1);
		assert_int_equal(
		    read(bench->wake_fd, &count, sizeof(count)), 8);
		end = scanner_take(bench->scanner, found);
		bench->takes++;
		for (what = 0; what < FOUND_COUNT; what++) {
			for (size_t i = 0; i < found[what].count; i++)
				found_list_add(
				    &bench->found[what], found[what].at[i]);
			found_list_release(&found[what]);
		}
	} while (end == SCAN_RUNS);
	assert_false(scanner_is_running(bench->scanner));
	assert_false(scanner_is_running_whole(bench->scanner));
	return end;
}

static bool
has(const struct bench *bench, enum found what, uint64_t id)
{
	for (size_t i = 0; i < bench->found[what].count; i++)
		if (bench->found[what].at[i].id == id)
			return true;
	return false;
}

static void
set_mtime(const struct queue_dir *dir, enum queue_folder kind, uint64_t id,
    time_t mtime)
{
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT },
		{ .tv_sec = mtime } };
	char name[QUEUE_NAME_SIZE];

	queue_name(name, id, "");
	assert_int_equal(
	    utimensat(queue_dir_fd(dir, kind, id), name, times, 0), 0);
}

/* m mess, t todo, i info, l local, r remote, p pid; o: mess is old */
static uint64_t
put(const struct queue_dir *dir, const char *files)
{
	uint64_t id = put_message(dir, "x\n");

	if (strchr(files, 't') != NULL)
		put_file(dir, QUEUE_TODO, id, "x", 1);
	if (strchr(files, 'i') != NULL)
		put_file(dir, QUEUE_INFO, id, "x", 1);
	if (strchr(files, 'l') != NULL)
		put_file(dir, QUEUE_LOCAL, id, "x", 1);
	if (strchr(files, 'r') != NULL)
		put_file(dir, QUEUE_REMOTE, id, "x", 1);
	if (strchr(files, 'p') != NULL)
		put_file(dir, QUEUE_PID, id, "x", 1);
	if (strchr(files, 'o') != NULL)
		set_mtime(
		    dir, QUEUE_MESS, id, time(NULL) - KEEP_GARBAGE_S - 10);
	return id;
}

static void
what_is_found(void **state)
{
	static const struct {
		const char *name, *files, *wanted; /* letters of "TLREDG" */
	} rows[] = {
		{ "S2", "m", "" },
		{ "S2 for long", "mo", "G" },
		{ "S4", "mt", "T" },
		{ "S4, old", "mto", "T" },
		{ "S4, an S5 was begun", "mtilr", "T" },
		{ "S5 local", "mil", "L" },
		{ "S5 remote", "mir", "R" },
		{ "S5 both, old", "milro", "LR" },
		{ "S5, all done", "mi", "E" },
		{ "local without info", "ml", "D" },
		{ "remote without info, old", "mro", "D" },
		{ "an S5 was begun of a fresh one", "mlrp", "" },
		{ "the same, old", "mlrpo", "G" },
	};
	enum { COUNT = sizeof(rows) / sizeof(rows[0]) };
	static const char letters[] = "TLREDG";
	uint64_t ids[COUNT];
	struct bench bench;
	enum found what;

	(void)state;
	open_bench(&bench);
	for (size_t i = 0; i < COUNT; i++)
		ids[i] = put(bench.dir, rows[i].files);
	folder_write("q/todo/notes", "x", 1);
	folder_write("q/mess/1/README", "x", 1);
	folder_write("q/info/2/0", "x", 1);
	assert_int_equal(scan(&bench, true), SCAN_OVER);
	for (size_t i = 0; i < COUNT; i++)
		for (what = 0; what < FOUND_COUNT; what++)
			if (has(&bench, what, ids[i]) !=
			    (strchr(rows[i].wanted, letters[what]) != NULL))
				fail_msg("%s: %c", rows[i].name, letters[what]);
	/* todo/ alone. */
	assert_int_equal(scan(&bench, false), SCAN_OVER);
	assert_int_equal(bench.found[FOUND_TODO].count, 3);
	for (what = FOUND_LOCAL; what < FOUND_COUNT; what++)
		assert_int_equal(bench.found[what].count, 0);
	close_bench(&bench);
}

static time_t
due_of(const struct bench *bench, enum found what, uint64_t id)
{
	for (size_t i = 0; i < bench->found[what].count; i++)
		if (bench->found[what].at[i].id == id)
			return bench->found[what].at[i].due;
	return -1;
}

/* When each is to be tried again is known without reading any of them. */
static void
due_times(void **state)
{
	struct bench bench;
	uint64_t id, todo;

	(void)state;
	open_bench(&bench);
	id = put(bench.dir, "milr");
	todo = put(bench.dir, "mt");
	set_mtime(bench.dir, QUEUE_LOCAL, id, 2000000);
	set_mtime(bench.dir, QUEUE_REMOTE, id, 3000000);
	assert_int_equal(scan(&bench, true), SCAN_OVER);
	assert_int_equal(due_of(&bench, FOUND_LOCAL, id), 2000000);
	assert_int_equal(due_of(&bench, FOUND_REMOTE, id), 3000000);
	assert_int_equal(due_of(&bench, FOUND_TODO, todo), 0);
	close_bench(&bench);
}

/* What a writer that was killed left there goes, but nothing newer. */
static void
left_in_pid(void **state)
{
	struct bench bench;

	(void)state;
	open_bench(&bench);
	/* Of a qmail-queue; of a message that is over, of one that is kept. */
	folder_write("q/pid/12.34.1", "x", 1);
	for (uint64_t id = 7; id <= 8; id++) {
		put_file(bench.dir, QUEUE_PID, id, "x", 1);
		/* An old message's, on its way in just now. */
		set_mtime(bench.dir, QUEUE_PID, id, 1000000);
	}
	put_file(bench.dir, QUEUE_INFO, 8, "x", 1);
	assert_int_equal(scan(&bench, true), SCAN_OVER);
	assert_int_equal(bench.found[FOUND_GARBAGE].count, 0);
	ahead_s = KEEP_GARBAGE_S + 10;
	assert_int_equal(scan(&bench, false), SCAN_OVER);
	assert_true(has_file(bench.dir, QUEUE_PID, 8, ""));
	assert_int_equal(access(folder_path("q/pid/12.34.1"), F_OK), 0);
	assert_int_equal(scan(&bench, true), SCAN_OVER);
	ahead_s = 0;
	assert_int_equal(access(folder_path("q/pid/12.34.1"), F_OK), -1);
	assert_true(has(&bench, FOUND_GARBAGE, 7));
	assert_int_equal(bench.found[FOUND_GARBAGE].count, 1);
	assert_true(has_file(bench.dir, QUEUE_PID, 7, ""));
	assert_false(has_file(bench.dir, QUEUE_PID, 8, ""));
	close_bench(&bench);
}

/* More than are handed over at once: it waits for the owner. */
static void
many(void **state)
{
	enum { MANY = 10000 };
	struct bench bench;

	(void)state;
	open_bench(&bench);
	for (uint64_t id = 1; id <= MANY; id++)
		put_file(bench.dir, QUEUE_TODO, id, "", 0);
	assert_int_equal(scan(&bench, false), SCAN_OVER);
	assert_int_equal(bench.found[FOUND_TODO].count, MANY);
	for (uint64_t id = 1; id <= MANY; id += 999)
		assert_true(has(&bench, FOUND_TODO, id));
	assert_in_range(bench.takes, 3, MANY);
	/* One that nobody takes from ends with its owner. */
	assert_int_equal(scanner_start(bench.scanner, false), 0);
	close_bench(&bench);
}

/* What lies in it is not taken for something else. */
static void
a_folder_that_cannot_be_read(void **state)
{
	struct bench bench;
	uint64_t id;
	int fd;

	(void)state;
	open_bench(&bench);
	id = put(bench.dir, "mil");
	/* Its descriptor is one that nobody can list. */
	fd = bench.dir->folders[QUEUE_INFO][id % 3];
	bench.dir->folders[QUEUE_INFO][id % 3] = open(
	    folder_path("q/lock/no-folder"), O_RDONLY | O_CLOEXEC);
	assert_int_equal(scan(&bench, true), SCAN_FAILED);
	/* S5 and garbage cannot be told there. */
	assert_false(has(&bench, FOUND_LOCAL, id));
	assert_int_equal(bench.found[FOUND_GARBAGE].count, 0);
	close(bench.dir->folders[QUEUE_INFO][id % 3]);
	bench.dir->folders[QUEUE_INFO][id % 3] = fd;
	assert_int_equal(scan(&bench, true), SCAN_OVER);
	assert_true(has(&bench, FOUND_LOCAL, id));
	close_bench(&bench);
}

/* All that lay behind it was never looked at. */
static void
the_other_parts_go_on(void **state)
{
	struct bench bench;
	int fd;

	(void)state;
	for (unsigned bad = 0; bad < 3; bad++) {
		open_bench(&bench);
		for (uint64_t id = 3; id <= 5; id++) {
			put_file(bench.dir, QUEUE_INFO, id, "x", 1);
			put_file(bench.dir, QUEUE_REMOTE, id, "x", 1);
		}
		fd = bench.dir->folders[QUEUE_LOCAL][bad];
		bench.dir->folders[QUEUE_LOCAL][bad] = open(
		    folder_path("q/lock/no-folder"), O_RDONLY | O_CLOEXEC);
		assert_int_equal(scan(&bench, true), SCAN_FAILED);
		for (uint64_t id = 3; id <= 5; id++)
			if (has(&bench, FOUND_REMOTE, id) != (id % 3 != bad))
				fail_msg("bad %u: %u", bad, (unsigned)id);
		assert_int_equal(bench.found[FOUND_ENDED].count, 0);
		close(bench.dir->folders[QUEUE_LOCAL][bad]);
		bench.dir->folders[QUEUE_LOCAL][bad] = fd;
		close_bench(&bench);
	}
}

/* S4 would be taken for S5. */
static void
nothing_goes_on_without_todo(void **state)
{
	struct bench bench;
	int fd;

	(void)state;
	open_bench(&bench);
	put(bench.dir, "til");
	put(bench.dir, "il");
	fd = bench.dir->folders[QUEUE_TODO][0];
	bench.dir->folders[QUEUE_TODO][0] = open(
	    folder_path("q/lock/no-folder"), O_RDONLY | O_CLOEXEC);
	assert_int_equal(scan(&bench, true), SCAN_FAILED);
	assert_int_equal(bench.found[FOUND_LOCAL].count, 0);
	close(bench.dir->folders[QUEUE_TODO][0]);
	bench.dir->folders[QUEUE_TODO][0] = fd;
	close_bench(&bench);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_found),
		TEST(due_times),
		TEST(left_in_pid),
		TEST(many),
		TEST(a_folder_that_cannot_be_read),
		TEST(the_other_parts_go_on),
		TEST(nothing_goes_on_without_todo),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
