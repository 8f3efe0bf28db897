/* SPDX-License-Identifier: ISC */
/* Tests of base/stream.h in plain; test_tls.c has those with TLS. */
#include "base/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/file.h"

/* A connection: the stream's end, and the test's own. */
struct ends {
	struct stream *stream;
	int stream_read_fd, stream_write_fd;
	int peer_read_fd, peer_write_fd;
	bool is_pipe;
};

enum { TIMEOUT_MS = 10000, SHORT_MS = 50 };

static void
open_ends(struct ends *ends, bool is_pipe)
{
	int in[2], out[2];

	ends->is_pipe = is_pipe;
	if (is_pipe) {
		assert_int_equal(pipe(in), 0);
		assert_int_equal(pipe(out), 0);
		ends->stream_read_fd = in[0];
		ends->peer_write_fd = in[1];
		ends->stream_write_fd = out[1];
		ends->peer_read_fd = out[0];
	} else {
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, in), 0);
		ends->stream_read_fd = ends->stream_write_fd = in[0];
		ends->peer_read_fd = ends->peer_write_fd = in[1];
	}
	ends->stream = stream_new(ends->stream_read_fd, ends->stream_write_fd);
	stream_set_timeout(ends->stream, TIMEOUT_MS);
}

static void
close_peer_writing(struct ends *ends)
{
	if (ends->is_pipe)
		close(ends->peer_write_fd);
	else
		shutdown(ends->peer_write_fd, SHUT_WR);
}

static void
close_ends(struct ends *ends)
{
	stream_free(&ends->stream);
	assert_null(ends->stream);
	close(ends->stream_read_fd);
	close(ends->peer_read_fd);
	if (ends->is_pipe)
		close(ends->stream_write_fd);
}

static void
put(struct ends *ends, const char *data, size_t length)
{
	assert_int_equal(file_write_all(ends->peer_write_fd, data, length), 0);
}

static void
wanted_text(struct ends *ends, const char *wanted)
{
	char got[4096];
	size_t length = strlen(wanted), used = 0;

	while (used < length) {
		ssize_t n = read(ends->peer_read_fd, got + used, length - used);

		assert_true(n > 0);
		used += (size_t)n;
	}
	assert_memory_equal(got, wanted, length);
}

static const char *const result_names[] = { "ok", "closed", "timeout", "failed",
	"too long" };

/* Lines are read until something other than a line or "too long" comes. */
static const struct {
	const char *name;
	const char *input[5]; /* each one write */
	size_t max;
	const char *wanted; /* "line|line|result|" */
} line_cases[] = {
	{ "nothing", { "" }, 10, "closed|" },
	{ "one", { "abc\n" }, 10, "abc\n|closed|" },
	{ "empty line", { "\n\n" }, 10, "\n|\n|closed|" },
	{ "CRLF stays", { "abc\r\n" }, 10, "abc\r\n|closed|" },
	{ "pipelined", { "a\nbb\nccc\n" }, 10, "a\n|bb\n|ccc\n|closed|" },
	{ "in pieces", { "a", "bc", "\nd", "e\n" }, 10, "abc\n|de\n|closed|" },
	{ "no end", { "abc\nde" }, 10, "abc\n|closed|" },
	{ "just fits", { "abcdefghi\nx\n" }, 10, "abcdefghi\n|x\n|closed|" },
	{ "one too many", { "abcdefghij\nx\n" }, 10, "too long|x\n|closed|" },
	{ "too long, in pieces", { "abcdefghij", "MAIL\n", "x\n" }, 10,
	    "too long|x\n|closed|" },
	{ "end of it comes alone", { "abcdefghij", "\n", "x\n" }, 10,
	    "too long|x\n|closed|" },
	{ "twice", { "abcdefghijkl\nabcdefghijkl\nx\n" }, 10,
	    "too long|too long|x\n|closed|" },
	{ "too long to the end", { "abcdefghijklmnopq", "rstuvw" }, 10,
	    "too long|closed|" },
	{ "smallest limit", { "\nab\n" }, 1, "\n|too long|closed|" },
};

