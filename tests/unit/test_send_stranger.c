/* SPDX-License-Identifier: ISC */
/*
 * Tests of queue/send_stranger.c: what another user's process does to his
 * connections.  Only root can be another user.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "tests/unit/intake_bench.h"

enum { STRANGER = 65534, OTHER = 65532 };

static char large[300000];

/* The clock goes on from where a test has put it. */
static atomic_int skew_s;

int
clock_gettime(clockid_t id, struct timespec *now)
{
	int result = (int)syscall(SYS_clock_gettime, id, now);

	now->tv_sec += atomic_load(&skew_s);
	return result;
}

/* -- in the stranger's process: 0 is success */

static struct intake_packet
hear(int fd)
{
	static char buffer[2048];
	struct intake_packet answer = { .code = 999, .text = "" };
	struct pollfd in = { .fd = fd, .events = POLLIN };
	int passed;
	ssize_t n;

	if (poll(&in, 1, WAIT_MS) != 1)
		return answer;
	n = packet_receive(fd, buffer, sizeof(buffer), &passed, 0);
	if (n <= 0 || !intake_get(buffer, (size_t)n, &answer))
		answer.code = n <= 0 ? 998 : 997;
	return answer;
}

enum { NOT_HEARD = 999, OVER = 998 };

static int
open_connection(void)
{
	struct intake_packet hello = { .type = INTAKE_HELLO,
		.version = INTAKE_VERSION };
	struct error err;
	int fd = packet_connect_within(bench.path, 60000, &err);

	if (fd == -1)
		_exit(99);
	peer_send(fd, &hello);
	return fd;
}

/* As peer_send(), waiting for room. */
static bool
send_slowly(int fd, const struct intake_packet *packet)
{
	struct buf buf = BUF_INIT;
	int result;

	intake_put(&buf, packet);
	result = packet_send(fd, buf.data, buf.length, -1, 0);
	buf_release(&buf);
	return result == 0;
}

static bool
send_body(int fd, size_t size)
{
	struct intake_packet piece = { .type = INTAKE_BODY };

	for (size_t at = 0; at < size; at += piece.body_length) {
		piece.body = large + at % sizeof(large);
		piece.body_length = size - at < 50000 ? size - at : 50000;
		if (!send_slowly(fd, &piece))
			return false;
	}
	return true;
}

static int
send_small_and_large(void)
{
	struct intake_packet small = make_peer_commit(1, "body\n", 5, 5);
	struct intake_packet rest = make_peer_commit(2, "", 0, 250000);
	struct intake_packet ask = { .type = INTAKE_ASK,
		.uuid = { { [15] = 1 } } };
	int fd = open_connection();
	struct intake_packet answer;

	send_slowly(fd, &small);
	answer = hear(fd);
	if (answer.code != QQ_OK || answer.id != FIRST_ID)
		return 1;
	if (!send_body(fd, 250000) || !send_slowly(fd, &rest))
		return 2;
	answer = hear(fd);
	if (answer.code != QQ_OK || answer.id != FIRST_ID + 1)
		return 3;
	send_slowly(fd, &ask);
	return hear(fd).code != INTAKE_ABSENT ? 4 : 0;
}

/* Neither is taken; his connection goes on. */
static int
send_without_space(void)
{
	struct intake_packet small = make_peer_commit(1, "body\n", 5, 5);
	struct intake_packet rest = make_peer_commit(2, "", 0, 250000);
	int fd = open_connection();

	send_slowly(fd, &small);
	if (hear(fd).code != QQ_WRITE_ERROR)
		return 1;
	if (!send_body(fd, 250000) || !send_slowly(fd, &rest))
		return 2;
	return hear(fd).code != QQ_WRITE_ERROR ? 3 : 0;
}

static int
send_import(void)
{
	struct intake_packet commit = make_peer_commit(1, "", 0, 0);
	int fd = open_connection();

	commit.is_import = true;
	send_slowly(fd, &commit);
	return hear(fd).code != QQ_REJECTED;
}

