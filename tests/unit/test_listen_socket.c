/* SPDX-License-Identifier: ISC */
/* Tests of base/listen_socket.c; who is served there is in test_listener.c. */
#include "base/listen_socket.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct sockaddr_storage
make_v4(const char *text, uint16_t port)
{
	struct sockaddr_storage address;
	struct sockaddr_in in4 = { .sin_family = AF_INET,
		.sin_port = htons(port) };

	assert_int_equal(inet_pton(AF_INET, text, &in4.sin_addr), 1);
	memset(&address, 0, sizeof(address));
	memcpy(&address, &in4, sizeof(in4));
	return address;
}

static struct sockaddr_storage
make_v6(const char *text, uint16_t port)
{
	struct sockaddr_storage address;
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6,
		.sin6_port = htons(port) };

	assert_int_equal(inet_pton(AF_INET6, text, &in6.sin6_addr), 1);
	memset(&address, 0, sizeof(address));
	memcpy(&address, &in6, sizeof(in6));
	return address;
}

/* One text for one host, whichever family the kernel shows it in. */
static void
texts(void **state)
{
	static const struct {
		const char *address, *wanted;
		uint16_t port;
		bool is_v6, is_any;
	} rows[] = {
		{ "127.0.0.1", "127.0.0.1", 25, false, false },
		{ "0.0.0.0", "0.0.0.0", 65535, false, true },
		{ "192.0.2.255", "192.0.2.255", 0, false, false },
		{ "::", "::", 25, true, true },
		{ "::1", "::1", 25, true, false },
		{ "::ffff:192.0.2.1", "192.0.2.1", 587, true, false },
		{ "::ffff:0.0.0.0", "0.0.0.0", 25, true, true },
		{ "2001:db8:0:0:0:0:0:1", "2001:db8::1", 25, true, false },
		{ "::192.0.2.1", "::192.0.2.1", 25, true, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sockaddr_storage address = rows[i].is_v6
		    ? make_v6(rows[i].address, rows[i].port)
		    : make_v4(rows[i].address, rows[i].port);
		char text[64];
		uint16_t port;

		listen_socket_text(&address, text, sizeof(text), &port);
		if (strcmp(text, rows[i].wanted) != 0 || port != rows[i].port)
			fail_msg(
			    "%s: got '%s', %u", rows[i].address, text, port);
		if (listen_socket_is_any(&address) != rows[i].is_any)
			fail_msg("%s: is it every address?", rows[i].address);
	}
}

static void
both_families_compare(void **state)
{
	struct sockaddr_storage v4 = make_v4("192.0.2.1", 1);
	struct sockaddr_storage v6 = make_v6("::ffff:192.0.2.1", 2);
	struct sockaddr_storage none = { .ss_family = AF_UNIX };
	struct in6_addr a, b;

	(void)state;
	listen_socket_ip(&v4, &a);
	listen_socket_ip(&v6, &b);
	assert_memory_equal(&a, &b, sizeof(a));
	listen_socket_ip(&none, &a);
	assert_true(IN6_IS_ADDR_UNSPECIFIED(&a));
}

static void
opens(void **state)
{
	struct listener_options options = { .address = "127.0.0.1" };
	struct sockaddr_storage bound;
	struct error err = { "" };
	char text[64];
	uint16_t port;
	int fd, other;

	(void)state;
	fd = listen_socket_open(&options, &bound, &err);
	assert_int_not_equal(fd, -1);
	listen_socket_text(&bound, text, sizeof(text), &port);
	assert_string_equal(text, "127.0.0.1");
	assert_int_not_equal(port, 0);
	assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
	assert_true((fcntl(fd, F_GETFL) & O_NONBLOCK) == 0);
	/* Shared only when both want that. */
	options.port = port;
	options.is_shared = true;
	other = listen_socket_open(&options, &bound, &err);
	assert_int_equal(other, -1);
	snprintf(
	    text, sizeof(text), "cannot listen on 127.0.0.1 port %u: ", port);
	assert_memory_equal(err.text, text, strlen(text));
	assert_non_null(strstr(err.text, "(another program has this port"));
	close(fd);
	fd = listen_socket_open(&options, &bound, &err);
	assert_int_not_equal(fd, -1);
	other = listen_socket_open(&options, &bound, &err);
	assert_int_not_equal(other, -1);
	close(fd);
	close(other);
}

static void
what_is_no_address(void **state)
{
	static const struct {
		const char *address, *reason;
	} rows[] = {
		{ "localhost", "'localhost': not a numeric" },
		{ "127.0.0.256", "not a numeric IPv4 or IPv6 address" },
		{ "127.0.0.1:25", "not a numeric" },
		{ "[::1]", "not a numeric" },
		{ " 127.0.0.1", "not a numeric" },
		{ "192.0.2.1", "(no interface of this host has this address)" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct listener_options options = {
			.address = rows[i].address
		};
		struct sockaddr_storage bound;
		struct error err = { "" };

		if (listen_socket_open(&options, &bound, &err) != -1 ||
		    strstr(err.text, rows[i].reason) == NULL)
			fail_msg("'%s': got '%s'", rows[i].address, err.text);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts),
		cmocka_unit_test(both_families_compare),
		cmocka_unit_test(opens),
		cmocka_unit_test(what_is_no_address),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