static void
run_line_case(size_t i, bool is_pipe, bool does_rest)
{
	struct ends ends;
	char got[512] = "";
	size_t used = 0, piece;
	const char *line;
	size_t length;
	enum stream_result result;

	open_ends(&ends, is_pipe);
	for (piece = 0; piece < 5 && line_cases[i].input[piece] != NULL;
	     piece++)
		put(&ends, line_cases[i].input[piece],
		    strlen(line_cases[i].input[piece]));
	close_peer_writing(&ends);
	do {
		if (does_rest)
			stream_rest(ends.stream);
		result = stream_read_line(
		    ends.stream, line_cases[i].max, &line, &length);
		if (result == STREAM_OK)
			used += (size_t)snprintf(got + used, sizeof(got) - used,
			    "%.*s|", (int)length, line);
		else
			used += (size_t)snprintf(got + used, sizeof(got) - used,
			    "%s|", result_names[result]);
	} while (result == STREAM_OK || result == STREAM_TOO_LONG);
	if (strcmp(got, line_cases[i].wanted) != 0)
		fail_msg("%s (%s): wanted '%s', got '%s'", line_cases[i].name,
		    is_pipe ? "pipe" : "socket", line_cases[i].wanted, got);
	close_ends(&ends);
}

static void
test_lines(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(line_cases) / sizeof(line_cases[0]); i++) {
		run_line_case(i, false, false);
		run_line_case(i, false, true);
		run_line_case(i, true, false);
	}
}

/* A line that comes byte by byte over several reads is put together. */
static void *
trickle(void *arg)
{
	const char *text = "slow line\nnext\n";
	int fd = *(int *)arg;

	for (; *text != '\0'; text++) {
		usleep(1000);
		if (write(fd, text, 1) != 1)
			return NULL;
	}
	return NULL;
}

static void
test_line_in_bytes(void **state)
{
	struct ends ends;
	pthread_t thread;
	const char *line;
	size_t length;

	(void)state;
	open_ends(&ends, false);
	assert_int_equal(
	    pthread_create(&thread, NULL, trickle, &ends.peer_write_fd), 0);
	assert_int_equal(
	    stream_read_line(ends.stream, 100, &line, &length), STREAM_OK);
	assert_int_equal(length, 10);
	assert_memory_equal(line, "slow line\n", 10);
	assert_int_equal(
	    stream_read_line(ends.stream, 100, &line, &length), STREAM_OK);
	assert_memory_equal(line, "next\n", length);
	pthread_join(thread, NULL);
	close_ends(&ends);
}

struct feed {
	int fd;
	const char *data;
	size_t length;
};

static void *
feed(void *arg)
{
	struct feed *job = arg;

	file_write_all(job->fd, job->data, job->length);
	return NULL;
}

/* Line number i, into 200 bytes; returns its length. */
static int
make_line(char line[200], size_t i)
{
	return snprintf(line, 200, "%zu %0*d\n", i, (int)(i * 31 % 150), 0);
}

/* Many lines of different lengths, over all borders of the buffer. */
static void
test_many_lines(void **state)
{
	enum { LINES = 5000 };
	struct ends ends;
	char *all = malloc(LINES * 200), expected[200];
	size_t used = 0, i, length;
	struct feed job;
	pthread_t thread;
	const char *line;

	(void)state;
	assert_non_null(all);
	for (i = 0; i < LINES; i++)
		used += (size_t)make_line(all + used, i);
	open_ends(&ends, false);
	job = (struct feed){ ends.peer_write_fd, all, used };
	assert_int_equal(pthread_create(&thread, NULL, feed, &job), 0);
	for (i = 0; i < LINES; i++) {
		int wanted = make_line(expected, i);

		assert_int_equal(
		    stream_read_line(ends.stream, 200, &line, &length),
		    STREAM_OK);
		if ((int)length != wanted ||
		    memcmp(line, expected, length) != 0)
			fail_msg("line %zu: wanted '%s', got '%.*s'", i,
			    expected, (int)length, line);
	}
	pthread_join(thread, NULL);
	assert_false(stream_has_input(ends.stream));
	close_ends(&ends);
	free(all);
}

/* A line longer than any first buffer, if the caller allows it. */
static void
test_long_line(void **state)
{
	enum { LENGTH = 300000 };
	struct ends ends;
	char *all = malloc(LENGTH);
	struct feed job;
	pthread_t thread;
	const char *line;
	size_t length;

	(void)state;
	assert_non_null(all);
	memset(all, 'x', LENGTH);
	all[LENGTH - 1] = '\n';
	open_ends(&ends, false);
	job = (struct feed){ ends.peer_write_fd, all, LENGTH };
	assert_int_equal(pthread_create(&thread, NULL, feed, &job), 0);
	assert_int_equal(
	    stream_read_line(ends.stream, LENGTH, &line, &length), STREAM_OK);
	assert_int_equal(length, LENGTH);
	assert_memory_equal(line, all, LENGTH);
	pthread_join(thread, NULL);
	close_ends(&ends);
	free(all);
}

