/* SPDX-License-Identifier: ISC */
/* Tests of queue/sink_intake.c: the client, with queues that do as planned. */
#include "queue/sink.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/packet.h"
#include "queue/exitcode.h"
#include "queue/intake_packet.h"
#include "tests/unit/folder.h"

enum { QUEUES = 2, NUMBER = 4711 };

/* Under the lock; threads serve one connection each. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct queue {
	int fd; /* listens; -1: it is down */
	/*
	 * For each COMMIT and ASK: 'o' is answered with 0, 'n' that there is no
	 * such message, 'f' with 53, 'r' with 31, 'e' with 79, 's' with 71, 'x'
	 * ends the connection, 'd' also takes the queue down for 200 ms.
	 * For a BODY only 'b' counts, which ends the connection.
	 */
	const char *plan;
	struct buf events; /* what came */
	struct buf body, envelope;
	struct uuid uuid;
	unsigned connections; /* that are served */
} queues[QUEUES];
static struct sink_pool *pool;

static char *
socket_path(int number)
{
	return xasprintf("%s/queue%d/lock/intake", folder, number + 1);
}

static void
listen_as(int number)
{
	char *path = socket_path(number);
	struct error err;

	queues[number].fd = packet_listen(path, 0600, &err);
	if (queues[number].fd == -1)
		abort();
	free(path);
}

static int
code_of(char action)
{
	switch (action) {
	case 'n':
		return INTAKE_ABSENT;
	case 'f':
		return QQ_WRITE_ERROR;
	case 'r':
		return QQ_REJECTED;
	case 'e':
		return QQ_ENVELOPE;
	case 's':
		return QQ_UNAVAILABLE;
	default:
		return QQ_OK;
	}
}

/* False: the connection ends. */
static bool
handle(struct queue *queue, int fd, const struct intake_packet *packet)
{
	struct intake_packet answer = {
		.type = INTAKE_ANSWER, .id = NUMBER, .text = "as planned"
	};
	struct buf buf = BUF_INIT;
	char action;

	switch (packet->type) {
	case INTAKE_HELLO:
		buf_adds(&queue->events, "hello;");
		return true;
	case INTAKE_BODY:
		buf_adds(&queue->events, "body;");
		buf_add(&queue->body, packet->body, packet->body_length);
		if (*queue->plan != 'b')
			return true;
		queue->plan++;
		return false;
	case INTAKE_ENVELOPE:
		buf_adds(&queue->events, "envelope;");
		buf_add(&queue->envelope, packet->envelope,
		    packet->envelope_length);
		return true;
	case INTAKE_ABORT:
		buf_adds(&queue->events, "abort;");
		return true;
	case INTAKE_COMMIT:
		buf_addf(&queue->events, "commit %llu;",
		    (unsigned long long)packet->size_bytes);
		buf_add(&queue->body, packet->body, packet->body_length);
		buf_add(&queue->envelope, packet->envelope,
		    packet->envelope_length);
		queue->uuid = packet->uuid;
		break;
	case INTAKE_ASK:
		buf_adds(&queue->events, "ask;");
		assert_true(uuid_is_equal(&queue->uuid, &packet->uuid));
		break;
	case INTAKE_OPERATE:
	case INTAKE_ANSWER:
		return false;
	}
	action = *queue->plan != '\0' ? *queue->plan++ : 'x';
	if (action == 'd') {
		close(queue->fd);
		usleep(200000);
		listen_as((int)(queue - queues));
	}
	if (action == 'x' || action == 'd')
		return false;
	answer.code = (uint32_t)code_of(action);
	intake_put(&buf, &answer);
	packet_send(fd, buf.data, buf.length, -1, 0);
	buf_release(&buf);
	return true;
}

struct connection {
	struct queue *queue;
	int fd;
};

static void *
serve(void *context)
{
	struct connection *connection = context;
	char buffer[PACKET_MAX];
	bool is_alive = true;

	while (is_alive) {
		struct intake_packet packet;
		int passed;
		ssize_t n = packet_receive(
		    connection->fd, buffer, sizeof(buffer), &passed, 0);

		pthread_mutex_lock(&lock);
		is_alive = n > 0 && intake_get(buffer, (size_t)n, &packet) &&
		    handle(connection->queue, connection->fd, &packet);
		if (!is_alive) {
			buf_reset(&connection->queue->body);
			buf_reset(&connection->queue->envelope);
			connection->queue->connections--;
			close(connection->fd);
			pthread_cond_broadcast(&changed);
		}
		pthread_mutex_unlock(&lock);
	}
	free(connection);
	return NULL;
}