/* One record of recipients, in pieces, and COMMIT. */
static int
send_recipients(size_t count)
{
	struct intake_packet piece = { .type = INTAKE_ENVELOPE };
	struct intake_packet commit = make_peer_commit(1, "", 0, 0);
	struct buf record = BUF_INIT;
	int fd = open_connection();

	buf_add(&record, "Fs", 3);
	for (size_t i = 0; i < count; i++)
		buf_add(&record, "Tr", 3);
	for (size_t at = 0; at < record.length; at += piece.envelope_length) {
		piece.envelope = record.data + at;
		piece.envelope_length = record.length - at < 50000
		    ? record.length - at
		    : 50000;
		send_slowly(fd, &piece);
	}
	commit.envelope_length = 0;
	send_slowly(fd, &commit);
	buf_release(&record);
	return (int)hear(fd).code;
}

static int
send_many_recipients(void)
{
	return send_recipients(100000) != QQ_OK ||
	    send_recipients(100001) != QQ_REJECTED;
}

static int
open_too_many(void)
{
	int fds[40], alive = 0;

	for (int i = 0; i < 40; i++)
		fds[i] = open_connection();
	/* Those that are one too many end. */
	for (int i = 0; i < 40; i++) {
		struct intake_packet ask = { .type = INTAKE_ASK,
			.uuid = { { 1 } } };

		if (send_slowly(fds[i], &ask) &&
		    hear(fds[i]).code == INTAKE_ABSENT)
			alive++;
	}
	if (alive != 32)
		return alive;
	/* What has ended makes room. */
	for (int i = 0; i < 40; i++)
		close(fds[i]);
	for (int i = 0; i < 100; i++) {
		struct intake_packet ask = { .type = INTAKE_ASK,
			.uuid = { { 1 } } };
		int fd = open_connection();

		if (send_slowly(fd, &ask) && hear(fd).code == INTAKE_ABSENT)
			return 0;
		close(fd);
		usleep(20000);
	}
	return 98;
}

/* Three envelopes of nearly 16 MiB are more than a user's 32 MiB. */
static int filled_pipe[2] = { -1, -1 };

static int
fill_memory(void)
{
	static char piece_bytes[50000] = "F";
	struct intake_packet piece = { .type = INTAKE_ENVELOPE,
		.envelope = piece_bytes,
		.envelope_length = sizeof(piece_bytes) };
	struct intake_packet ask = { .type = INTAKE_ASK, .uuid = { { 1 } } };
	int fds[3], alive = 0;

	for (int i = 0; i < 3; i++) {
		fds[i] = open_connection();
		for (size_t sent = 0; sent < 16000000;
		     sent += sizeof(piece_bytes))
			if (!send_slowly(fds[i], &piece))
				break;
	}
	for (int i = 0; i < 3; i++)
		alive += send_slowly(fds[i], &ask) &&
		    hear(fds[i]).code == INTAKE_ABSENT;
	if (alive != 2)
		return 1 + alive;
	/* And stays. */
	if (filled_pipe[1] != -1 && write(filled_pipe[1], "x", 1) == 1)
		pause();
	return 0;
}

static int sent_pipe[2];

/* A TCP connection with unsent bytes whose end waits for 20 seconds. */
static int
make_lingering(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	struct linger linger = { .l_onoff = 1, .l_linger = 20 };
	socklen_t size = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM, 0), small = 4096;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	if (bind(listener, (struct sockaddr *)&address, size) == -1 ||
	    listen(listener, 1) == -1 ||
	    getsockname(listener, (struct sockaddr *)&address, &size) == -1 ||
	    connect(fd, (struct sockaddr *)&address, size) == -1 ||
	    setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) ==
		-1)
		return -1;
	while (send(fd, large, sizeof(large), MSG_DONTWAIT) > 0)
		;
	return fd;
}

/* Descriptors in the first packet and in those behind it, in 60 connections. */
static int
send_lingering(void)
{
	struct error err;

	for (int i = 0; i < 60; i++) {
		int passed = make_lingering();
		int fd = i % 2 == 0
		    ? open_connection()
		    : packet_connect_within(bench.path, 60000, &err);

		if (passed == -1 || fd == -1 ||
		    packet_send(fd, "\002", 1, passed, 0) == -1)
			return 1;
		close(passed);
		close(fd);
	}
	if (write(sent_pipe[1], "x", 1) != 1)
		return 1;
	pause(); /* who listens must stay, or there is nothing to wait for */
	return 0;
}

static int
abort_in_a_loop(void)
{
	struct intake_packet forget = { .type = INTAKE_ABORT };

	for (int i = 0; i < 200; i++) {
		int fd = open_connection();

		send_body(fd, 120000);
		if (i % 3 == 0)
			send_slowly(fd, &forget);
		if (i % 3 == 1 && packet_send(fd, "\377", 1, -1, 0) == 0)
			hear(fd);
		close(fd);
	}
	return 0;
}

