/* SPDX-License-Identifier: ISC */
/* Tests of base/listener.h, with real connections on loopback. */
#include "base/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { STACK = 256 * 1024, WAIT_MS = 10000 };

/* A listener at work on a thread of its own. */
struct service {
	struct listener *listener;
	pthread_t thread;
};

/* Greets with what it knows of the peer, then echoes until the end. */
static void
serve(int fd, const struct listener_peer *peer, void *context)
{
	char text[256];
	int no_delay = 0;
	socklen_t size = sizeof(no_delay);
	ssize_t n;

	getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &no_delay, &size);
	n = snprintf(text, sizeof(text), "%s %u %s %u %s\n", peer->remote_ip,
	    peer->remote_port, peer->local_ip, peer->local_port,
	    context == NULL && no_delay ? "ok" : "bad");
	while (n > 0 && send(fd, text, (size_t)n, MSG_NOSIGNAL) == n)
		n = recv(fd, text, sizeof(text), 0);
}

static void
refuse(int fd, const struct listener_peer *peer, bool is_per_ip, void *context)
{
	char text[100];
	int n = snprintf(text, sizeof(text), "421 %s %s\n", peer->remote_ip,
	    is_per_ip ? "address" : "total");

	(void)context;
	send(fd, text, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static const struct listener_options standard = {
	.address = "127.0.0.1",
	.stack_bytes = STACK,
	.limits = { .max_connections = 100 },
	.serve = serve,
	.refuse = refuse,
};

static void *
run(void *argument)
{
	listener_run(argument);
	return NULL;
}

static void
begin(struct service *service, const struct listener_options *options)
{
	struct error err = { "" };

	service->listener = listener_new(options, &err);
	if (service->listener == NULL)
		fail_msg("%s", err.text);
	assert_int_equal(
	    pthread_create(&service->thread, NULL, run, service->listener), 0);
}

static void
end(struct service *service)
{
	listener_stop(service->listener);
	pthread_join(service->thread, NULL);
	assert_true(listener_drain(service->listener, WAIT_MS));
	assert_int_equal(listener_connections(service->listener), 0);
	listener_free(&service->listener);
	assert_null(service->listener);
}

/* A connection to 127.0.0.1 or ::1, from an IPv4 address if not NULL. */
static int
dial(uint16_t port, bool is_ipv6, const char *from)
{
	struct sockaddr_in in4 = { .sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6,
		.sin6_port = htons(port),
		.sin6_addr = IN6ADDR_LOOPBACK_INIT };
	int fd = socket(
	    is_ipv6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	if (from != NULL) {
		struct sockaddr_in source = { .sin_family = AF_INET };

		assert_int_equal(inet_pton(AF_INET, from, &source.sin_addr), 1);
		assert_int_equal(
		    bind(fd, (struct sockaddr *)&source, sizeof(source)), 0);
	}
	if (is_ipv6)
		assert_int_equal(
		    connect(fd, (struct sockaddr *)&in6, sizeof(in6)), 0);
	else
		assert_int_equal(
		    connect(fd, (struct sockaddr *)&in4, sizeof(in4)), 0);
	return fd;
}

/* Reads a line, waiting for it; "" at the end of the connection. */
static const char *
hear(int fd, char line[256])
{
	size_t used = 0;
	struct pollfd in = { .fd = fd, .events = POLLIN };

	while (used < 255) {
		ssize_t n;

		if (poll(&in, 1, WAIT_MS) != 1)
			fail_msg("no answer");
		n = read(fd, line + used, 1);
		if (n <= 0)
			break;
		if (line[used++] == '\n')
			break;
	}
	line[used] = '\0';
	return line;
}

static void
hang_up(int fd)
{
	char line[256];

	shutdown(fd, SHUT_WR);
	assert_string_equal(hear(fd, line), ""); /* the other side has ended */
	close(fd);
}

static bool
host_has_ipv6(void)
{
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6,
		.sin6_addr = IN6ADDR_LOOPBACK_INIT };
	int fd = socket(AF_INET6, SOCK_STREAM, 0);
	bool has = fd != -1 &&
	    bind(fd, (struct sockaddr *)&in6, sizeof(in6)) == 0;

	if (fd != -1)
		close(fd);
	if (!has)
		print_message("no IPv6 on this host: its rows are skipped\n");
	return has;
}

static void
test_addresses(void **state)
{
	static const struct {
		const char *address;
		const char *wanted; /* in the reason; NULL: works */
		bool has_ipv4, has_ipv6;
	} cases[] = {
		{ "127.0.0.1", NULL, true, false },
		{ "0.0.0.0", NULL, true, false },
		{ "::1", NULL, false, true },
		{ "::", NULL, false, true },
		{ "0", NULL, true, true },
		{ "", NULL, true, true },
		{ "localhost", "'localhost': not a numeric", false, false },
		{ "127.0.0.256", "not a numeric", false, false },
		{ "192.0.2.1", "no interface of this host", false, false },
	};
	bool is_ipv6_host = host_has_ipv6();
	size_t i, family;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct listener_options options = standard;
		struct service service;
		struct error err = { "" };

		if (cases[i].has_ipv6 && !cases[i].has_ipv4 && !is_ipv6_host)
			continue;
		options.address = cases[i].address;
		if (cases[i].wanted != NULL) {
			assert_null(listener_new(&options, &err));
			if (strstr(err.text, cases[i].wanted) == NULL)
				fail_msg("'%s': wanted '%s', got '%s'",
				    cases[i].address, cases[i].wanted,
				    err.text);
			continue;
		}
		begin(&service, &options);
		for (family = 0; family < 2; family++) {
			uint16_t port = listener_port(service.listener);
			const char *ip = family ? "::1" : "127.0.0.1";
			char line[256], wanted[256];
			unsigned remote_port;
			int fd;

			if (family ? !cases[i].has_ipv6 || !is_ipv6_host
				   : !cases[i].has_ipv4)
				continue;
			fd = dial(port, family, NULL);
			hear(fd, line);
			if (sscanf(line, "%*s %u", &remote_port) != 1)
				fail_msg("greeting '%s'", line);
			snprintf(wanted, sizeof(wanted), "%s %u %s %u ok\n", ip,
			    remote_port, ip, port);
			assert_string_equal(line, wanted);
			hang_up(fd);
		}
		end(&service);
	}
}

static void
test_busy_port(void **state)
{
	struct listener_options options = standard;
	struct listener *first, *second;
	struct error err = { "" };
	char port[16];

	(void)state;
	first = listener_new(&options, &err);
	assert_non_null(first);
	options.port = listener_port(first);
	assert_null(listener_new(&options, &err));
	snprintf(port, sizeof(port), "port %u", options.port);
	assert_non_null(strstr(err.text, port));
	assert_non_null(strstr(err.text, "another program has this port"));
	listener_free(&first);

	/* two that agree to share */
	options.port = 0;
	options.is_shared = true;
	first = listener_new(&options, &err);
	assert_non_null(first);
	options.port = listener_port(first);
	second = listener_new(&options, &err);
	assert_non_null(second);
	assert_int_equal(listener_port(second), listener_port(first));
	listener_free(&first);
	listener_free(&second);
	listener_free(&second); /* NULL inside */
}

static void *
call_often(void *argument)
{
	struct listener *listener = argument;
	char line[256];
	int i, fd;

	for (i = 0; i < 50; i++) {
		fd = dial(listener_port(listener), false, NULL);
		if (strstr(hear(fd, line), " ok\n") == NULL ||
		    write(fd, "hello\n", 6) != 6 ||
		    strcmp(hear(fd, line), "hello\n") != 0) {
			close(fd);
			return NULL;
		}
		hang_up(fd);
	}
	return argument;
}

static void
test_many_connections(void **state)
{
	enum { CALLERS = 20 };
	struct service service;
	pthread_t callers[CALLERS];
	size_t i;

	(void)state;
	begin(&service, &standard);
	for (i = 0; i < CALLERS; i++)
		assert_int_equal(pthread_create(&callers[i], NULL, call_often,
				     service.listener),
		    0);
	for (i = 0; i < CALLERS; i++) {
		void *result;

		pthread_join(callers[i], &result);
		assert_ptr_equal(result, service.listener);
	}
	end(&service);
}

/* Waits for all of the input, reads none, and says goodbye. */
static void
serve_deaf(int fd, const struct listener_peer *peer, void *context)
{
	struct pollfd in = { .fd = fd, .events = POLLIN };

	(void)peer;
	(void)context;
	poll(&in, 1, WAIT_MS);
	send(fd, "421 bye\n", 8, MSG_NOSIGNAL);
}

/* Our input is unread there, and more comes: that must not reset us. */
static void
test_last_reply_is_heard(void **state)
{
	struct listener_options options = standard;
	struct pollfd in = { .events = POLLIN };
	struct service service;
	char line[256];
	int fd, error = -1;
	socklen_t size = sizeof(error);

	(void)state;
	options.serve = serve_deaf;
	begin(&service, &options);
	fd = dial(listener_port(service.listener), false, NULL);
	assert_int_equal(write(fd, "RSET\n", 5), 5);
	in.fd = fd;
	assert_int_equal(poll(&in, 1, WAIT_MS), 1);
	assert_string_equal(hear(fd, line), "421 bye\n");
	assert_string_equal(hear(fd, line), ""); /* an end, no reset */
	assert_int_equal(
	    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size), 0);
	assert_int_equal(error, 0);
	assert_int_equal(recv(fd, line, 1, 0), 0);
	assert_int_equal(send(fd, "QUIT\n", 5, MSG_NOSIGNAL), 5);
	assert_int_equal(recv(fd, line, 1, 0), 0);
	close(fd);
	end(&service);
}

