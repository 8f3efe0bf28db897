/* SPDX-License-Identifier: ISC */
/* Tests of base/endpoint.c; what streams make of it is in test_stream.c. */
#include "base/endpoint.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

enum { LONG_MS = 20000, SHORT_MS = 60 };

/* Both ends of a connection of either kind: [0] reads, [1] writes. */
static void
open_pair(bool is_socket, int ends[2])
{
	assert_int_equal(is_socket
		? socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends)
		: pipe2(ends, O_CLOEXEC),
	    0);
}

static void
close_pair(int ends[2])
{
	for (int i = 0; i < 2; i++)
		if (ends[i] != -1)
			close(ends[i]);
}

static void
reads_what_is_there(void **state)
{
	(void)state;
	for (int is_socket = 0; is_socket < 2; is_socket++) {
		struct endpoint endpoint;
		size_t length = 77;
		char data[8];
		int ends[2];

		open_pair(is_socket, ends);
		endpoint_init(&endpoint, ends[0], ends[0]);
		assert_int_equal(write(ends[1], "abc", 3), 3);
		endpoint_begin(&endpoint, LONG_MS);
		assert_int_equal(
		    endpoint_read(&endpoint, data, 2, &length), STREAM_OK);
		assert_int_equal(length, 2);
		assert_memory_equal(data, "ab", 2);
		assert_int_equal(endpoint_wait(&endpoint), STREAM_OK);
		assert_int_equal(
		    endpoint_read(&endpoint, data, 8, &length), STREAM_OK);
		assert_int_equal(length, 1);
		close(ends[1]);
		ends[1] = -1;
		endpoint_begin(&endpoint, LONG_MS);
		assert_int_equal(
		    endpoint_read(&endpoint, data, 8, &length), STREAM_CLOSED);
		assert_int_equal(length, 0);
		endpoint_release(&endpoint);
		close_pair(ends);
	}
}

/* A deadline is for all that goes on, not for each byte. */
static void
deadlines(void **state)
{
	(void)state;
	for (int is_socket = 0; is_socket < 2; is_socket++) {
		struct endpoint endpoint;
		size_t length;
		int64_t begun_ms;
		char data[8];
		int ends[2];

		open_pair(is_socket, ends);
		endpoint_init(&endpoint, ends[0], ends[0]);
		begun_ms = clock_ms();
		endpoint_begin(&endpoint, SHORT_MS);
		assert_int_equal(
		    endpoint_read(&endpoint, data, 8, &length), STREAM_TIMEOUT);
		assert_true(clock_ms() >= begun_ms + SHORT_MS - 1);
		assert_true(clock_ms() < begun_ms + LONG_MS);
		/* It is over, although there is more now. */
		assert_int_equal(write(ends[1], "abc", 3), 3);
		assert_int_equal(
		    endpoint_read(&endpoint, data, 8, &length), STREAM_TIMEOUT);
		assert_int_equal(endpoint_wait(&endpoint), STREAM_TIMEOUT);
		endpoint_begin(&endpoint, LONG_MS);
		assert_int_equal(
		    endpoint_read(&endpoint, data, 8, &length), STREAM_OK);
		assert_int_equal(length, 3);
		/* Without any time only what is there at once. */
		endpoint_begin(&endpoint, 0);
		assert_int_equal(
		    endpoint_read(&endpoint, data, 8, &length), STREAM_TIMEOUT);
		endpoint_release(&endpoint);
		close_pair(ends);
	}
}

static void *
drain(void *argument)
{
	int fd = *(int *)argument;
	char chunk[65536];
	size_t sum = 0;
	ssize_t n;

	while ((n = read(fd, chunk, sizeof(chunk))) > 0)
		sum += (size_t)n;
	*(int *)argument = (int)sum;
	return NULL;
}