/* Accepts for all queues; those that are down have no socket. */
static void *
accept_all(void *context)
{
	(void)context;
	for (;;) {
		usleep(1000);
		pthread_mutex_lock(&lock);
		for (int i = 0; i < QUEUES; i++) {
			struct connection *connection;
			pthread_t thread;
			int fd = queues[i].fd == -1
			    ? -1
			    : accept(queues[i].fd, NULL, NULL);

			if (fd == -1)
				continue;
			connection = xcalloc(1, sizeof(*connection));
			connection->queue = &queues[i];
			connection->fd = fd;
			queues[i].connections++;
			if (pthread_create(&thread, NULL, serve, connection) !=
			    0)
				abort();
			pthread_detach(thread);
		}
		pthread_mutex_unlock(&lock);
	}
	return NULL;
}

static int
setup(void **state)
{
	struct sink_options options = { .queue_base = folder,
		.queue_count = QUEUES,
		.queue_start = 1,
		.slice_ms = 3600000,
		.timeout_ms = 5000 };
	static bool has_acceptor;
	pthread_t thread;

	if (folder_setup(state) != 0)
		return -1;
	pthread_mutex_lock(&lock);
	for (int i = 0; i < QUEUES; i++) {
		char *path = xasprintf("%s/queue%d", folder, i + 1);

		mkdir(path, 0700);
		free(path);
		path = xasprintf("%s/queue%d/lock", folder, i + 1);
		mkdir(path, 0700);
		free(path);
		queues[i] = (struct queue){ .plan = "" };
		listen_as(i);
	}
	pthread_mutex_unlock(&lock);
	if (!has_acceptor &&
	    pthread_create(&thread, NULL, accept_all, NULL) != 0)
		return -1;
	has_acceptor = true;
	pool = sink_pool_new(&options);
	return 0;
}

static int
teardown(void **state)
{
	sink_pool_free(&pool);
	pthread_mutex_lock(&lock);
	for (int i = 0; i < QUEUES; i++) {
		if (queues[i].fd != -1)
			close(queues[i].fd);
		queues[i].fd = -1;
		while (queues[i].connections > 0)
			pthread_cond_wait(&changed, &lock);
		buf_release(&queues[i].events);
		buf_release(&queues[i].body);
		buf_release(&queues[i].envelope);
	}
	pthread_mutex_unlock(&lock);
	return folder_teardown(state);
}

/* Of bytes that differ from place to place. */
static void
write_body(struct sink *sink, size_t size)
{
	size_t at = 0;

	while (at < size) {
		char piece[5000];
		size_t n = size - at < sizeof(piece) ? size - at : 5000;

		for (size_t i = 0; i < n; i++)
			piece[i] = (char)((at + i) * 31 >> 3);
		sink_write(sink, piece, n);
		at += n;
	}
}

static void
assert_body(const struct queue *queue, size_t size)
{
	pthread_mutex_lock(&lock);
	assert_int_equal(queue->body.length, size);
	for (size_t at = 0; at < size; at++)
		if (queue->body.data[at] != (char)(at * 31 >> 3))
			fail_msg("byte %zu differs", at);
	pthread_mutex_unlock(&lock);
}

static size_t
envelope_length(int number)
{
	size_t length;

	pthread_mutex_lock(&lock);
	length = queues[number].envelope.length;
	pthread_mutex_unlock(&lock);
	return length;
}

static int
send_message(size_t size, struct sink_outcome *outcome)
{
	static const char *const recipients[] = { "b@example.test" };
	const struct sink_envelope envelope = { .sender = "a@example.test",
		.recipients = recipients,
		.recipient_count = 1,
		.extra_header = "X: y\n",
		.qp = 7 };
	struct sink *sink;
	int result = sink_open(pool, NULL, NULL, &sink);

	if (result != QQ_OK)
		return result;
	write_body(sink, size);
	return sink_commit(&sink, &envelope, outcome);
}

