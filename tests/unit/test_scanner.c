/* SPDX-License-Identifier: ISC */
/* Tests of queue/scanner.c. */
#include "queue/scanner.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>

#include "queue/envelope.h"
#include "queue/keep.h"
#define FOLDER_IN_MEMORY
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

static bool syncs_fail;

int
fsync(int fd)
{
	if (syncs_fail) {
		errno = EIO;
		return -1;
	}
	return fdatasync(fd);
}

/* What is larger in todo/ may not have been in a journal. */
enum { RECORD_BYTES = 100 };

/* A scanner, and all that it has found. */
struct bench {
	struct queue_dir *dir;
	struct scanner *scanner;
	int wake_fd;
	struct found_list found;
	int takes;
};

static void
open_bench(struct bench *bench)
{
	*bench = (struct bench){ .dir = make_bare_queue("q", 3) };
	folder_write("q/lock/no-folder", "", 0);
	bench->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	assert_int_not_equal(bench->wake_fd, -1);
	bench->scanner = scanner_new(bench->dir, RECORD_BYTES, bench->wake_fd);
}

static void
close_bench(struct bench *bench)
{
	scanner_free(&bench->scanner);
	assert_null(bench->scanner);
	scanner_free(&bench->scanner);
	found_list_release(&bench->found);
	close(bench->wake_fd);
	queue_dir_close(&bench->dir);
}

/* Runs one scan to its end, as the event loop would. */
static enum scan_end
scan(struct bench *bench, bool is_whole)
{
	struct pollfd wake = { .fd = bench->wake_fd, .events = POLLIN };
	enum scan_end end;

	bench->found.count = 0;
	assert_int_equal(scanner_start(bench->scanner, is_whole), 0);
	assert_true(scanner_is_running(bench->scanner));
	assert_int_equal(scanner_is_running_whole(bench->scanner), is_whole);
	bench->takes = 0;
	do {
		struct found_list found;
		uint64_t count;

		assert_int_equal(poll(&wake, 1, 20000), 1);
		assert_int_equal(
		    read(bench->wake_fd, &count, sizeof(count)), 8);
		end = scanner_take(bench->scanner, &found);
		bench->takes++;
		for (size_t i = 0; i < found.count; i++)
			found_list_add(&bench->found, &found.at[i]);
		found_list_release(&found);
	} while (end == SCAN_RUNS);
	assert_false(scanner_is_running(bench->scanner));
	assert_false(scanner_is_running_whole(bench->scanner));
	return end;
}

static const struct found_item *
find_item(const struct bench *bench, enum found what, uint64_t id)
{
	for (size_t i = 0; i < bench->found.count; i++)
		if (bench->found.at[i].what == what &&
		    bench->found.at[i].id == id)
			return &bench->found.at[i];
	return NULL;
}

static size_t
count_of(const struct bench *bench, enum found what)
{
	size_t count = 0;

	for (size_t i = 0; i < bench->found.count; i++)
		count += bench->found.at[i].what == what;
	return count;
}

/* What was found of a message, as letters of "TKLRDG", each once. */
static void
put_letters(const struct bench *bench, uint64_t id, char letters[8])
{
	size_t length = 0;

	for (size_t i = 0; i < bench->found.count; i++) {
		const struct found_item *item = &bench->found.at[i];

		if (item->id != id)
			continue;
		assert_true(length < 5);
		letters[length++] = item->what == FOUND_TODO ? 'T'
		    : item->what == FOUND_KEPT               ? 'K'
		    : item->what == FOUND_DAMAGED            ? 'D'
							     : 'G';
		if (item->has_channel[ROUTE_LOCAL])
			letters[length++] = 'L';
		if (item->has_channel[ROUTE_REMOTE])
			letters[length++] = 'R';
	}
	letters[length] = '\0';
}

static void
set_mtime(const struct queue_dir *dir, enum queue_folder kind, uint64_t id,
    time_t mtime)
{
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT },
		{ .tv_sec = mtime } };
	char name[QUEUE_NAME_SIZE];

	queue_name(name, id);
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
		const char *name, *files, *wanted; /* put_letters() */
	} rows[] = {
		{ "S2", "m", "" },
		{ "S2 for long", "mo", "G" },
		{ "S4", "mt", "T" },
		{ "S4, old", "mto", "T" },
		{ "S4, an S5 was begun", "mtilr", "T" },
		{ "S5 local", "mil", "KL" },
		{ "S5 remote", "mir", "KR" },
		{ "S5 both, old", "milro", "KLR" },
		{ "S5, all done", "mi", "K" },
		{ "local without info", "ml", "D" },
		{ "remote without info, old", "mro", "D" },
		{ "an S5 was begun of a fresh one", "mlrp", "" },
		{ "the same, old", "mlrpo", "G" },
	};
	enum { COUNT = sizeof(rows) / sizeof(rows[0]) };
	uint64_t ids[COUNT];
	struct bench bench;

	(void)state;
	open_bench(&bench);
	for (size_t i = 0; i < COUNT; i++)
		ids[i] = put(bench.dir, rows[i].files);
	folder_write("q/todo/notes", "x", 1);
	folder_write("q/mess/1/README", "x", 1);
	folder_write("q/info/2/0", "x", 1);
	assert_int_equal(scan(&bench, true), SCAN_OVER);
	for (size_t i = 0; i < COUNT; i++) {
		char letters[8];

		put_letters(&bench, ids[i], letters);
		if (strcmp(letters, rows[i].wanted) != 0)
			fail_msg("%s: %s", rows[i].name, letters);
	}
	/* todo/ alone. */
	assert_int_equal(scan(&bench, false), SCAN_OVER);
	assert_int_equal(count_of(&bench, FOUND_TODO), 3);
	assert_int_equal(bench.found.count, 4);
	assert_int_equal(bench.found.at[3].what, FOUND_TODO_END);
	close_bench(&bench);
}

