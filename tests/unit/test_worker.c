/* SPDX-License-Identifier: ISC */
#include "delivery/worker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>

#include "base/packet.h"
#include "tests/unit/vdomain.h"

static const struct vdomain_user users[] = {
	{ "u0", "NOQUOTA", 0, 0, false },
};

static struct vdomain node;
static struct store *store;
static struct vdeliver *vdeliver;
static struct worker *worker;
static int ours, theirs; /* qmail-send's end, the worker's end */
static sigset_t wait_mask;
static volatile sig_atomic_t is_stopping;

/* The packet that results are read from, and what is left of it. */
static char results[PACKET_MAX];
static const char *next_result;
static size_t results_left, results_packets;

enum { RECIPIENTS = 100, BYTES = 1000000 };

static int
setup(void **state)
{
	struct vdeliver_config config = {
		.host = "h.test",
		.queue = "queue1",
		.cached_maildirs = 8,
		.sync_threads = 2,
		.answer = worker_answer,
	};
	struct error err;
	int ends[2];

	(void)state;
	vdomain_make(&node, users, 1);
	store = store_open_cdb(node.root, &err);
	assert_non_null(store);
	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	ours = ends[0];
	theirs = ends[1];
	worker = worker_new(theirs, RECIPIENTS, BYTES);
	config.store = store;
	config.domains = node.domains;
	config.context = worker;
	vdeliver = vdeliver_new(&config, &err);
	assert_non_null(vdeliver);
	sigemptyset(&wait_mask);
	results_left = results_packets = 0;
	is_stopping = 0;
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	close(ours);
	close(theirs);
	vdeliver_free(&vdeliver);
	worker_free(&worker);
	store_free(&store);
	vdomain_remove(&node);
	return 0;
}

/* body: in the packet; NULL: a descriptor of a file of size bytes, or none. */
static void
send_message(uint32_t delivery, size_t count, const char *extension,
    const char *body, uint64_t size, bool has_fd)
{
	char *path = xasprintf("%s/message", node.root);
	struct job_recipient recipients[JOB_RECIPIENTS_MAX];
	struct job job = {
		.message_id = delivery,
		.lane = "virtual",
		.attempt = 1,
		.sender = "",
		.header = "",
		.dsn = "",
		.body = body,
		.size_bytes = size,
		.recipients = recipients,
		.recipient_count = count,
	};
	struct buf packet;
	int fd = -1;
	size_t i;

	uuid_make(&job.uuid);
	for (i = 0; i < count; i++)
		recipients[i] = (struct job_recipient){
			.delivery = delivery + (uint32_t)i,
			.recipient = xasprintf(
			    "example.test-x%zu@example.test", i),
			.user = "example.test",
			.home = node.dir,
			.dash = "-",
			.extension = extension,
			.dsn = "",
		};
	if (has_fd) {
		fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		assert_int_equal(ftruncate(fd, (off_t)size), 0);
	}
	buf_init(&packet);
	job_put(&packet, &job);
	assert_int_equal(
	    packet_send(ours, packet.data, packet.length, fd, 0), 0);
	buf_release(&packet);
	for (i = 0; i < count; i++)
		free((char *)(uintptr_t)recipients[i].recipient);
	if (fd != -1)
		close(fd);
	free(path);
}

static void
send_job(uint32_t delivery, const char *extension)
{
	send_message(delivery, 1, extension, "body\n", 5, false);
}

static int
serve(struct error *err)
{
	return worker_serve(worker, vdeliver, &is_stopping, &wait_mask, err);
}

/* The worker's end, in a thread of its own until it ends. */
static void *
serve_beside(void *arg)
{
	(void)arg;
	assert_int_equal(serve(NULL), 0);
	return NULL;
}

static void
assert_take(uint32_t recipients, uint64_t bytes)
{
	struct job_take take;
	char packet[100];
	int fd;
	ssize_t n = packet_receive(ours, packet, sizeof(packet), &fd, 0);

	assert_true(n > 0);
	assert_true(job_get_take(packet, (size_t)n, &take));
	assert_int_equal(take.recipients, recipients);
	assert_int_equal(take.bytes, bytes);
}

static void
assert_hello(void)
{
	struct job_hello hello;
	char packet[100];
	int fd;
	ssize_t n = packet_receive(ours, packet, sizeof(packet), &fd, 0);

	assert_true(n > 0);
	assert_true(job_get_hello(packet, (size_t)n, &hello));
	assert_int_equal(hello.version, JOB_VERSION);
	assert_int_equal(hello.channel, JOB_VIRTUAL);
	assert_take(RECIPIENTS, BYTES);
}

/* The next result, which may not be there yet. */
static void
next_answer(struct job_result *result_out)
{
	if (results_left == 0) {
		int fd;
		ssize_t n = packet_receive(
		    ours, results, sizeof(results), &fd, 0);

		assert_true(n > 0);
		next_result = results;
		results_left = (size_t)n;
		results_packets++;
		assert_true(job_open_results(&next_result, &results_left));
		assert_true(results_left > 0);
	}
	assert_true(job_take_result(&next_result, &results_left, result_out));
}