static void
plan(const char *first, const char *second)
{
	pthread_mutex_lock(&lock);
	queues[0].plan = first;
	queues[1].plan = second;
	for (int i = 0; i < QUEUES; i++) {
		buf_reset(&queues[i].events);
		buf_reset(&queues[i].body);
		buf_reset(&queues[i].envelope);
	}
	pthread_mutex_unlock(&lock);
}

static const char *
events(int number)
{
	const char *text;

	pthread_mutex_lock(&lock);
	text = queues[number].events.data;
	pthread_mutex_unlock(&lock);
	return text != NULL ? text : "";
}

static void
small_messages_are_one_packet(void **state)
{
	static const char envelope[] =
	    "HX: y\n\0Fa@example.test\0Tb@example.test";
	struct sink_outcome outcome;

	(void)state;
	plan("o", "");
	assert_int_equal(send_message(3000, &outcome), QQ_OK);
	assert_string_equal(events(0), "hello;commit 3000;");
	assert_string_equal(outcome.queue, "queue1");
	assert_int_equal(outcome.id, NUMBER);
	assert_body(&queues[0], 3000);
	assert_int_equal(envelope_length(0), sizeof(envelope));
	assert_memory_equal(
	    queues[0].envelope.data, envelope, sizeof(envelope));
	/* The next one goes over the same connection. */
	plan("o", "");
	assert_int_equal(send_message(0, &outcome), QQ_OK);
	assert_string_equal(events(0), "commit 0;");
	plan("o", "");
	assert_int_equal(send_message(59000, &outcome), QQ_OK);
	assert_string_equal(events(0), "commit 59000;");
	assert_body(&queues[0], 59000);
}

static void
large_ones_are_several(void **state)
{
	static const size_t sizes[] = { 60000, 130000, 131072, 131073, 200000,
		5000000 };
	struct sink_outcome outcome;

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		plan("o", "");
		assert_int_equal(send_message(sizes[i], &outcome), QQ_OK);
		assert_body(&queues[0], sizes[i]);
		assert_non_null(strstr(events(0), "body;"));
	}
}

static void
envelopes_of_any_size(void **state)
{
	enum { COUNT = 20000 };
	static const char *recipients[COUNT];
	struct sink_envelope envelope = { .sender = "",
		.recipients = recipients };
	struct sink_outcome outcome;

	(void)state;
	for (size_t i = 0; i < COUNT; i++)
		recipients[i] = "somebody@example.test";
	for (size_t count = 1000; count <= COUNT; count += 1900) {
		struct sink *sink;

		plan("o", "");
		envelope.recipient_count = count;
		assert_int_equal(sink_open(pool, NULL, NULL, &sink), QQ_OK);
		write_body(sink, 30000);
		assert_int_equal(
		    sink_commit(&sink, &envelope, &outcome), QQ_OK);
		assert_body(&queues[0], 30000);
		assert_int_equal(envelope_length(0), 2 + count * 23);
	}
}

/*
 * What a queue does, what the other one, and what comes of it.  A body is sent
 * again only when nobody has it.
 */