/* Questions whose answers are not read. */
static int
never_read(void)
{
	struct intake_packet ask = { .type = INTAKE_ASK, .uuid = { { 1 } } };
	int fd = open_connection();

	for (int i = 0; i < 100000; i++)
		if (!send_slowly(fd, &ask))
			return 0;
	return 1;
}

static int
ask_once(void)
{
	struct intake_packet ask = { .type = INTAKE_ASK, .uuid = { { 1 } } };
	int fd = open_connection();

	return !send_slowly(fd, &ask) || hear(fd).code != INTAKE_ABSENT;
}

static int
commit_one(void)
{
	struct intake_packet commit = make_peer_commit(1, "x", 1, 1);
	int fd = open_connection();

	send_slowly(fd, &commit);
	return (int)hear(fd).code;
}

static int stopped_pipe[2];

/* A connection that is older than the stop, and one that is not. */
static int
commit_after_a_stop(void)
{
	struct intake_packet commit = make_peer_commit(1, "x", 1, 1);
	struct intake_packet ask = { .type = INTAKE_ASK, .uuid = { { 1 } } };
	int fd = open_connection(), other;
	char byte;

	close(bench.intake->source.fd); /* the parent's */
	send_slowly(fd, &ask);
	if (hear(fd).code != INTAKE_ABSENT ||
	    read(stopped_pipe[0], &byte, 1) != 1)
		return 1;
	send_slowly(fd, &commit);
	if (hear(fd).code != QQ_UNAVAILABLE)
		return 2;
	other = packet_connect_within(bench.path, 60000, NULL);
	return other == -1 && errno == ECONNREFUSED ? 0 : 3;
}

/* Stays, with something begun. */
static int
stay(void)
{
	int fd = open_connection();

	send_body(fd, 250000);
	return hear(fd).code != OVER;
}

/* -- the tests */

/* Has another user do this; *status_out is what it returns, at its end. */
static pid_t
start_as(uid_t uid, int (*act)(void))
{
	pid_t pid = fork();

	if (pid == 0) {
		alarm(60);
		if (setgid(uid) == -1 || setuid(uid) == -1)
			_exit(97);
		_exit(act());
	}
	assert_int_not_equal(pid, -1);
	return pid;
}

static bool
has_ended(pid_t pid, int *status_out)
{
	loop_wait(bench.loop, 5);
	return waitpid(pid, status_out, WNOHANG) == pid;
}

static int
do_as(uid_t uid, int (*act)(void))
{
	pid_t pid = start_as(uid, act);
	int status = -1;

	while (!has_ended(pid, &status))
		;
	return status;
}

static void
must_do_as(uid_t uid, int (*act)(void))
{
	assert_int_equal(do_as(uid, act), 0);
}

static int
root_setup(void **state)
{
	if (getuid() != 0)
		skip();
	memset(large, 'x', sizeof(large));
	return bench_setup(state);
}

#define STRANGER_TEST(function) \
	cmocka_unit_test_setup_teardown(function, root_setup, bench_teardown)

/* His user is the kernel's word, and his UUIDs are his alone. */
static void
messages(void **state)
{
	struct uuid uuid = { { [15] = 1 } };

	(void)state;
	bench.is_done_at_once = true;
	must_do_as(STRANGER, send_small_and_large);
	assert_int_equal(bench.count, 2);
	expect_file(bench.dir, QUEUE_MESS, FIRST_ID + 1, large, 250000);
	bench.is_done_at_once = false;
	bench.count = 0;
	pid_t pid = start_as(STRANGER, commit_one);
	BENCH_UNTIL(bench.count == 1);
	uuid_bind(&uuid, STRANGER);
	assert_true(uuid_is_equal(&bench.submitted[0]->uuid, &uuid));
	assert_int_equal(bench.submitted[0]->uid, STRANGER);
	assert_int_equal(
	    memcmp(bench.submitted[0]->record.data, "u65534\0p12 ", 11), 0);
	bench_done(0, QQ_SYNC, 0);
	int status;
	BENCH_UNTIL(waitpid(pid, &status, WNOHANG) == pid);
	assert_int_equal(WEXITSTATUS(status), QQ_SYNC);
}

