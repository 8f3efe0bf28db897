/* SPDX-License-Identifier: ISC */
/* Tests of queue/router.c. */
#include "queue/router.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <poll.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "control/assign.h"
#include "tests/unit/folder.h"
#include "tests/unit/cluster_file.h"

enum { TICK_MS = 10, WAIT_MS = 20000 };

/* -- a disk on which so many of the next reads are slow */

static atomic_int slow_reads;
static sem_t read_waits, may_read;

ssize_t
pread(int fd, void *data, size_t length, off_t offset)
{
	int left = atomic_load(&slow_reads);

	while (left > 0)
		if (atomic_compare_exchange_weak(
			&slow_reads, &left, left - 1)) {
			sem_post(&read_waits);
			sem_wait(&may_read);
			break;
		}
	return syscall(SYS_pread64, fd, data, length, offset);
}

/* -- a router */

struct bench {
	struct router *router;
	int wake_fd;
	unsigned done;
};

/* A request, and the order in which it was done. */
struct asked {
	struct router_request request;
	unsigned done_at; /* 1: the first */
	struct bench *bench;
};

static struct route *
make_route(const char *rules)
{
	struct error err = { "" };
	struct settings *settings;
	struct route *route;

	folder_write("me", "me.test\n", 8);
	folder_write("locals", "local.test\n", 11);
	folder_write("virtualdomains", rules, strlen(rules));
	settings = settings_load(folder, "qmail-send", NULL, &err);
	if (settings == NULL)
		fail_msg("%s", err.text);
	route = route_new(settings, &err);
	assert_non_null(route);
	settings_free(&settings);
	return route;
}

/* users/assign, with so many more entries that its cdb is not kept at once. */
static void
write_assign(const char *text, unsigned more)
{
	struct buf all = BUF_INIT;
	struct error err = { "" };

	buf_adds(&all, text);
	for (unsigned i = 0; i < more; i++)
		buf_addf(&all, "=more%u:u:1:1:/home/more:::\n", i);
	buf_adds(&all, ".\n");
	folder_write("assign", all.data, all.length);
	if (assign_compile(folder_path("assign"), folder_path("cdb"), &err) ==
	    -1)
		fail_msg("%s", err.text);
	buf_release(&all);
}

#define ASSIGN                                             \
	"=alice:alice:1001:1002:/home/alice:::\n"          \
	"+v.test-:v.test:89:90:/node/domains/v.test:-::\n" \
	"+w.test-:w.test:89:90:/node/domains/w.test:-::\n" \
	"+near.test-:near:89:90:/node/domains2/v.test:-::\n"
#define RULES "v.test:v.test\nw.test:w.test\nnear.test:near.test\n"

static void
open_bench_with(
    struct bench *bench, bool has_lane_per_domain, const struct home *home)
{
	struct router_options options = { .assign_path = folder_path("cdb"),
		.domains_path = "/node/domains/",
		.has_lane_per_domain = has_lane_per_domain,
		.home = home };

	atomic_store(&slow_reads, 0);
	sem_init(&read_waits, 0, 0);
	sem_init(&may_read, 0, 0);
	*bench = (struct bench){ .wake_fd = eventfd(
				     0, EFD_CLOEXEC | EFD_NONBLOCK) };
	bench->router = router_new(&options, bench->wake_fd);
	router_set_route(bench->router, make_route(RULES));
}

static void
open_bench(struct bench *bench, bool has_lane_per_domain)
{
	open_bench_with(bench, has_lane_per_domain, NULL);
}

static void
close_bench(struct bench *bench)
{
	router_free(&bench->router);
	assert_null(bench->router);
	router_free(&bench->router);
	close(bench->wake_fd);
}

static void
note_done(struct router_request *request, void *context)
{
	struct asked *asked = context;

	assert_ptr_equal(request, &asked->request);
	asked->done_at = ++asked->bench->done;
}

static void
ask(struct bench *bench, struct asked *asked, const char *const *recipients,
    size_t count)
{
	*asked = (struct asked){ .bench = bench,
		.request = { .recipients = recipients,
		    .recipient_count = count,
		    .channels = asked->request.channels,
		    .done = note_done,
		    .context = asked } };
	router_ask(bench->router, &asked->request);
}