static void
queues_that_end_or_refuse(void **state)
{
	static const struct {
		const char *name;
		size_t size;
		const char *plans[QUEUES];
		int wanted;
		const char *queue; /* that has it */
		const char *events[QUEUES];
	} rows[] = {
		{ "lost answer, queued", 10, { "xo", "" }, QQ_OK, "queue1",
		    { "hello;commit 10;hello;ask;", "" } },
		{ "lost answer, not queued", 10, { "xno", "" }, QQ_OK, "queue1",
		    { "hello;commit 10;hello;ask;commit 10;", "" } },
		{ "the question is lost, too", 10, { "xxo", "" }, QQ_OK,
		    "queue1", { "hello;commit 10;hello;ask;hello;ask;", "" } },
		{ "restart", 10, { "do", "" }, QQ_OK, "queue1",
		    { "hello;commit 10;hello;ask;", "" } },
		{ "not queued, then stopped", 10, { "xns", "o" }, QQ_OK,
		    "queue2",
		    { "hello;commit 10;hello;ask;commit 10;",
			"hello;commit 10;" } },
		{ "large, queued", 200000, { "xo", "" }, QQ_OK, "queue1",
		    { "hello;body;body;body;commit 200000;hello;ask;", "" } },
		{ "large, not queued", 200000, { "xn", "o" }, QQ_UNAVAILABLE,
		    "",
		    { "hello;body;body;body;commit 200000;hello;ask;", "" } },
		{ "full", 10, { "f", "o" }, QQ_OK, "queue2",
		    { "hello;commit 10;", "hello;commit 10;" } },
		{ "both full", 10, { "f", "f" }, QQ_WRITE_ERROR, "",
		    { "hello;commit 10;", "hello;commit 10;" } },
		{ "large, full", 200000, { "f", "o" }, QQ_WRITE_ERROR, "",
		    { "hello;body;body;body;commit 200000;", "" } },
		{ "stopping", 10, { "s", "o" }, QQ_OK, "queue2",
		    { "hello;commit 10;", "hello;commit 10;" } },
		{ "refused for good", 10, { "r", "o" }, QQ_REJECTED, "",
		    { "hello;commit 10;", "" } },
		{ "a bad envelope", 10, { "e", "o" }, QQ_ENVELOPE, "",
		    { "hello;commit 10;", "" } },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sink_outcome outcome;
		int result;

		if (i > 0)
			assert_int_equal(setup(state), 0);
		plan(rows[i].plans[0], rows[i].plans[1]);
		result = send_message(rows[i].size, &outcome);
		if (result != rows[i].wanted ||
		    strcmp(outcome.queue, rows[i].queue) != 0 ||
		    strcmp(events(0), rows[i].events[0]) != 0 ||
		    strcmp(events(1), rows[i].events[1]) != 0)
			fail_msg("%s: %d, '%s', '%s', '%s'", rows[i].name,
			    result, outcome.queue, events(0), events(1));
		if (i + 1 < sizeof(rows) / sizeof(rows[0]))
			assert_int_equal(teardown(state), 0);
	}
}

static void
go_down(int number)
{
	char *path = socket_path(number);

	pthread_mutex_lock(&lock);
	close(queues[number].fd);
	queues[number].fd = -1;
	pthread_mutex_unlock(&lock);
	if (number == 0)
		unlink(path);
	free(path);
}

/* What it has not been asked to commit, it has not. */
static void
ends_at_the_body(void **state)
{
	static const char *const recipients[] = { "b@example.test" };
	const struct sink_envelope envelope = {
		.recipients = recipients, .recipient_count = 1, .sender = ""
	};
	struct sink_outcome outcome;
	struct sink *sink;

	(void)state;
	plan("b", "o");
	assert_int_equal(sink_open(pool, NULL, NULL, &sink), QQ_OK);
	write_body(sink, 100000);
	pthread_mutex_lock(&lock);
	while (*queues[0].plan != '\0' || queues[0].connections > 0)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
	assert_int_equal(sink_commit(&sink, &envelope, &outcome), QQ_OK);
	assert_string_equal(outcome.queue, "queue2");
	assert_string_equal(events(0), "hello;body;");
	assert_string_equal(events(1), "hello;body;commit 100000;");
	assert_body(&queues[1], 100000);
}

/* Which ones, and why; it is no network that has trouble. */
static void
queues_that_are_down(void **state)
{
	char log[1024] = "";
	struct sink_outcome outcome;
	int saved = dup(2), pipe_fds[2], result;

	(void)state;
	go_down(0);
	plan("", "o");
	assert_int_equal(send_message(10, &outcome), QQ_OK);
	assert_string_equal(outcome.queue, "queue2");
	go_down(1);
	teardown(state);
	setup(state);
	go_down(0);
	go_down(1);
	assert_int_equal(pipe(pipe_fds), 0);
	dup2(pipe_fds[1], 2);
	result = send_message(10, &outcome);
	dup2(saved, 2);
	close(saved);
	close(pipe_fds[1]);
	assert_true(read(pipe_fds[0], log, sizeof(log) - 1) > 0);
	close(pipe_fds[0]);
	assert_int_equal(result, QQ_UNAVAILABLE);
	if (strstr(log, "all queues are down") == NULL ||
	    strstr(log, "/queue1' (No such file or directory), ") == NULL ||
	    strstr(log, "/queue2' (Connection refused)") == NULL)
		fail_msg("%s", log);
	assert_null(strstr(qq_text(result), "network"));
}

static void *
come_back(void *context)
{
	(void)context;
	usleep(300000);
	pthread_mutex_lock(&lock);
	listen_as(1);
	pthread_mutex_unlock(&lock);
	return NULL;
}