/* More than any buffer of the kernel's, to somebody who takes it. */
static void
writes_all(void **state)
{
	enum { SIZE = 4 * 1024 * 1024 };
	char *data = calloc(1, SIZE);

	(void)state;
	assert_non_null(data);
	for (int is_socket = 0; is_socket < 2; is_socket++) {
		struct endpoint endpoint;
		pthread_t thread;
		int ends[2], reader;

		open_pair(is_socket, ends);
		reader = ends[0];
		endpoint_init(&endpoint, ends[1], ends[1]);
		assert_int_equal(
		    pthread_create(&thread, NULL, drain, &reader), 0);
		endpoint_begin(&endpoint, LONG_MS);
		assert_int_equal(
		    endpoint_write(&endpoint, data, SIZE), STREAM_OK);
		endpoint_release(&endpoint);
		close(ends[1]);
		ends[1] = -1;
		pthread_join(thread, NULL);
		assert_int_equal(reader, SIZE);
		close_pair(ends);
	}
	free(data);
}

/* Nobody takes it: the deadline; nobody is there: the end, not a signal. */
static void
who_does_not_read(void **state)
{
	enum { SIZE = 4 * 1024 * 1024 };
	char *data = calloc(1, SIZE);

	(void)state;
	assert_non_null(data);
	for (int is_socket = 0; is_socket < 2; is_socket++) {
		struct endpoint endpoint;
		int ends[2];

		open_pair(is_socket, ends);
		endpoint_init(&endpoint, ends[1], ends[1]);
		endpoint_begin(&endpoint, SHORT_MS);
		assert_int_equal(
		    endpoint_write(&endpoint, data, SIZE), STREAM_TIMEOUT);
		close(ends[0]);
		ends[0] = -1;
		endpoint_begin(&endpoint, LONG_MS);
		assert_int_equal(
		    endpoint_write(&endpoint, data, SIZE), STREAM_CLOSED);
		assert_int_equal(endpoint_write(&endpoint, data, 0), STREAM_OK);
		endpoint_release(&endpoint);
		close_pair(ends);
	}
	free(data);
}

/* Another program may have the same pipe, and finds it as it was. */
static void
pipes_are_left_as_they_were(void **state)
{
	static const int flags[] = { 0, O_NONBLOCK };

	(void)state;
	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		struct endpoint endpoint;
		size_t length;
		char data[8];
		int in[2], out[2];

		open_pair(false, in);
		open_pair(false, out);
		assert_int_equal(fcntl(in[0], F_SETFL, flags[i]), 0);
		assert_int_equal(
		    fcntl(out[1], F_SETFL, O_WRONLY | flags[i]), 0);
		endpoint_init(&endpoint, in[0], out[1]);
		endpoint_begin(&endpoint, SHORT_MS);
		endpoint_read(&endpoint, data, 8, &length);
		endpoint_write(&endpoint, "x", 1);
		assert_true((fcntl(in[0], F_GETFL) & O_NONBLOCK) != 0);
		assert_true((fcntl(out[1], F_GETFL) & O_NONBLOCK) != 0);
		endpoint_release(&endpoint);
		assert_int_equal(fcntl(in[0], F_GETFL) & O_NONBLOCK, flags[i]);
		assert_int_equal(fcntl(out[1], F_GETFL) & O_NONBLOCK, flags[i]);
		close_pair(in);
		close_pair(out);
	}
}

static void
what_is_no_descriptor(void **state)
{
	struct endpoint endpoint;
	size_t length;
	char data[8];

	(void)state;
	endpoint_init(&endpoint, -1, -1);
	endpoint_begin(&endpoint, LONG_MS);
	assert_int_equal(
	    endpoint_read(&endpoint, data, 8, &length), STREAM_FAILED);
	assert_int_equal(endpoint_write(&endpoint, "x", 1), STREAM_FAILED);
	endpoint_release(&endpoint);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_what_is_there),
		cmocka_unit_test(deadlines),
		cmocka_unit_test(writes_all),
		cmocka_unit_test(who_does_not_read),
		cmocka_unit_test(pipes_are_left_as_they_were),
		cmocka_unit_test(what_is_no_descriptor),
	};

	/* As base/stream.h asks of who writes to pipes. */
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
