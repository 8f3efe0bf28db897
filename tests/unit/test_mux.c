/* SPDX-License-Identifier: ISC */
/* Tests of queue/mux.c. */
#include "queue/mux.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <unistd.h>

#include "queue/health.h"
#include "tests/unit/folder.h"

enum { COUNT = 5, SLICE_MS = 1000 };

struct queues {
	struct health_file *files[COUNT];
	struct health health[COUNT];
};

static void
make_queues(struct queues *queues)
{
	for (int i = 0; i < COUNT; i++) {
		char name[40];

		snprintf(name, sizeof(name), "queue%d/lock", i + 3);
		assert_int_equal(
		    file_make_dirs(folder_path(name), 0755, NULL), 0);
		snprintf(name, sizeof(name), "queue%d", i + 3);
		queues->files[i] = health_file_create(folder_path(name), NULL);
		assert_non_null(queues->files[i]);
		queues->health[i] = (struct health){ .state = HEALTH_UP };
		health_file_publish(queues->files[i], &queues->health[i]);
	}
}

static void
free_queues(struct queues *queues)
{
	for (int i = 0; i < COUNT; i++)
		health_file_close(&queues->files[i]);
}

static struct mux *
make_mux(uint64_t min_free)
{
	struct mux_collection collection = {
		.base = folder, .start = 3, .count = COUNT
	};
	struct mux *mux = mux_new(&collection, SLICE_MS, min_free, NULL);

	assert_non_null(mux);
	return mux;
}

/* The queue's place in the collection. */
static unsigned
place(const char *path)
{
	return (unsigned)(strrchr(path, '/')[6] - '3');
}

/* How often each queue is the first over twenty slices, at many moments. */
static void
count_firsts(struct mux *mux, unsigned firsts[COUNT], unsigned wanted_count)
{
	const char *paths[MUX_QUEUES_MAX];

	memset(firsts, 0, COUNT * sizeof(*firsts));
	for (int64_t now = 0; now < 20 * SLICE_MS; now += 10) {
		assert_int_equal(
		    mux_choose(mux, 1764000000000 + now, paths), wanted_count);
		firsts[place(paths[0])]++;
	}
}

/* Within 10 % over the healthy, nothing for the others. */
static void
expect_even(const unsigned firsts[COUNT], unsigned healthy_mask)
{
	unsigned healthy = (unsigned)__builtin_popcount(healthy_mask);
	unsigned even = 2000 / healthy;

	for (unsigned i = 0; i < COUNT; i++) {
		unsigned low = even - even / 10, high = even + even / 10;

		if ((healthy_mask >> i & 1) == 0)
			low = high = 0;
		if (firsts[i] < low || firsts[i] > high)
			fail_msg("queue %u was first %u times, wanted %u-%u", i,
			    firsts[i], low, high);
	}
}

static void
even_over_healthy(void **state)
{
	struct queues queues;
	struct mux *mux;
	unsigned firsts[COUNT];

	(void)state;
	make_queues(&queues);
	mux = make_mux(0);
	count_firsts(mux, firsts, COUNT);
	expect_even(firsts, 0x1f);
	mux_free(&mux);
	assert_null(mux);
	free_queues(&queues);
}

/* In one slice all new mail goes to one queue. */
static void
one_queue_a_slice(void **state)
{
	const char *paths[MUX_QUEUES_MAX];
	struct queues queues;
	struct mux *mux;
	const char *first;

	(void)state;
	make_queues(&queues);
	mux = make_mux(0);
	mux_choose(mux, 5 * SLICE_MS, paths);
	first = paths[0];
	mux_choose(mux, 6 * SLICE_MS - 1, paths);
	assert_string_equal(paths[0], first);
	mux_choose(mux, 6 * SLICE_MS, paths);
	assert_string_not_equal(paths[0], first);
	mux_free(&mux);
	free_queues(&queues);
}

/* Each kind of unfit queue is passed over, but still is among the last. */
static void
unfit_are_skipped(void **state)
{
	static const struct {
		const char *name;
		struct health health;
	} rows[] = {
		{ "stopped", { .state = HEALTH_DOWN } },
		{ "stopping", { .state = HEALTH_STOPPING } },
		{ "slow",
		    { .state = HEALTH_UP, .commit_latency_us = 5000000 } },
		{ "with a full journal",
		    { .state = HEALTH_UP, .is_journal_full = true } },
	};
	const char *paths[MUX_QUEUES_MAX];
	unsigned firsts[COUNT];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct queues queues;
		struct mux *mux;

		make_queues(&queues);
		health_file_publish(queues.files[2], &rows[i].health);
		mux = make_mux(0);
		count_firsts(mux, firsts, COUNT);
		expect_even(firsts, 0x1b);
		mux_choose(mux, 0, paths);
		assert_int_equal(place(paths[COUNT - 1]), 2);
		mux_free(&mux);
		free_queues(&queues);
	}
}