static void
assert_result(uint32_t delivery, enum job_outcome outcome)
{
	struct job_result result;

	next_answer(&result);
	assert_int_equal(result.delivery, delivery);
	assert_int_equal(result.outcome, outcome);
}

static void
assert_nothing_more(void)
{
	char packet[100];
	int fd;

	assert_int_equal(results_left, 0);
	assert_int_equal(
	    packet_receive(ours, packet, sizeof(packet), &fd, MSG_DONTWAIT),
	    -1);
}

static void
every_job_is_answered_once(void **state)
{
	bool is_answered[150] = { false };
	struct job_result result;
	struct error err;
	uint32_t i;

	(void)state;
	for (i = 0; i < 150; i++) /* more than it takes at once */
		send_job(1000 + i, i % 3 == 2 ? "absent" : "u0");
	assert_int_equal(shutdown(ours, SHUT_WR), 0);
	assert_int_equal(serve(&err), 0);
	assert_hello();
	for (i = 0; i < 150; i++) {
		next_answer(&result);
		assert_in_range(result.delivery, 1000, 1149);
		assert_false(is_answered[result.delivery - 1000]);
		is_answered[result.delivery - 1000] = true;
		assert_int_equal(result.outcome,
		    (result.delivery - 1000) % 3 == 2 ? JOB_PERMFAIL
						      : JOB_DELIVERED);
	}
	assert_true(results_packets < 20); /* they share packets */
	assert_nothing_more();
}

static void
recipients_of_one_message_have_their_own_results(void **state)
{
	bool is_answered[JOB_RECIPIENTS_MAX] = { false };
	struct job_result result;
	struct error err;
	size_t i;

	(void)state;
	send_message(0, JOB_RECIPIENTS_MAX, "u0", NULL, 100000, true);
	assert_int_equal(shutdown(ours, SHUT_WR), 0);
	assert_int_equal(serve(&err), 0);
	assert_hello();
	for (i = 0; i < JOB_RECIPIENTS_MAX; i++) {
		next_answer(&result);
		assert_int_equal(result.outcome, JOB_DELIVERED);
		assert_false(is_answered[result.delivery]);
		is_answered[result.delivery] = true;
	}
	assert_nothing_more();
}

static void
jobs_before_a_bad_packet_are_answered(void **state)
{
	struct error err;

	(void)state;
	send_job(1, "u0");
	assert_int_equal(packet_send(ours, "nonsense", 8, -1, 0), 0);
	send_job(2, "u0");
	assert_int_equal(serve(&err), -1);
	assert_non_null(strstr(err.text, "restart the queue"));
	assert_hello();
	assert_result(1, JOB_DELIVERED);
	assert_nothing_more();
}

static void
a_body_that_is_there_twice_is_no_job(void **state)
{
	struct error err;

	(void)state;
	send_message(1, 1, "u0", "12345", 5, true);
	assert_int_equal(serve(&err), -1);
	assert_hello();
	assert_nothing_more();
}

static void
a_job_without_its_bytes_is_deferred(void **state)
{
	struct error err;

	(void)state;
	send_message(7, 1, "u0", NULL, 5, false);
	send_message(8, 1, "u0", NULL, 5000000, false);
	assert_int_equal(shutdown(ours, SHUT_WR), 0);
	assert_int_equal(serve(&err), 0);
	assert_hello();
	assert_result(7, JOB_TEMPFAIL);
	assert_result(8, JOB_TEMPFAIL);
}

/* While a large one is written as many small ones as ever are taken. */
static void
large_messages_come_besides(void **state)
{
	enum { LARGE = 5000000 };
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, serve_beside, NULL), 0);
	send_message(1, 1, "u0", NULL, LARGE, true);
	assert_hello();
	assert_take(RECIPIENTS + 1, BYTES + LARGE);
	assert_result(1, JOB_DELIVERED);
	assert_take(RECIPIENTS, BYTES);
	assert_int_equal(shutdown(ours, SHUT_WR), 0);
	pthread_join(thread, NULL);
}

static void
told_to_stop_it_takes_no_more(void **state)
{
	struct error err;

	(void)state;
	send_job(1, "u0");
	is_stopping = 1;
	assert_int_equal(serve(&err), 0);
	assert_hello();
	assert_nothing_more();
}

static void
a_queue_that_has_gone_is_no_error(void **state)
{
	struct error err;

	(void)state;
	send_job(1, "u0");
	close(ours);
	assert_int_equal(serve(&err), 0);
	ours = dup(theirs); /* for the teardown */
}

int
main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(every_job_is_answered_once),
		CASE(jobs_before_a_bad_packet_are_answered),
		CASE(recipients_of_one_message_have_their_own_results),
		CASE(a_body_that_is_there_twice_is_no_job),
		CASE(a_job_without_its_bytes_is_deferred),
		CASE(large_messages_come_besides),
		CASE(told_to_stop_it_takes_no_more),
		CASE(a_queue_that_has_gone_is_no_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