static void
wait_done(struct bench *bench, unsigned count)
{
	int waited_ms = 0;

	router_flush(bench->router);
	while (bench->done < count) {
		struct pollfd in = { .fd = bench->wake_fd, .events = POLLIN };
		uint64_t ignored;

		if (poll(&in, 1, TICK_MS) == 1)
			assert_int_not_equal(
			    read(bench->wake_fd, &ignored, sizeof(ignored)),
			    -1);
		else if ((waited_ms += TICK_MS) >= WAIT_MS)
			fail_msg("request %u was not done", bench->done + 1);
		router_reap(bench->router);
	}
}

static void
drop(struct asked *asked)
{
	buf_release(&asked->request.texts);
	free(asked->request.answers);
}

/* An answer in words. */
static const char *
words(const struct router_request *request, size_t at)
{
	static const char kinds[LANE_KIND_COUNT] = "MMVLRN";
	static char text[500];
	const struct router_answer *answer = &request->answers[at];
	const char *texts = request->texts.data;

	snprintf(text, sizeof(text), "%d %c %c %s %s", answer->found,
	    answer->channel == ROUTE_LOCAL ? 'l' : 'r', kinds[answer->kind],
	    texts + answer->address, texts + answer->lane);
	if (answer->channel == ROUTE_LOCAL && answer->found == ROUTER_FOUND)
		snprintf(text + strlen(text), sizeof(text) - strlen(text),
		    " %s %s %s %s %lu %lu", texts + answer->user,
		    texts + answer->home, texts + answer->dash,
		    texts + answer->extension, answer->uid, answer->gid);
	if (answer->found != ROUTER_FOUND)
		snprintf(text + strlen(text), sizeof(text) - strlen(text),
		    " %.16s", texts + answer->reason);
	return text;
}

/* What one recipient's answer is; the caller frees. */
static char *
answer_of(struct bench *bench, const char *recipient)
{
	struct asked asked = { .request = { .channels = NULL } };
	char *result;

	ask(bench, &asked, &recipient, 1);
	wait_done(bench, bench->done + 1);
	result = xstrdup(words(&asked.request, 0));
	drop(&asked);
	return result;
}

static void
expect_answer(struct bench *bench, const char *recipient, const char *wanted)
{
	char *got = answer_of(bench, recipient);

	assert_string_equal(got, wanted);
	free(got);
}

/* users/cdb is looked at once a second: asks until then. */
static void
expect_answer_soon(
    struct bench *bench, const char *recipient, const char *wanted)
{
	int64_t end_ms = clock_ms() + WAIT_MS;

	for (;;) {
		char *got = answer_of(bench, recipient);
		bool is_wanted = strcmp(got, wanted) == 0;

		if (!is_wanted && clock_ms() >= end_ms)
			assert_string_equal(got, wanted);
		free(got);
		if (is_wanted)
			return;
		usleep(20000);
	}
}

#define VIRTUAL_U \
	"1 l V v.test-u@v.test virtual v.test /node/domains/v.test - u 89 90"