/* Large data come in large pieces, whole and in order. */
static void
test_peek(void **state)
{
	enum { LENGTH = 3000000 };
	struct ends ends;
	char *all = malloc(LENGTH);
	size_t got = 0, largest = 0, i;
	struct feed job;
	pthread_t thread;

	(void)state;
	assert_non_null(all);
	for (i = 0; i < LENGTH; i++)
		all[i] = (char)(i * 7 + i / 251);
	open_ends(&ends, false);
	job = (struct feed){ ends.peer_write_fd, all, LENGTH };
	assert_int_equal(pthread_create(&thread, NULL, feed, &job), 0);
	while (got < LENGTH) {
		const char *data;
		size_t length;

		assert_int_equal(
		    stream_peek(ends.stream, &data, &length), STREAM_OK);
		assert_true(length >= 1 && length <= 65536);
		assert_memory_equal(data, all + got, length);
		if (length > largest)
			largest = length;
		stream_consume(ends.stream, length);
		got += length;
	}
	assert_true(largest > 16384);
	pthread_join(thread, NULL);
	close_ends(&ends);
	free(all);
}

static void
test_peek_and_lines(void **state)
{
	struct ends ends;
	const char *data;
	size_t length;

	(void)state;
	open_ends(&ends, false);
	put(&ends, "one\ntwo\nthree\n", 14);
	assert_false(stream_has_input(ends.stream));
	assert_int_equal(
	    stream_read_line(ends.stream, 10, &data, &length), STREAM_OK);
	assert_true(stream_has_input(ends.stream));
	assert_int_equal(stream_peek(ends.stream, &data, &length), STREAM_OK);
	assert_int_equal(length, 10);
	assert_memory_equal(data, "two\nthree\n", 10);
	stream_consume(ends.stream, 2); /* "o\n" is a line now */
	stream_rest(ends.stream);       /* input waits: nothing is lost */
	assert_int_equal(
	    stream_read_line(ends.stream, 10, &data, &length), STREAM_OK);
	assert_memory_equal(data, "o\n", 2);
	assert_int_equal(
	    stream_read_line(ends.stream, 10, &data, &length), STREAM_OK);
	assert_memory_equal(data, "three\n", 6);
	/* peek does not show the rest of a line that was too long */
	put(&ends, "0123456789abcdef", 16);
	assert_int_equal(
	    stream_read_line(ends.stream, 10, &data, &length), STREAM_TOO_LONG);
	put(&ends, "ghi\nnew", 7);
	assert_int_equal(stream_peek(ends.stream, &data, &length), STREAM_OK);
	assert_int_equal(length, 3);
	assert_memory_equal(data, "new", 3);
	close_ends(&ends);
}

static void
test_timeouts(void **state)
{
	static const struct {
		const char *name, *input;
		bool is_pipe, does_peek, does_rest;
	} cases[] = {
		{ "nothing comes", "", false, false, false },
		{ "half a line", "abc", false, false, false },
		{ "rested", "", false, false, true },
		{ "peek", "", false, true, false },
		{ "pipe", "", true, false, false },
		{ "half a line in a pipe", "abc", true, false, false },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ends ends;
		enum stream_result result;
		const char *data;
		size_t length;
		int64_t start, spent;

		open_ends(&ends, cases[i].is_pipe);
		stream_set_timeout(ends.stream, SHORT_MS);
		put(&ends, cases[i].input, strlen(cases[i].input));
		if (cases[i].does_rest)
			stream_rest(ends.stream);
		start = clock_ms();
		result = cases[i].does_peek
		    ? stream_peek(ends.stream, &data, &length)
		    : stream_read_line(ends.stream, 10, &data, &length);
		spent = clock_ms() - start;
		if (result != STREAM_TIMEOUT || spent < SHORT_MS - 1 ||
		    spent > TIMEOUT_MS)
			fail_msg("%s: got '%s' after %d ms", cases[i].name,
			    result_names[result], (int)spent);
		/* what came so far is not lost */
		put(&ends, "de\n", 3);
		stream_set_timeout(ends.stream, TIMEOUT_MS);
		assert_int_equal(
		    stream_read_line(ends.stream, 10, &data, &length),
		    STREAM_OK);
		assert_int_equal(length, strlen(cases[i].input) + 3);
		close_ends(&ends);
	}
}

static void *
feed_without_end(void *arg)
{
	char junk[1024];
	int fd = *(int *)arg;

	memset(junk, 'x', sizeof(junk));
	while (send(fd, junk, sizeof(junk), MSG_NOSIGNAL) > 0)
		;
	return NULL;
}