/* One who goes on sending is cut off. */
static void
test_chatterer_is_cut_off(void **state)
{
	static const char bytes[16384];
	struct listener_options options = standard;
	struct service service;
	int fd;

	(void)state;
	options.serve = serve_deaf;
	begin(&service, &options);
	fd = dial(listener_port(service.listener), false, NULL);
	while (send(fd, bytes, sizeof(bytes), MSG_NOSIGNAL) > 0)
		;
	assert_true(errno == EPIPE || errno == ECONNRESET);
	close(fd);
	end(&service);
}

static void
test_limits(void **state)
{
	enum { LINES = 8 };
	static const struct {
		const char *name;
		int line;         /* which connection */
		const char *from; /* NULL: hang up */
		unsigned max_connections, max_per_ip;
		const char *wanted; /* how the greeting begins */
	} steps[] = {
		{ "first", 0, "127.0.0.1", 10, 2, "127.0.0.1 " },
		{ "second", 1, "127.0.0.1", 10, 2, "127.0.0.1 " },
		{ "third of one address", 2, "127.0.0.1", 10, 2,
		    "421 127.0.0.1 address\n" },
		{ "another address", 2, "127.0.0.2", 10, 2, "127.0.0.2 " },
		{ "limit raised", 3, "127.0.0.1", 10, 3, "127.0.0.1 " },
		{ "limit lowered", 4, "127.0.0.1", 10, 1,
		    "421 127.0.0.1 address\n" },
		{ "no limit", 4, "127.0.0.1", 10, 0, "127.0.0.1 " },
		{ "one goes", 0, NULL, 0, 0, NULL },
		{ "still as many as allowed", 0, "127.0.0.1", 10, 3,
		    "421 127.0.0.1 address\n" },
		{ "one more goes", 1, NULL, 0, 0, NULL },
		{ "now there is room", 0, "127.0.0.1", 10, 3, "127.0.0.1 " },
		{ "total", 1, "127.0.0.3", 4, 0, "421 127.0.0.3 total\n" },
		{ "total raised", 1, "127.0.0.3", 5, 0, "127.0.0.3 " },
		{ "none at all", 5, "127.0.0.4", 0, 0,
		    "421 127.0.0.4 total\n" },
	};
	struct service service;
	int fds[LINES], fd;
	char line[256];
	unsigned count = 0;
	size_t i;

	(void)state;
	memset(fds, -1, sizeof(fds));
	begin(&service, &standard);
	for (i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		struct listener_limits limits = { steps[i].max_connections,
			steps[i].max_per_ip };

		if (steps[i].from == NULL) {
			hang_up(fds[steps[i].line]);
			fds[steps[i].line] = -1;
			count--;
			continue;
		}
		listener_set_limits(service.listener, &limits);
		fd = dial(
		    listener_port(service.listener), false, steps[i].from);
		hear(fd, line);
		if (strncmp(line, steps[i].wanted, strlen(steps[i].wanted)) !=
		    0)
			fail_msg("%s: wanted '%s', got '%s'", steps[i].name,
			    steps[i].wanted, line);
		if (strncmp(line, "421", 3) == 0)
			hang_up(fd);
		else {
			assert_int_equal(fds[steps[i].line], -1);
			fds[steps[i].line] = fd;
			count++;
		}
		assert_int_equal(listener_connections(service.listener), count);
	}
	for (i = 0; i < LINES; i++)
		if (fds[i] != -1)
			hang_up(fds[i]);
	end(&service);
}