static void
answers(void **state)
{
	static const struct {
		const char *recipient, *wanted;
		char channel; /* of one that was rewritten already */
	} rows[] = {
		{ "alice@local.test",
		    "1 l L alice@local.test local alice /home/alice   1001 "
		    "1002",
		    0 },
		{ "nobody@local.test",
		    "0 l L nobody@local.test local users/assign has", 0 },
		{ "u@v.test", VIRTUAL_U, 0 },
		{ "u@V.Test",
		    "1 l V v.test-u@V.Test virtual v.test "
		    "/node/domains/v.test - u 89 90",
		    0 },
		{ "u@near.test",
		    "1 l L near.test-u@near.test local near "
		    "/node/domains2/v.test - u 89 90",
		    0 },
		{ "a@Far.Test", "1 r R a@Far.Test far.test", 0 },
		{ "b@far.test", "1 r R b@far.test far.test", 0 },
		{ "nowhere", "1 r R nowhere@me.test me.test", 0 },
		{ "v.test-u@v.test", VIRTUAL_U, 'l' },
		{ "u@v.test", "1 r R u@v.test v.test", 'r' },
		{ "alice", "1 l L alice local alice /home/alice   1001 1002",
		    'l' },
		{ "odd", "1 r R odd odd", 'r' },
	};
	enum { COUNT = sizeof(rows) / sizeof(rows[0]) };
	const char *recipients[COUNT];
	struct asked asked[COUNT], all = { .request = { .channels = NULL } };
	enum route_channel channels[COUNT];
	struct bench bench;

	(void)state;
	write_assign(ASSIGN, 0);
	open_bench(&bench, false);
	for (size_t i = 0; i < COUNT; i++) {
		recipients[i] = rows[i].recipient;
		channels[i] = rows[i].channel == 'r' ? ROUTE_REMOTE
						     : ROUTE_LOCAL;
		asked[i].request.channels = rows[i].channel == 0 ? NULL
								 : &channels[i];
		ask(&bench, &asked[i], &recipients[i], 1);
	}
	ask(&bench, &all, recipients, 8); /* the new ones, in one request */
	wait_done(&bench, COUNT + 1);
	for (size_t i = 0; i < COUNT; i++) {
		assert_string_equal(
		    words(&asked[i].request, 0), rows[i].wanted);
		if (rows[i].channel == 0)
			assert_string_equal(
			    words(&all.request, i), rows[i].wanted);
		drop(&asked[i]);
	}
	drop(&all);
	close_bench(&bench);
}

/*
 * Nobody is there to say where the users are: mail for them waits, and for
 * others it does not.  A line of users/assign for the domain comes first.
 */
static void
places_that_nobody_tells(void **state)
{
	static const char *const domains[][2] = { { "c.test", "c.test" },
		{ "v.test", "v.test" } };
	struct home *home;
	struct asked asked = { .request = { .channels = NULL } };
	static const char *const recipients[] = { "u@c.test", "a@far.test",
		"u@v.test", "w@c.test" };
	static const char *const wanted[] = {
		"-1 l L c.test-u@c.test local It cannot be tol",
		"1 r R a@far.test far.test", VIRTUAL_U,
		"-1 l L c.test-w@c.test local It cannot be tol" };
	struct error err = { "" };
	struct bench bench;
	struct route *route;

	(void)state;
	write_assign(ASSIGN "+:all:1:2:/home/all:-::\n", 0);
	cluster_file_write(domains, 2);
	mkdir(folder_path("control"), 0755);
	folder_write("control/userstore", "pgsql\n", 6);
	mkdir(folder_path("users"), 0755);
	home = home_at(folder);
	open_bench_with(&bench, false, home);
	route = make_route(RULES);
	assert_int_equal(
	    route_add_cluster(route, cluster_file_domains(), &err), 0);
	router_set_route(bench.router, route);
	expect_answer(&bench, recipients[2], wanted[2]);
	ask(&bench, &asked, recipients, 4);
	wait_done(&bench, 2);
	for (size_t i = 0; i < 4; i++)
		assert_string_equal(words(&asked.request, i), wanted[i]);
	drop(&asked);
	/* It has left the cluster: the line for all. */
	cluster_file_write(domains + 1, 1);
	asked = (struct asked){ .request = { .channels = NULL } };
	ask(&bench, &asked, recipients, 1);
	wait_done(&bench, 3);
	assert_string_equal(
	    words(&asked.request, 0), "1 r R u@c.test c.test");
	drop(&asked);
	close_bench(&bench);
	home_free(&home);
}

static void
lane_for_each_domain(void **state)
{
	static const char *const recipients[] = { "a@v.test", "b@W.Test",
		"c@w.test" };
	static const char *const lanes[] = { "virtual:v.test", "virtual:w.test",
		"virtual:w.test" };
	struct asked asked = { .request = { .channels = NULL } };
	struct bench bench;

	(void)state;
	write_assign(ASSIGN, 0);
	open_bench(&bench, true);
	ask(&bench, &asked, recipients, 3);
	wait_done(&bench, 1);
	for (size_t i = 0; i < 3; i++)
		assert_string_equal(
		    asked.request.texts.data + asked.request.answers[i].lane,
		    lanes[i]);
	drop(&asked);
	close_bench(&bench);
}