/* A peer that never ends its line does not hold a session for ever. */
static void
test_endless_line(void **state)
{
	struct ends ends;
	pthread_t thread;
	const char *line;
	size_t length;

	(void)state;
	open_ends(&ends, false);
	stream_set_timeout(ends.stream, SHORT_MS);
	assert_int_equal(pthread_create(&thread, NULL, feed_without_end,
			     &ends.peer_write_fd),
	    0);
	assert_int_equal(stream_read_line(ends.stream, 512, &line, &length),
	    STREAM_TOO_LONG);
	assert_int_equal(
	    stream_read_line(ends.stream, 512, &line, &length), STREAM_TIMEOUT);
	shutdown(ends.stream_read_fd, SHUT_RDWR);
	pthread_join(thread, NULL);
	close_ends(&ends);
}

static void
test_write(void **state)
{
	static const size_t sizes[] = { 1, 100, 2047, 2048, 2049, 16383, 16384,
		16385, 50000 };
	size_t i, pass;

	(void)state;
	for (pass = 0; pass < 2; pass++)
		for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			struct ends ends;
			char *data = malloc(sizes[i]), *got = malloc(sizes[i]);
			size_t used = 0;

			assert_non_null(data);
			assert_non_null(got);
			memset(data, (int)('a' + i), sizes[i]);
			open_ends(&ends, pass == 1);
			stream_write(ends.stream, "x", 1);
			stream_write(ends.stream, data, sizes[i]);
			assert_int_equal(stream_flush(ends.stream), STREAM_OK);
			stream_rest(ends.stream);
			wanted_text(&ends, "x");
			while (used < sizes[i]) {
				ssize_t n = read(ends.peer_read_fd, got + used,
				    sizes[i] - used);

				assert_true(n > 0);
				used += (size_t)n;
			}
			assert_memory_equal(got, data, sizes[i]);
			close_ends(&ends);
			free(data);
			free(got);
		}
}