/* The first waits for a restart, the others no longer than the first. */
static void
opens_when_a_queue_is_back(void **state)
{
	const struct sink_options options = { .queue_base = folder,
		.queue_count = QUEUES,
		.queue_start = 1,
		.open_wait_ms = 20000 };
	struct sink_options brief = options;
	struct sink_outcome outcome;
	pthread_t thread;
	int64_t began_ms;

	(void)state;
	go_down(0);
	go_down(1);
	plan("", "o");
	sink_pool_configure(pool, &options);
	assert_int_equal(pthread_create(&thread, NULL, come_back, NULL), 0);
	assert_int_equal(send_message(10, &outcome), QQ_OK);
	assert_string_equal(outcome.queue, "queue2");
	pthread_join(thread, NULL);
	sink_pool_free(&pool);
	go_down(1);
	brief.open_wait_ms = 1000;
	pool = sink_pool_new(&brief);
	began_ms = clock_ms();
	assert_int_equal(send_message(10, &outcome), QQ_UNAVAILABLE);
	assert_true(clock_ms() >= began_ms + brief.open_wait_ms);
	began_ms = clock_ms();
	assert_int_equal(send_message(10, &outcome), QQ_UNAVAILABLE);
	assert_true(clock_ms() < began_ms + brief.open_wait_ms);
}

/* Without an end it would wait for one queue while it forgets the other. */
static void
opens_no_queue_that_hangs(void **state)
{
	const struct sink_options options = { .queue_base = folder,
		.queue_count = QUEUES,
		.queue_start = 1,
		.timeout_ms = 500,
		.open_wait_ms = 200 };
	struct sink_outcome outcome;
	char *path = socket_path(0);
	int listener, waiting;

	(void)state;
	go_down(0);
	go_down(1);
	listener = packet_listen(path, 0600, NULL);
	assert_int_not_equal(listener, -1);
	assert_int_equal(listen(listener, 0), 0); /* of one that is full */
	waiting = packet_connect_within(path, 60000, NULL);
	assert_int_not_equal(waiting, -1);
	sink_pool_configure(pool, &options);
	alarm(30);
	assert_int_equal(send_message(10, &outcome), QQ_UNAVAILABLE);
	alarm(0);
	close(waiting);
	close(listener);
	free(path);
}

/* A session that sends nothing costs the queue nothing. */
static void
aborts(void **state)
{
	struct sink_outcome outcome;
	struct sink *sink;

	(void)state;
	plan("o", "");
	assert_int_equal(sink_open(pool, NULL, NULL, &sink), QQ_OK);
	sink_abort(&sink);
	assert_int_equal(sink_open(pool, NULL, NULL, &sink), QQ_OK);
	write_body(sink, 100000);
	sink_abort(&sink);
	assert_int_equal(send_message(10, &outcome), QQ_OK);
	assert_string_equal(events(0), "hello;body;abort;commit 10;");
}

static void
uuids(void **state)
{
	struct uuid uuid;
	struct sink *a, *b;

	(void)state;
	uuid_make(&uuid);
	assert_int_equal(sink_open(pool, NULL, &uuid, &a), QQ_OK);
	assert_true(uuid_is_equal(sink_uuid(a), &uuid));
	sink_abort(&a);
	assert_int_equal(sink_open(pool, NULL, NULL, &a), QQ_OK);
	assert_int_equal(sink_open(pool, NULL, NULL, &b), QQ_OK);
	assert_false(uuid_is_equal(sink_uuid(a), sink_uuid(b)));
	assert_false(uuid_is_none(sink_uuid(a)));
	sink_abort(&a);
	sink_abort(&b);
}

#define SINK_TEST(function) \
	cmocka_unit_test_setup_teardown(function, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		SINK_TEST(small_messages_are_one_packet),
		SINK_TEST(large_ones_are_several),
		SINK_TEST(envelopes_of_any_size),
		SINK_TEST(queues_that_end_or_refuse),
		SINK_TEST(ends_at_the_body),
		SINK_TEST(queues_that_are_down),
		SINK_TEST(opens_when_a_queue_is_back),
		SINK_TEST(opens_no_queue_that_hangs),
		SINK_TEST(aborts),
		SINK_TEST(uuids),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
