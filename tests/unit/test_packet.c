/* SPDX-License-Identifier: ISC */
/* Tests of base/packet.h. */
#include "base/packet.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"

static char folder[] = "/tmp/test_packet.XXXXXX";
static char path[64];

static int
set_up(void **state)
{
	(void)state;
	if (mkdtemp(folder) == NULL)
		return -1;
	snprintf(path, sizeof(path), "%s/socket", folder);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	return file_remove_tree(folder, NULL);
}

static void
open_pair(int pair[2])
{
	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
}

static bool
is_open(int fd)
{
	return fcntl(fd, F_GETFD) != -1;
}

static void
test_sizes(void **state)
{
	static const struct {
		const char *name;
		size_t sent, room;
		ssize_t wanted; /* -1: EMSGSIZE */
		bool has_fd;
	} cases[] = {
		{ "one byte", 1, 100, 1, false },
		{ "fits just", 100, 100, 100, false },
		{ "one too many", 101, 100, -1, false },
		{ "with a descriptor", 5, 100, 5, true },
		{ "too large, with a descriptor", 101, 100, -1, true },
		{ "largest", PACKET_MAX, PACKET_MAX, PACKET_MAX, true },
	};
	static char out[PACKET_MAX], in[PACKET_MAX];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int pair[2], pass = -1, got_fd = -2, lowest, after;
		ssize_t got;

		open_pair(pair);
		memset(out, (int)('a' + i), sizeof(out));
		if (cases[i].has_fd)
			pass = open(folder, O_RDONLY | O_CLOEXEC);
		assert_int_equal(
		    packet_send(pair[0], out, cases[i].sent, pass, 0), 0);
		lowest = dup(0);
		close(lowest);
		errno = 0;
		got = packet_receive(pair[1], in, cases[i].room, &got_fd, 0);
		if (got != cases[i].wanted || (got == -1 && errno != EMSGSIZE))
			fail_msg("%s: wanted %zd, got %zd", cases[i].name,
			    cases[i].wanted, got);
		if (got > 0)
			assert_memory_equal(in, out, (size_t)got);
		if (cases[i].has_fd && got > 0) {
			struct stat sent, received;

			assert_int_equal(fstat(pass, &sent), 0);
			assert_int_equal(fstat(got_fd, &received), 0);
			assert_int_equal(sent.st_ino, received.st_ino);
			assert_true(fcntl(got_fd, F_GETFD) & FD_CLOEXEC);
			assert_true(is_open(pass)); /* stays the sender's */
			close(got_fd);
		} else
			assert_int_equal(got_fd, -1);
		after = dup(0); /* nothing was left open */
		assert_int_equal(after, lowest);
		close(after);
		if (pass != -1)
			close(pass);
		close(pair[0]);
		close(pair[1]);
	}
}

/* None of several descriptors stays, whether there is room for them or not. */
static void
test_many_fds(void **state)
{
	(void)state;
	for (size_t count = 2; count <= 5; count++) {
		union {
			struct cmsghdr header;
			char space[CMSG_SPACE(5 * sizeof(int))];
		} control = { 0 };
		char byte = 'x';
		struct iovec part = { .iov_base = &byte, .iov_len = 1 };
		struct msghdr message = { .msg_iov = &part,
			.msg_iovlen = 1,
			.msg_control = &control,
			.msg_controllen = CMSG_SPACE(count * sizeof(int)) };
		int pair[2], got_fd = -2, lowest, after;

		open_pair(pair);
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(count * sizeof(int));
		memset(CMSG_DATA(&control.header), 0, count * sizeof(int));
		assert_int_equal(sendmsg(pair[0], &message, 0), 1);
		lowest = dup(0);
		close(lowest);
		errno = 0;
		assert_int_equal(
		    packet_receive(pair[1], &byte, 1, &got_fd, 0), -1);
		assert_int_equal(errno, EBADMSG);
		assert_int_equal(got_fd, -1);
		after = dup(0);
		assert_int_equal(after, lowest);
		close(after);
		close(pair[0]);
		close(pair[1]);
	}
}

static void
test_has_fds(void **state)
{
	int pair[2], got_fd;
	char byte;

	(void)state;
	open_pair(pair);
	assert_false(packet_has_fds(pair[1]));
	assert_int_equal(packet_send(pair[0], "x", 1, -1, 0), 0);
	assert_int_equal(packet_send(pair[0], "x", 1, 0, 0), 0);
	assert_false(packet_has_fds(pair[1]));
	assert_int_equal(packet_receive(pair[1], &byte, 1, &got_fd, 0), 1);
	assert_true(packet_has_fds(pair[1]));
	assert_int_equal(packet_receive(pair[1], &byte, 1, &got_fd, 0), 1);
	assert_int_not_equal(got_fd, -1); /* it was not taken up before */
	close(got_fd);
	if (packet_refuse_fds(pair[1])) {
		assert_int_equal(packet_send(pair[0], "x", 1, 0, 0), -1);
		assert_int_equal(packet_send(pair[0], "x", 1, -1, 0), 0);
	}
	close(pair[0]);
	close(pair[1]);
}

