/* SPDX-License-Identifier: ISC */
/* Tests of svctool/run/ports.c. */
#include "svctool/run/ports.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/port.h"

static size_t
count_listeners(const struct port_address *address)
{
	uint64_t inodes[4];

	return port_listeners(address, inodes, 4);
}

static void
busy_and_free(void **state)
{
	struct port_address address;
	struct error err;
	int fd = port_take(&address);
	char wanted[96];

	(void)state;
	assert_int_equal(port_is_free(&address, &err), 0);
	snprintf(wanted, sizeof(wanted),
	    "is already in use by test_ports (pid "
	    "%ld): stop that",
	    (long)getpid());
	assert_non_null(strstr(err.text, wanted));
	assert_int_equal(count_listeners(&address), 1);
	snprintf(address.ip, sizeof(address.ip), "127.0.0.2");
	assert_int_equal(count_listeners(&address), 0);
	snprintf(address.ip, sizeof(address.ip), "127.0.0.1");
	close(fd);
	assert_int_equal(count_listeners(&address), 0);
	assert_int_equal(port_is_free(&address, &err), 1);
}

/* The same for IPv6, where the host has it. */
static void
listening_v6(void **state)
{
	struct sockaddr_in6 where = { .sin6_family = AF_INET6,
		.sin6_addr = IN6ADDR_LOOPBACK_INIT };
	socklen_t size = sizeof(where);
	struct port_address address = { .ip = "::1" };
	int fd = socket(AF_INET6, SOCK_STREAM, 0);

	(void)state;
	if (fd != -1 &&
	    bind(fd, (struct sockaddr *)&where, sizeof(where)) == 0) {
		assert_int_equal(listen(fd, 5), 0);
		assert_int_equal(
		    getsockname(fd, (struct sockaddr *)&where, &size), 0);
		address.port = ntohs(where.sin6_port);
		assert_int_equal(count_listeners(&address), 1);
	}
	if (fd != -1)
		close(fd);
	assert_int_equal(count_listeners(&address), 0);
}

/* Who keeps others from a port need not listen on the same address. */
static void
takers(void **state)
{
	static const char *const around[] = { "127.0.0.1", "0.0.0.0", "::" };
	char wanted[PORT_TAKER_SIZE], got[PORT_TAKER_SIZE];
	struct port_address address;
	int fd = port_take(&address);
	struct proc taker;

	(void)state;
	snprintf(
	    wanted, sizeof(wanted), "test_ports (pid %ld)", (long)getpid());
	for (size_t i = 0; i < sizeof(around) / sizeof(around[0]); i++) {
		snprintf(address.ip, sizeof(address.ip), "%s", around[i]);
		assert_int_equal(
		    port_find_taker(&address, NULL, &taker, got), 1);
		assert_string_equal(got, wanted);
		assert_int_equal(taker.pid, getpid());
	}
	snprintf(address.ip, sizeof(address.ip), "127.0.0.2");
	assert_int_equal(port_find_taker(&address, NULL, &taker, got), 0);
	snprintf(address.ip, sizeof(address.ip), "::1");
	assert_int_equal(port_find_taker(&address, NULL, &taker, got), 0);
	close(fd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(busy_and_free),
		cmocka_unit_test(takers),
		cmocka_unit_test(listening_v6),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