static void
users_come_and_go(void **state)
{
	struct bench bench;

	(void)state;
	open_bench(&bench, false);
	expect_answer(&bench, "u@v.test",
	    "-1 l L v.test-u@v.test local users/cdb is mis");
	/* It is no reason to wait for who lives elsewhere. */
	expect_answer(&bench, "a@far.test", "1 r R a@far.test far.test");
	write_assign(ASSIGN, 0);
	expect_answer_soon(&bench, "u@v.test", VIRTUAL_U);
	write_assign("=bob:bob:1:1:/home/bob:::\n", 0);
	expect_answer_soon(
	    &bench, "u@v.test", "0 l L v.test-u@v.test local users/assign has");
	/* Damaged: could not tell, never absent. */
	folder_write("cdb", "damaged", 7);
	expect_answer_soon(&bench, "u@v.test",
	    "-1 l L v.test-u@v.test local users/cdb is mis");
	write_assign(ASSIGN, 0);
	expect_answer_soon(&bench, "u@v.test", VIRTUAL_U);
	close_bench(&bench);
}

/* Is it done by the flush itself?  It is done in any case. */
static bool
is_done_at_once(
    struct bench *bench, const char *const *recipients, size_t count)
{
	struct asked asked = { .request = { .channels = NULL } };
	unsigned done = bench->done;
	bool is_at_once;

	ask(bench, &asked, recipients, count);
	router_flush(bench->router);
	is_at_once = bench->done == done + 1;
	wait_done(bench, done + 1);
	drop(&asked);
	return is_at_once;
}

/*
 * The owner answers what is in memory; but whom the file of a moment ago does
 * not have, a thread looks up in the file as it is.
 */
static void
answers_from_memory(void **state)
{
	static const char *const known[] = { "u@v.test", "a@far.test" };
	static const char *const absent[] = { "nobody@local.test" };
	static const char *many[1000];
	unsigned tries = 0;
	struct bench bench;

	(void)state;
	write_assign(ASSIGN, 0);
	open_bench(&bench, false);
	/* The first question has a thread read the file, as has any that comes
	 * a second after the last look at it. */
	while (!is_done_at_once(&bench, known, 2))
		assert_in_range(++tries, 1, 100);
	expect_answer(&bench, "u@v.test", VIRTUAL_U);
	assert_false(is_done_at_once(&bench, absent, 1));
	for (size_t i = 0; i < sizeof(many) / sizeof(many[0]); i++)
		many[i] = "u@v.test";
	assert_false(
	    is_done_at_once(&bench, many, sizeof(many) / sizeof(many[0])));
	close_bench(&bench);
}

/* Three wait for the disk, and the fourth and all behind it do not. */
static void
slow_answers_hold_up_their_own(void **state)
{
	enum { SLOW = 3, QUICK = 50 };
	static const char *const recipients[] = { "u@v.test" };
	struct asked slow[SLOW], quick[QUICK];
	struct bench bench;

	(void)state;
	write_assign(ASSIGN, 5000);
	open_bench(&bench, false);
	atomic_store(&slow_reads, SLOW);
	for (int i = 0; i < SLOW; i++) {
		slow[i].request.channels = NULL;
		ask(&bench, &slow[i], recipients, 1);
	}
	router_flush(bench.router);
	for (int i = 0; i < SLOW; i++)
		sem_wait(&read_waits);
	for (int i = 0; i < QUICK; i++) {
		quick[i].request.channels = NULL;
		ask(&bench, &quick[i], recipients, 1);
	}
	wait_done(&bench, QUICK);
	for (int i = 0; i < QUICK; i++) {
		assert_in_range(quick[i].done_at, 1, QUICK);
		assert_string_equal(words(&quick[i].request, 0), VIRTUAL_U);
		drop(&quick[i]);
	}
	for (int i = 0; i < SLOW; i++)
		sem_post(&may_read);
	wait_done(&bench, QUICK + SLOW);
	for (int i = 0; i < SLOW; i++) {
		assert_string_equal(words(&slow[i].request, 0), VIRTUAL_U);
		drop(&slow[i]);
	}
	close_bench(&bench);
}