static void
test_ends(void **state)
{
	char byte;
	int pair[2], got_fd;

	(void)state;
	open_pair(pair);
	errno = 0;
	assert_int_equal(
	    packet_receive(pair[1], &byte, 1, &got_fd, MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
	close(pair[0]);
	assert_int_equal(packet_receive(pair[1], &byte, 1, &got_fd, 0), 0);
	errno = 0;
	assert_int_equal(packet_send(pair[1], "x", 1, -1, 0), -1);
	assert_int_equal(errno, EPIPE); /* and no signal */
	close(pair[1]);
}

static void
test_listen(void **state)
{
	struct error err = { "" };
	struct stat st;
	int server, client, peer, got_fd;
	uid_t uid = (uid_t)-1;
	pid_t pid = -1;
	char text[8];

	(void)state;
	server = packet_listen(path, 0620, &err);
	assert_true(server >= 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0620);
	assert_true(fcntl(server, F_GETFD) & FD_CLOEXEC);
	assert_true(fcntl(server, F_GETFL) & O_NONBLOCK);
	assert_int_equal(accept(server, NULL, NULL), -1);

	client = packet_connect_within(path, 60000, &err);
	assert_true(client >= 0);
	assert_true(fcntl(client, F_GETFD) & FD_CLOEXEC);
	peer = accept(server, NULL, NULL);
	assert_true(peer >= 0);
	assert_int_equal(packet_peer(peer, &uid, &pid), 0);
	assert_int_equal(uid, geteuid());
	assert_int_equal(pid, getpid());
	assert_int_equal(packet_send(client, "hello", 5, -1, 0), 0);
	assert_int_equal(
	    packet_receive(peer, text, sizeof(text), &got_fd, 0), 5);
	assert_int_equal(packet_peer(0, &uid, &pid), -1);
	close(peer);
	close(client);
	close(server);

	/* the name of a dead one is taken over */
	errno = 0;
	assert_int_equal(packet_connect_within(path, 60000, &err), -1);
	assert_int_equal(errno, ECONNREFUSED);
	assert_non_null(strstr(err.text, path));
	server = packet_listen(path, 0600, &err);
	assert_true(server >= 0);
	client = packet_connect_within(path, 60000, &err);
	assert_true(client >= 0);
	close(client);
	close(server);
}

static void
test_bad_paths(void **state)
{
	static const struct {
		const char *path;
		int wanted_errno;
		const char *wanted;
	} cases[] = {
		{ "/nonexistent/socket", ENOENT, "'/nonexistent/socket'" },
		{ "/tmp/0123456789012345678901234567890123456789012345678901234"
		  "567890123456789012345678901234567890123456789012345678901234"
		  "5678901234567890",
		    ENAMETOOLONG, "is over 107 bytes" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct error err = { "" };

		errno = 0;
		assert_int_equal(
		    packet_connect_within(cases[i].path, 60000, &err), -1);
		assert_int_equal(errno, cases[i].wanted_errno);
		assert_non_null(strstr(err.text, cases[i].wanted));
		err.text[0] = '\0';
		assert_int_equal(packet_listen(cases[i].path, 0600, &err), -1);
		assert_non_null(strstr(err.text, cases[i].wanted));
	}
}

/* Who hangs lets clients wait until no more may: we must not be one. */
static void
test_is_served(void **state)
{
	struct error err;
	int server, first;

	(void)state;
	assert_false(packet_is_served("/nonexistent/socket"));
	server = packet_listen(path, 0600, &err);
	assert_true(server >= 0);
	assert_int_equal(listen(server, 0), 0);
	first = packet_connect_within(
	    path, 60000, &err); /* and nobody accepts */
	assert_true(first >= 0);
	for (int i = 0; i < 3; i++)
		assert_true(packet_is_served(path));
	close(first);
	close(server);
	assert_false(packet_is_served(path));
}

/* Neither one that accepts nobody nor one that says nothing is waited for. */
static void
test_connect_within(void **state)
{
	struct error err;
	int server, first, client, got_fd;
	char byte;

	(void)state;
	server = packet_listen(path, 0600, &err);
	assert_int_equal(listen(server, 0), 0);
	first = packet_connect_within(path, 50, &err);
	assert_true(first >= 0);
	assert_int_equal(packet_receive(first, &byte, 1, &got_fd, 0), -1);
	assert_int_equal(errno, EAGAIN);
	client = packet_connect_within(path, 50, &err);
	assert_int_equal(client, -1);
	assert_int_equal(errno, EAGAIN);
	close(first);
	close(server);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_many_fds),
		cmocka_unit_test(test_has_fds),
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_listen),
		cmocka_unit_test(test_bad_paths),
		cmocka_unit_test(test_is_served),
		cmocka_unit_test(test_connect_within),
	};

	return cmocka_run_group_tests_name("packet", tests, set_up, tear_down);
}