/* min_free, which his program need not have asked for. */
static void
free_space(void **state)
{
	(void)state;
	bench.is_done_at_once = true;
	intake_set_min_free(bench.intake, INT64_MAX);
	must_do_as(STRANGER, send_without_space);
	BENCH_UNTIL(TAILQ_EMPTY(&bench.intake->strangers));
	bench_settle();
	assert_int_equal(bench.count, 0);
	for (uint64_t id = FIRST_ID; id < bench.next_id; id++)
		assert_int_equal(queue_has_file(bench.dir, QUEUE_MESS, id), 0);
	bench.next_id = FIRST_ID;
	intake_set_min_free(bench.intake, 1);
	must_do_as(STRANGER, send_small_and_large);
}

static void
qmaild_is_no_stranger(void **state)
{
	(void)state;
	bench.is_done_at_once = true;
	pid_t pid = start_as(65533, stay);

	BENCH_UNTIL(!LIST_EMPTY(&bench.intake->clients));
	assert_true(TAILQ_EMPTY(&bench.intake->strangers));
	kill(pid, SIGKILL);
	BENCH_UNTIL(LIST_EMPTY(&bench.intake->clients));
	waitpid(pid, NULL, 0);
}

static void
no_imports(void **state)
{
	(void)state;
	must_do_as(STRANGER, send_import);
	assert_int_equal(bench.count, 0);
}

static void
recipients(void **state)
{
	(void)state;
	bench.is_done_at_once = true;
	must_do_as(STRANGER, send_many_recipients);
	assert_int_equal(bench.count, 1);
}

static void
connections(void **state)
{
	(void)state;
	must_do_as(STRANGER, open_too_many);
}

/* Where the kernel does not refuse descriptors, threads do the same. */
static void
connections_and_threads(void **state)
{
	(void)state;
	bench.intake->has_no_foreign_fds = false;
	must_do_as(STRANGER, open_too_many);
}

static void
memory(void **state)
{
	(void)state;
	must_do_as(STRANGER, fill_memory);
	BENCH_UNTIL(TAILQ_EMPTY(&bench.intake->strangers));
	/* It is given back. */
	must_do_as(STRANGER, fill_memory);
}

/* One user had all of it, and no other could send anything. */
static void
memory_is_for_others_too(void **state)
{
	pid_t pid;
	struct pollfd in;
	int status;

	(void)state;
	assert_int_equal(pipe(filled_pipe), 0);
	pid = start_as(STRANGER, fill_memory);
	in = (struct pollfd){ .fd = filled_pipe[0], .events = POLLIN };
	BENCH_UNTIL(poll(&in, 1, 0) == 1);
	close(filled_pipe[0]);
	close(filled_pipe[1]);
	filled_pipe[1] = -1;
	bench.is_done_at_once = true;
	must_do_as(OTHER, send_small_and_large);
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
}

static void
allow_descriptors(void)
{
	int yes = 1;

	setsockopt(bench.intake->source.fd, SOL_SOCKET, 83 /* SO_PASSRIGHTS */,
	    &yes, sizeof(yes));
	bench.intake->has_no_foreign_fds = false;
}

static int
count_threads(void)
{
	char line[200];
	FILE *file = fopen("/proc/self/status", "r");
	int count = 0;

	while (fgets(line, sizeof(line), file) != NULL)
		sscanf(line, "Threads: %d", &count);
	fclose(file);
	return count;
}

/*
 * Closing a TCP socket that lingers took the event loop 20 seconds.  Now it
 * does not even take the stranger's thread that long.
 */