/* Nothing is written before it must be, all of it before a read waits. */
static void
test_flush_before_wait(void **state)
{
	struct ends ends;
	const char *line;
	char byte;
	size_t length;

	(void)state;
	open_ends(&ends, false);
	put(&ends, "one\ntwo\n", 8);
	assert_int_equal(
	    stream_read_line(ends.stream, 100, &line, &length), STREAM_OK);
	stream_write(ends.stream, "250 one\r\n", 9);
	assert_int_equal(
	    stream_read_line(ends.stream, 100, &line, &length), STREAM_OK);
	stream_write(ends.stream, "250 two\r\n", 9);
	assert_int_equal(recv(ends.peer_read_fd, &byte, 1, MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
	stream_set_timeout(ends.stream, SHORT_MS);
	assert_int_equal(
	    stream_read_line(ends.stream, 100, &line, &length), STREAM_TIMEOUT);
	wanted_text(&ends, "250 one\r\n250 two\r\n");
	close_ends(&ends);
}

/* A peer that does not read: the flush ends at the deadline and stays bad. */
static void
test_write_timeout(void **state)
{
	size_t pass;

	(void)state;
	for (pass = 0; pass < 2; pass++) {
		enum { LENGTH = 4000000 };
		struct ends ends;
		char *data = calloc(1, LENGTH);
		const char *line;
		size_t length;

		assert_non_null(data);
		open_ends(&ends, pass == 1);
		stream_set_timeout(ends.stream, SHORT_MS);
		stream_write(ends.stream, data, LENGTH);
		assert_int_equal(stream_flush(ends.stream), STREAM_TIMEOUT);
		assert_int_equal(stream_flush(ends.stream), STREAM_TIMEOUT);
		assert_int_equal(
		    stream_read_line(ends.stream, 100, &line, &length),
		    STREAM_TIMEOUT);
		close_ends(&ends);
		free(data);
	}
}

/* A peer that has gone: no signal, but the result. */
static void
test_write_closed(void **state)
{
	struct ends ends;

	(void)state;
	open_ends(&ends, false);
	close(ends.peer_read_fd);
	stream_write(ends.stream, "221 bye\r\n", 9);
	assert_int_equal(stream_flush(ends.stream), STREAM_CLOSED);
	ends.peer_read_fd = dup(ends.stream_read_fd); /* for close_ends */
	close_ends(&ends);
}

static void
test_bad_descriptor(void **state)
{
	struct stream *stream = stream_new(-1, -1);
	const char *line;
	size_t length;

	(void)state;
	assert_int_equal(
	    stream_read_line(stream, 100, &line, &length), STREAM_FAILED);
	stream_write(stream, "x", 1);
	assert_int_equal(stream_flush(stream), STREAM_FAILED);
	stream_free(&stream);
	stream_free(&stream); /* NULL inside */
}

/* What is shared with the caller's terminal or shell is left as it was. */
static void
test_descriptor_flags(void **state)
{
	struct ends ends;
	const char *line;
	size_t length;

	(void)state;
	open_ends(&ends, true);
	put(&ends, "x\n", 2);
	assert_int_equal(
	    stream_read_line(ends.stream, 100, &line, &length), STREAM_OK);
	stream_write(ends.stream, "y\n", 2);
	assert_int_equal(stream_flush(ends.stream), STREAM_OK);
	assert_true(fcntl(ends.stream_read_fd, F_GETFL) & O_NONBLOCK);
	stream_free(&ends.stream);
	assert_false(fcntl(ends.stream_read_fd, F_GETFL) & O_NONBLOCK);
	assert_false(fcntl(ends.stream_write_fd, F_GETFL) & O_NONBLOCK);
	close_ends(&ends);
}

/* A socket that is non-blocking already waits to the deadline all the same. */
static void
test_nonblocking_socket(void **state)
{
	struct ends ends;
	const char *line;
	size_t length;
	int64_t start;

	(void)state;
	open_ends(&ends, false);
	assert_int_equal(fcntl(ends.stream_read_fd, F_SETFL, O_NONBLOCK), 0);
	stream_set_timeout(ends.stream, SHORT_MS);
	start = clock_ms();
	assert_int_equal(
	    stream_read_line(ends.stream, 100, &line, &length), STREAM_TIMEOUT);
	assert_true(clock_ms() - start >= SHORT_MS - 1);
	put(&ends, "x\n", 2);
	assert_int_equal(
	    stream_read_line(ends.stream, 100, &line, &length), STREAM_OK);
	close_ends(&ends);
}

/* Whatever the timeout, and however often something comes. */
static void
test_limit(void **state)
{
	struct ends ends;
	const char *line;
	size_t length;
	int64_t start = clock_ms();
	int i;

	(void)state;
	open_ends(&ends, false);
	stream_set_limit(ends.stream, start + SHORT_MS);
	put(&ends, "x\n", 2);
	assert_int_equal(
	    stream_read_line(ends.stream, 100, &line, &length), STREAM_OK);
	for (i = 0; i < 2; i++)
		assert_int_equal(
		    stream_read_line(ends.stream, 100, &line, &length),
		    STREAM_TIMEOUT);
	assert_true(clock_ms() - start >= SHORT_MS - 1);
	assert_true(clock_ms() - start < TIMEOUT_MS);
	stream_set_limit(ends.stream, 0);
	put(&ends, "y\n", 2);
	assert_int_equal(
	    stream_read_line(ends.stream, 100, &line, &length), STREAM_OK);
	close_ends(&ends);
}

/* A peer that is gone was heard before. */
static void
test_drop_output(void **state)
{
	struct ends ends;
	const char *line;
	size_t length;

	(void)state;
	open_ends(&ends, false);
	put(&ends, "bye\n", 4);
	shutdown(ends.peer_read_fd, SHUT_RD);
	stream_write(ends.stream, "x", 1);
	assert_int_equal(stream_flush(ends.stream), STREAM_CLOSED);
	assert_int_equal(
	    stream_read_line(ends.stream, 100, &line, &length), STREAM_CLOSED);
	stream_drop_output(ends.stream);
	assert_int_equal(
	    stream_read_line(ends.stream, 100, &line, &length), STREAM_OK);
	assert_int_equal(length, 4);
	close_ends(&ends);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_line_in_bytes),
		cmocka_unit_test(test_many_lines),
		cmocka_unit_test(test_long_line),
		cmocka_unit_test(test_peek),
		cmocka_unit_test(test_peek_and_lines),
		cmocka_unit_test(test_timeouts),
		cmocka_unit_test(test_endless_line),
		cmocka_unit_test(test_write),
		cmocka_unit_test(test_flush_before_wait),
		cmocka_unit_test(test_write_timeout),
		cmocka_unit_test(test_write_closed),
		cmocka_unit_test(test_bad_descriptor),
		cmocka_unit_test(test_descriptor_flags),
		cmocka_unit_test(test_nonblocking_socket),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_drop_output),
	};

	signal(SIGPIPE, SIG_DFL); /* sockets must not raise it */
	return cmocka_run_group_tests_name("stream", tests, NULL, NULL);
}