/* When each is to be tried again is known without reading any of them. */
static void
due_times(void **state)
{
	struct bench bench;
	const struct found_item *item;
	uint64_t id;

	(void)state;
	open_bench(&bench);
	id = put(bench.dir, "milr");
	set_mtime(bench.dir, QUEUE_LOCAL, id, 2000000);
	set_mtime(bench.dir, QUEUE_REMOTE, id, 3000000);
	assert_int_equal(scan(&bench, true), SCAN_OVER);
	item = find_item(&bench, FOUND_KEPT, id);
	assert_non_null(item);
	assert_int_equal(item->due[ROUTE_LOCAL], 2000000);
	assert_int_equal(item->due[ROUTE_REMOTE], 3000000);
	close_bench(&bench);
}

/* What can never have been in the journal is known by its UUID all the same. */
static void
uuids_of_large_envelopes(void **state)
{
	static const char wanted[] = "0190163d-8694-739b-aea5-966c26f8ad91";
	struct uuid uuid;
	struct bench bench;
	uint64_t ids[4];

	(void)state;
	open_bench(&bench);
	assert_true(uuid_parse(wanted, &uuid));
	for (size_t i = 0; i < 4; i++) {
		struct buf record = BUF_INIT;

		ids[i] = put_message(bench.dir, "x\n");
		envelope_put_origin(&record,
		    &(struct envelope){ .uid = 7, .qp = 8, .uuid = uuid });
		buf_add(&record, "Fs\0", 3);
		for (size_t to = 0; to < 1 + i * 20; to++)
			buf_add(&record, "Tu@example.test", 16);
		if (i == 2)
			buf_addc(&record, 'x'); /* it is damaged */
		put_file(
		    bench.dir, QUEUE_TODO, ids[i], record.data, record.length);
		if (i == 3) /* it was never acknowledged */
			assert_int_equal(
			    queue_unlink(bench.dir, QUEUE_MESS, ids[i]), 0);
		buf_release(&record);
	}
	assert_int_equal(scan(&bench, true), SCAN_OVER);
	for (size_t i = 0; i < 4; i++) {
		const struct found_item *item = find_item(
		    &bench, FOUND_TODO, ids[i]);

		assert_non_null(item);
		assert_int_equal(uuid_is_equal(&item->uuid, &uuid), i == 1);
	}
	close_bench(&bench);
}

/* Whether it is there cannot be told before that is known; all else can. */
static void
a_large_envelope_that_cannot_be_read(void **state)
{
	struct bench bench;
	char record[2 * RECORD_BYTES];
	uint64_t id, kept;

	(void)state;
	open_bench(&bench);
	memset(record, 'x', sizeof(record));
	id = put_message(bench.dir, "x\n");
	put_file(bench.dir, QUEUE_TODO, id, record, sizeof(record));
	kept = put(bench.dir, "mil");
	syncs_fail = true;
	assert_int_equal(scan(&bench, true), SCAN_FAILED);
	syncs_fail = false;
	assert_non_null(find_item(&bench, FOUND_TODO, id));
	assert_non_null(find_item(&bench, FOUND_KEPT, kept));
	assert_int_equal(count_of(&bench, FOUND_TODO_END), 0);
	assert_int_equal(scan(&bench, true), SCAN_OVER);
	assert_int_equal(count_of(&bench, FOUND_TODO_END), 1);
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
	assert_int_equal(count_of(&bench, FOUND_GARBAGE), 0);
	ahead_s = KEEP_GARBAGE_S + 10;
	assert_int_equal(scan(&bench, false), SCAN_OVER);
	assert_true(has_file(bench.dir, QUEUE_PID, 8, ""));
	assert_int_equal(access(folder_path("q/pid/12.34.1"), F_OK), 0);
	assert_int_equal(scan(&bench, true), SCAN_OVER);
	ahead_s = 0;
	assert_int_equal(access(folder_path("q/pid/12.34.1"), F_OK), -1);
	assert_non_null(find_item(&bench, FOUND_GARBAGE, 7));
	assert_int_equal(count_of(&bench, FOUND_GARBAGE), 1);
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
	assert_int_equal(count_of(&bench, FOUND_TODO), MANY);
	for (uint64_t id = 1; id <= MANY; id += 999)
		assert_non_null(find_item(&bench, FOUND_TODO, id));
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
	assert_null(find_item(&bench, FOUND_KEPT, id));
	assert_int_equal(count_of(&bench, FOUND_GARBAGE), 0);
	close(bench.dir->folders[QUEUE_INFO][id % 3]);
	bench.dir->folders[QUEUE_INFO][id % 3] = fd;
	assert_int_equal(scan(&bench, true), SCAN_OVER);
	assert_non_null(find_item(&bench, FOUND_KEPT, id));
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
			if ((find_item(&bench, FOUND_KEPT, id) != NULL) !=
			    (id % 3 != bad))
				fail_msg("bad %u: %u", bad, (unsigned)id);
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
	assert_int_equal(count_of(&bench, FOUND_KEPT), 0);
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
		TEST(uuids_of_large_envelopes),
		TEST(a_large_envelope_that_cannot_be_read),
		TEST(left_in_pid),
		TEST(many),
		TEST(a_folder_that_cannot_be_read),
		TEST(the_other_parts_go_on),
		TEST(nothing_goes_on_without_todo),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