static void
lingering_descriptors(void **state)
{
	int64_t began_at;
	int fd, code, threads = count_threads();
	char byte;
	pid_t pid;
	struct intake_packet ask = { .type = INTAKE_ASK, .uuid = { { 1 } } };

	(void)state;
	allow_descriptors();
	/* Nobody looks before all that he sent is his no more. */
	assert_int_equal(pipe(sent_pipe), 0);
	pid = start_as(STRANGER, send_lingering);
	close(sent_pipe[1]);
	assert_int_equal(read(sent_pipe[0], &byte, 1), 1);
	close(sent_pipe[0]);
	fd = peer_connect();
	assert_true(peer_send(fd, &ask));
	began_at = clock_ms();
	BENCH_UNTIL(peer_has_heard(fd, &code, NULL));
	close(fd);
	assert_true(clock_ms() - began_at < 5000);
	BENCH_UNTIL(TAILQ_EMPTY(&bench.intake->strangers));
	/* Nor does their end keep the last threads. */
	BENCH_UNTIL(count_threads() <= threads);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void
aborts(void **state)
{
	(void)state;
	must_do_as(STRANGER, abort_in_a_loop);
	BENCH_UNTIL(TAILQ_EMPTY(&bench.intake->strangers));
	for (uint64_t id = FIRST_ID; id < bench.next_id; id++)
		assert_false(has_file(bench.dir, QUEUE_MESS, id, ""));
	assert_int_equal(bench.count, 0);
}

static void
whoever_does_not_read(void **state)
{
	(void)state;
	must_do_as(STRANGER, never_read);
}

/* Another user has what the first one leaves. */
static void
users_are_apart(void **state)
{
	pid_t pid = start_as(STRANGER, stay);
	int status;

	(void)state;
	BENCH_UNTIL(!TAILQ_EMPTY(&bench.intake->strangers));
	must_do_as(OTHER, open_too_many);
	intake_close(&bench.intake);
	while (waitpid(pid, &status, WNOHANG) != pid)
		usleep(1000);
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* Whatever he does meanwhile. */
static void
time_is_bounded(void **state)
{
	pid_t pid = start_as(STRANGER, stay);
	int status;

	(void)state;
	BENCH_UNTIL(!TAILQ_EMPTY(&bench.intake->strangers));
	atomic_fetch_add(&skew_s, STRANGERS_MS / 1000 - 100);
	intake_tick(bench.intake);
	must_do_as(OTHER, ask_once);
	assert_false(TAILQ_EMPTY(&bench.intake->strangers));
	atomic_fetch_add(&skew_s, 100);
	intake_tick(bench.intake);
	BENCH_UNTIL(TAILQ_EMPTY(&bench.intake->strangers));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* Who stays, in as many names as he has, does not keep the others out. */
static void
room_in_a_crowd(void **state)
{
	pid_t pid = start_as(STRANGER, stay);
	int status;

	(void)state;
	BENCH_UNTIL(!TAILQ_EMPTY(&bench.intake->strangers));
	bench.intake->strangers_max = 1;
	assert_int_not_equal(do_as(OTHER, ask_once), 0);
	assert_false(TAILQ_EMPTY(&bench.intake->strangers));
	atomic_fetch_add(&skew_s, STRANGERS_CROWDED_MS / 1000);
	assert_int_not_equal(do_as(OTHER, ask_once), 0);
	BENCH_UNTIL(TAILQ_EMPTY(&bench.intake->strangers));
	must_do_as(OTHER, ask_once);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* Closed while he waits for an answer: he hears that it is over. */
static void
a_close(void **state)
{
	pid_t pid = start_as(STRANGER, commit_one);
	int status;

	(void)state;
	BENCH_UNTIL(bench.count == 1);
	intake_close(&bench.intake);
	while (waitpid(pid, &status, WNOHANG) != pid)
		usleep(1000);
	assert_int_equal(WEXITSTATUS(status), OVER & 0xff);
	bench_done(0, QQ_OK, 1);
}

static void
a_stop(void **state)
{
	pid_t pid;
	int status;

	(void)state;
	assert_int_equal(pipe(stopped_pipe), 0);
	pid = start_as(STRANGER, commit_after_a_stop);
	BENCH_UNTIL(!TAILQ_EMPTY(&bench.intake->strangers));
	intake_stop(bench.intake);
	assert_int_equal(write(stopped_pipe[1], "x", 1), 1);
	while (!has_ended(pid, &status))
		;
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_int_equal(bench.count, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		STRANGER_TEST(messages),
		STRANGER_TEST(free_space),
		STRANGER_TEST(qmaild_is_no_stranger),
		STRANGER_TEST(no_imports),
		STRANGER_TEST(recipients),
		STRANGER_TEST(connections),
		STRANGER_TEST(connections_and_threads),
		STRANGER_TEST(memory),
		STRANGER_TEST(memory_is_for_others_too),
		STRANGER_TEST(lingering_descriptors),
		STRANGER_TEST(aborts),
		STRANGER_TEST(whoever_does_not_read),
		STRANGER_TEST(users_are_apart),
		STRANGER_TEST(time_is_bounded),
		STRANGER_TEST(room_in_a_crowd),
		STRANGER_TEST(a_close),
		STRANGER_TEST(a_stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