/* A connection that need not be accepted yet. */
static void
dial_with(int fd, uint16_t port)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
}

/*
 * No descriptor is left: connections wait, one line says why, and they are
 * served as soon as there are descriptors again.  One may be served at once:
 * who accepts has a number at hand.
 */
static void
test_no_descriptors(void **state)
{
	enum { WAITING = 3 };
	struct service service;
	struct rlimit old, none;
	struct pollfd log;
	int first, fds[WAITING], logs[2], stderr_copy, lowest, i;
	char line[256];

	(void)state;
	begin(&service, &standard);
	first = dial(listener_port(service.listener), false, NULL);
	hear(first, line);
	assert_int_equal(pipe(logs), 0);
	stderr_copy = dup(2);
	assert_int_equal(dup2(logs[1], 2), 2);
	for (i = 0; i < WAITING; i++)
		fds[i] = socket(AF_INET, SOCK_STREAM, 0);
	lowest = dup(0); /* every number below is in use */
	close(lowest);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	none = old;
	none.rlim_cur = (rlim_t)lowest;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	for (i = 0; i < WAITING; i++)
		dial_with(fds[i], listener_port(service.listener));
	hear(logs[0], line);
	setrlimit(RLIMIT_NOFILE, &old);
	dup2(stderr_copy, 2);
	assert_non_null(
	    strstr(line, "cannot accept connections: Too many open files ("));
	for (i = 0; i < WAITING; i++) {
		hear(fds[i], line);
		assert_non_null(strstr(line, " ok\n"));
	}
	/* only one line, though it was tried more often */
	log = (struct pollfd){ .fd = logs[0], .events = POLLIN };
	assert_int_equal(poll(&log, 1, 0), 0);
	for (i = 0; i < WAITING; i++)
		hang_up(fds[i]);
	hang_up(first);
	end(&service);
	close(logs[0]);
	close(logs[1]);
	close(stderr_copy);
}