/* New rules, and a new users/cdb, while an answer is under way. */
static void
changes_under_way(void **state)
{
	static const char *const recipients[] = { "u@v.test", "a@x.test" };
	struct asked slow = { .request = { .channels = NULL } };
	struct bench bench;

	(void)state;
	write_assign(ASSIGN, 5000);
	open_bench(&bench, false);
	atomic_store(&slow_reads, 1);
	ask(&bench, &slow, recipients, 2);
	router_flush(bench.router);
	sem_wait(&read_waits);
	router_set_route(bench.router, make_route("x.test:v.test\n"));
	expect_answer(&bench, "a@x.test",
	    "1 l V v.test-a@x.test virtual v.test /node/domains/v.test - a "
	    "89 90");
	expect_answer(&bench, "u@v.test", "1 r R u@v.test v.test");
	write_assign("=bob:bob:1:1:/home/bob:::\n", 0);
	expect_answer_soon(
	    &bench, "a@x.test", "0 l L v.test-a@x.test local users/assign has");
	sem_post(&may_read);
	wait_done(&bench, bench.done + 1);
	/* By the rules and the file that it began with. */
	assert_string_equal(words(&slow.request, 0), VIRTUAL_U);
	assert_string_equal(words(&slow.request, 1), "1 r R a@x.test x.test");
	drop(&slow);
	close_bench(&bench);
}

/* Everyone gets an answer, and nothing is looked up for it. */
static void
the_end_answers_all(void **state)
{
	enum { COUNT = 20 };
	static const char *const recipients[] = { "u@v.test", "a@far.test" };
	struct asked asked[COUNT];
	struct bench bench;

	(void)state;
	write_assign(ASSIGN, 5000);
	open_bench(&bench, false);
	for (int i = 0; i < COUNT; i++) {
		asked[i].request.channels = NULL;
		ask(&bench, &asked[i], recipients, 2);
	}
	atomic_store(&slow_reads, 1);
	close_bench(&bench);
	assert_int_equal(atomic_load(&slow_reads), 1);
	assert_int_equal(bench.done, COUNT);
	for (int i = 0; i < COUNT; i++) {
		assert_string_equal(words(&asked[i].request, 0),
		    "-1 l L v.test-u@v.test local The queue is bei");
		assert_string_equal(
		    words(&asked[i].request, 1), "1 r R a@far.test far.test");
		drop(&asked[i]);
	}
}

/* A list's neighbours share their texts. */
static void
many_recipients(void **state)
{
	enum { COUNT = 10000 };
	static char addresses[COUNT][24];
	static const char *recipients[COUNT];
	struct asked asked = { .request = { .channels = NULL } };
	struct bench bench;

	(void)state;
	write_assign(ASSIGN, 0);
	open_bench(&bench, false);
	for (unsigned i = 0; i < COUNT; i++) {
		snprintf(addresses[i], sizeof(addresses[i]), "%05u@v.test", i);
		recipients[i] = addresses[i];
	}
	ask(&bench, &asked, recipients, COUNT);
	wait_done(&bench, 1);
	assert_string_equal(words(&asked.request, COUNT - 1),
	    "1 l V v.test-09999@v.test virtual v.test /node/domains/v.test - "
	    "09999 89 90");
	assert_in_range(asked.request.texts.length, 0,
	    COUNT * (sizeof("v.test-09999@v.test") + sizeof("09999")) + 100);
	drop(&asked);
	close_bench(&bench);
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, folder_setup, folder_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(answers),
		TEST(places_that_nobody_tells),
		TEST(lane_for_each_domain),
		TEST(users_come_and_go),
		TEST(answers_from_memory),
		TEST(slow_answers_hold_up_their_own),
		TEST(changes_under_way),
		TEST(the_end_answers_all),
		TEST(many_recipients),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