/* Holding is about deliveries: "mail is taken and kept". */
static void
held_is_healthy(void **state)
{
	struct health held = { .state = HEALTH_UP,
		.is_held_local = true,
		.is_held_remote = true };
	struct queues queues;
	struct mux *mux;
	unsigned firsts[COUNT];

	(void)state;
	make_queues(&queues);
	health_file_publish(queues.files[2], &held);
	mux = make_mux(0);
	count_firsts(mux, firsts, COUNT);
	expect_even(firsts, 0x1f);
	mux_free(&mux);
	free_queues(&queues);
}

static void
starting_is_healthy(void **state)
{
	struct queues queues;
	struct mux *mux;
	unsigned firsts[COUNT];

	(void)state;
	make_queues(&queues);
	queues.health[1].state = HEALTH_STARTING;
	health_file_publish(queues.files[1], &queues.health[1]);
	mux = make_mux(0);
	count_firsts(mux, firsts, COUNT);
	expect_even(firsts, 0x1f);
	mux_free(&mux);
	free_queues(&queues);
}

/* Without a health file, with a damaged one, and one that did not answer. */
static void
silent_are_skipped(void **state)
{
	struct queues queues;
	struct mux *mux;
	unsigned firsts[COUNT];

	(void)state;
	make_queues(&queues);
	assert_int_equal(unlink(folder_path("queue3/lock/health")), 0);
	assert_int_equal(unlink(folder_path("queue4/lock/health")), 0);
	folder_write("queue4/lock/health", "garbage", 7);
	mux = make_mux(0);
	mux_report_down(mux, folder_path("queue5"));
	count_firsts(mux, firsts, COUNT);
	expect_even(firsts, 0x18);
	mux_free(&mux);
	free_queues(&queues);
}

/* A queue that hangs: its file says "up", but nobody writes it any more. */
static void
hung_is_skipped(void **state)
{
	const char *paths[MUX_QUEUES_MAX];
	struct queues queues;
	struct mux *mux;
	struct health health;
	int64_t age_ms;

	(void)state;
	make_queues(&queues);
	mux = make_mux(0);
	assert_int_equal(mux_choose(mux, 0, paths), COUNT);
	/* The same clock as written_at, wound back by more than it may be. */
	{
		int fd = open(folder_path("queue3/lock/health"), O_RDWR);
		int64_t written_at;

		assert_int_equal(pread(fd, &written_at, 8, 24), 8);
		written_at -= 10001;
		assert_int_equal(pwrite(fd, &written_at, 8, 24), 8);
		close(fd);
	}
	health_look(folder_path("queue3"), &health, &age_ms, NULL);
	assert_true(age_ms > 10000);
	mux_free(&mux);
	mux = make_mux(0);
	mux_choose(mux, 0, paths);
	assert_int_equal(place(paths[COUNT - 1]), 0);
	mux_free(&mux);
	free_queues(&queues);
}

static void
full_are_never_chosen(void **state)
{
	const char *paths[MUX_QUEUES_MAX];
	struct queues queues;
	struct mux *mux;

	(void)state;
	make_queues(&queues);
	mux = make_mux(1ull << 60);
	assert_int_equal(mux_choose(mux, 0, paths), 0);
	mux_free(&mux);
	free_queues(&queues);
}

/* The last is the one that is least likely to answer soon. */
static void
unfit_in_order(void **state)
{
	static const struct health rows[COUNT] = {
		{ .state = HEALTH_DOWN },
		{ .state = HEALTH_UP, .is_journal_full = true },
		{ .state = HEALTH_UP },
		{ .state = HEALTH_UP, .commit_latency_us = 5000000 },
		{ .state = HEALTH_STOPPING },
	};
	static const unsigned wanted[COUNT] = { 2, 3, 1, 0, 4 };
	const char *paths[MUX_QUEUES_MAX];
	struct queues queues;
	struct mux *mux;

	(void)state;
	make_queues(&queues);
	for (int i = 0; i < COUNT; i++)
		health_file_publish(queues.files[i], &rows[i]);
	mux = make_mux(0);
	assert_int_equal(mux_choose(mux, 0, paths), COUNT);
	for (int i = 0; i < COUNT; i++)
		assert_int_equal(place(paths[i]), wanted[i]);
	mux_free(&mux);
	free_queues(&queues);
}

static void
bad_counts(void **state)
{
	static const unsigned counts[] = { 0, MUX_QUEUES_MAX + 1 };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct mux_collection collection = {
			.base = folder, .start = 1, .count = counts[i]
		};
		struct error err = { "" };

		assert_null(mux_new(&collection, SLICE_MS, 0, &err));
		assert_non_null(strstr(err.text, "between 1 and 128"));
	}
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, folder_setup, folder_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(even_over_healthy),
		TEST(one_queue_a_slice),
		TEST(unfit_are_skipped),
		TEST(held_is_healthy),
		TEST(starting_is_healthy),
		TEST(silent_are_skipped),
		TEST(hung_is_skipped),
		TEST(full_are_never_chosen),
		TEST(unfit_in_order),
		TEST(bad_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