/* No thread can be started: refused, not left hanging, and not counted. */
static void
test_no_thread(void **state)
{
	struct listener_options options = standard;
	struct service service;
	char line[256];
	int fd, null, stderr_copy;

	(void)state;
	options.stack_bytes = (size_t)1 << 50;
	stderr_copy = dup(2);
	null = open("/dev/null", O_WRONLY);
	dup2(null, 2);
	begin(&service, &options);
	fd = dial(listener_port(service.listener), false, NULL);
	hear(fd, line);
	assert_string_equal(line, "421 127.0.0.1 total\n");
	assert_int_equal(listener_connections(service.listener), 0);
	close(fd);
	end(&service);
	dup2(stderr_copy, 2);
	close(null);
	close(stderr_copy);
}

static void
test_stop_and_drain(void **state)
{
	struct service service;
	struct listener *listener;
	struct error err;
	char line[256];
	int fd;

	(void)state;
	listener = listener_new(&standard, &err);
	assert_non_null(listener);
	listener_stop(listener); /* before it runs */
	listener_run(listener);
	listener_free(&listener);

	begin(&service, &standard);
	fd = dial(listener_port(service.listener), false, NULL);
	hear(fd, line);
	listener_stop(service.listener);
	pthread_join(service.thread, NULL);
	assert_false(listener_drain(service.listener, 20));
	assert_int_equal(listener_connections(service.listener), 1);
	hang_up(fd);
	assert_true(listener_drain(service.listener, WAIT_MS));
	assert_int_equal(listener_connections(service.listener), 0);
	listener_free(&service.listener);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_busy_port),
		cmocka_unit_test(test_many_connections),
		cmocka_unit_test(test_last_reply_is_heard),
		cmocka_unit_test(test_chatterer_is_cut_off),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_no_descriptors),
		cmocka_unit_test(test_no_thread),
		cmocka_unit_test(test_stop_and_drain),
	};

	return cmocka_run_group_tests_name("listener", tests, NULL, NULL);
}
