/* SPDX-License-Identifier: ISC */
#include "delivery/worker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <sys/socket.h>

#include "base/packet.h"
#include "tests/unit/vdomain.h"

static const struct vdomain_user users[] = {
	{ "u0", "NOQUOTA", 0, 0, false },
};

static struct vdomain node;
static struct store *store;
static struct sync_pool *pool;
static struct vdeliver *vdeliver;
static int ours, theirs; /* qmail-send's end, the worker's end */
static sigset_t wait_mask;
static volatile sig_atomic_t is_stopping;

/* The packet that results are read from, and what is left of it. */
static char results[PACKET_MAX];
static const char *next_result;
static size_t results_left, results_packets;

static int
setup(void **state)
{
	const struct vdeliver_options options = { false, 0 };
	struct error err;
	int ends[2];

	(void)state;
	vdomain_make(&node, users, 1);
	store = store_open_cdb(node.root, &err);
	assert_non_null(store);
	pool = sync_pool_new(2);
	vdeliver = vdeliver_new(store, node.domains, pool, 8, &options, &err);
	assert_non_null(vdeliver);
	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	ours = ends[0];
	theirs = ends[1];
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
	sync_pool_free(&pool);
	store_free(&store);
	vdomain_remove(&node);
	return 0;
}

static void
send_job(uint32_t delivery, const char *extension)
{
	char *path = xasprintf("%s/message", node.root);
	const struct job job = {
		.delivery = delivery,
		.sender = "",
		.recipient = "example.test-x@example.test",
		.user = "example.test",
		.home = node.dir,
		.dash = "-",
		.extension = extension,
		.header = "",
	};
	struct buf packet;
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	buf_init(&packet);
	job_put(&packet, &job);
	assert_int_equal(
	    packet_send(ours, packet.data, packet.length, fd, 0), 0);
	buf_release(&packet);
	close(fd);
	free(path);
}

static void
assert_hello(void)
{
	struct job_hello hello;
	char packet[100];
	int fd;
	ssize_t n = packet_receive(
	    ours, packet, sizeof(packet), &fd, MSG_DONTWAIT);

	assert_true(n > 0);
	assert_true(job_get_hello(packet, (size_t)n, &hello));
	assert_int_equal(hello.version, JOB_VERSION);
	assert_int_equal(hello.channel, JOB_VIRTUAL);
}

static void
assert_result(uint32_t delivery, enum job_outcome outcome)
{
	struct job_result result;
	int fd;

	if (results_left == 0) {
		ssize_t n = packet_receive(
		    ours, results, sizeof(results), &fd, MSG_DONTWAIT);

		assert_true(n > 0);
		next_result = results;
		results_left = (size_t)n;
		results_packets++;
	}
	assert_true(job_take_result(&next_result, &results_left, &result));
	assert_int_equal(result.delivery, delivery);
	assert_int_equal(result.outcome, outcome);
}

static void
every_job_is_answered_once(void **state)
{
	char packet[100];
	struct error err;
	uint32_t i;
	int fd;

	(void)state;
	for (i = 0; i < 150; i++) /* more than a batch */
		send_job(1000 + i, i % 3 == 2 ? "absent" : "u0");
	assert_int_equal(shutdown(ours, SHUT_WR), 0);
	assert_int_equal(
	    worker_serve(theirs, vdeliver, &is_stopping, &wait_mask, &err), 0);
	assert_hello();
	for (i = 0; i < 150; i++)
		assert_result(
		    1000 + i, i % 3 == 2 ? JOB_PERMFAIL : JOB_DELIVERED);
	assert_true(results_packets < 10); /* one or two for each batch */
	assert_int_equal(results_left, 0);
	assert_int_equal(
	    packet_receive(ours, packet, sizeof(packet), &fd, MSG_DONTWAIT),
	    -1);
}

static void
jobs_before_a_bad_packet_are_answered(void **state)
{
	struct error err;

	(void)state;
	send_job(1, "u0");
	assert_int_equal(packet_send(ours, "nonsense", 8, -1, 0), 0);
	send_job(2, "u0");
	assert_int_equal(
	    worker_serve(theirs, vdeliver, &is_stopping, &wait_mask, &err), -1);
	assert_non_null(strstr(err.text, "restart the queue"));
	assert_hello();
	assert_result(1, JOB_DELIVERED);
}

static void
a_job_without_a_descriptor_is_deferred(void **state)
{
	struct job job = {
		.delivery = 7,
		.sender = "",
		.recipient = "x@example.test",
		.user = "example.test",
		.home = "",
		.dash = "",
		.extension = "u0",
		.header = "",
	};
	struct buf packet;
	struct error err;

	(void)state;
	buf_init(&packet);
	job_put(&packet, &job);
	assert_int_equal(
	    packet_send(ours, packet.data, packet.length, -1, 0), 0);
	buf_release(&packet);
	assert_int_equal(shutdown(ours, SHUT_WR), 0);
	assert_int_equal(
	    worker_serve(theirs, vdeliver, &is_stopping, &wait_mask, &err), 0);
	assert_hello();
	assert_result(7, JOB_TEMPFAIL);
}

static void
told_to_stop_it_takes_no_more(void **state)
{
	char packet[100];
	struct error err;
	int fd;

	(void)state;
	send_job(1, "u0");
	is_stopping = 1;
	assert_int_equal(
	    worker_serve(theirs, vdeliver, &is_stopping, &wait_mask, &err), 0);
	assert_hello();
	assert_int_equal(
	    packet_receive(ours, packet, sizeof(packet), &fd, MSG_DONTWAIT),
	    -1);
}

static void
a_queue_that_has_gone_is_no_error(void **state)
{
	struct error err;

	(void)state;
	send_job(1, "u0");
	close(ours);
	assert_int_equal(
	    worker_serve(theirs, vdeliver, &is_stopping, &wait_mask, &err), 0);
	ours = dup(theirs); /* for the teardown */
}

int
main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(every_job_is_answered_once),
		CASE(jobs_before_a_bad_packet_are_answered),
		CASE(a_job_without_a_descriptor_is_deferred),
		CASE(told_to_stop_it_takes_no_more),
		CASE(a_queue_that_has_gone_is_no_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
