/* SPDX-License-Identifier: ISC */
/* Tests of svctool/run/greet.c. */
#include "svctool/run/greet.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/mem.h"
#include "tests/unit/certificate.h"
#include "tests/unit/greeter.h"
#include "tests/unit/port.h"
#include "tests/unit/svc_node.h"

enum { LONG_MS = 20000, SHORT_MS = 100 };

/* Who answers at all is at work; the words are another matter. */
static void
answers(void **state)
{
	char *pem = xstrdup(folder_path("cert.pem"));
	const struct {
		const char *name, *text;
		const char *cert_path;
		bool does_close, has_tls_first;
		int wait_ms, wanted;
		const char *reason;
	} rows[] = {
		{ "greets", "220 m.test ESMTP\r\n", NULL, false, false, LONG_MS,
		    1, "" },
		{ "several lines", "220-m.test\r\n220 x\r\n", NULL, false,
		    false, LONG_MS, 1, "" },
		{ "busy", "421 too many connections\r\n", NULL, true, false,
		    LONG_MS, 1, "" },
		{ "denied", "554 sorry\r\n", NULL, true, false, LONG_MS, 1,
		    "" },
		{ "silent", NULL, NULL, false, false, SHORT_MS, 0,
		    ", and greets nobody in time" },
		{ "no whole line", "220 m", NULL, false, false, SHORT_MS, 0,
		    ", and greets nobody in time" },
		{ "another protocol", "SSH-2.0-x\r\n", NULL, false, false,
		    LONG_MS, 0, ", and what it says is no greeting" },
		{ "closes", NULL, NULL, true, false, LONG_MS, 0,
		    ", and it closes connections without a greeting" },
		{ "TLS", "220 m.test\r\n", pem, false, true, LONG_MS, 1, "" },
		{ "TLS, and silent", NULL, pem, false, true, SHORT_MS, 0,
		    ", and greets nobody in time" },
		{ "no TLS yet", "220 m.test\r\n", NULL, false, true, LONG_MS, 1,
		    "" },
		{ "TLS, denied", NULL, NULL, true, true, LONG_MS, 1, "" },
	};

	(void)state;
	certificate_write(pem, 3600);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct port_address address;
		int fd = port_take(&address);
		const struct greeter greeter = { .fd = fd,
			.text = rows[i].text,
			.cert_path = rows[i].cert_path,
			.does_close = rows[i].does_close };
		pid_t pid = greeter_start(&greeter);
		struct error err = { "" };
		int got = greet_look(
		    &address, rows[i].has_tls_first, rows[i].wait_ms, &err);

		if (got != rows[i].wanted ||
		    strstr(err.text, rows[i].reason) == NULL)
			fail_msg("%s: %d '%s'", rows[i].name, got, err.text);
		greeter_end(pid);
		close(fd);
	}
	free(pem);
}

/* A listener on every address is asked on loopback. */
static void
every_address(void **state)
{
	struct port_address address;
	int fd = port_take(&address);
	const struct greeter greeter = { .fd = fd, .text = "220 m\r\n" };
	pid_t pid = greeter_start(&greeter);
	struct error err = { "" };

	(void)state;
	snprintf(address.ip, sizeof(address.ip), "0.0.0.0");
	assert_int_equal(greet_look(&address, false, LONG_MS, &err), 1);
	greeter_end(pid);
	close(fd);
	/* Until its child has ended, too. */
	while (strstr(err.text, "cannot connect to 0.0.0.0 port") == NULL)
		assert_true(greet_look(&address, false, LONG_MS, &err) >= 0);
}

/* Nobody takes up connections: a stopped process, say. */
static void
a_full_backlog(void **state)
{
	struct port_address address;
	int fd = port_take(&address);
	int clients[16];
	struct error err = { "" };

	(void)state;
	assert_int_equal(listen(fd, 1), 0);
	for (size_t i = 0; i < 16; i++) {
		struct sockaddr_storage where;
		socklen_t length = port_connect_address(&address, &where);

		clients[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		connect(clients[i], (struct sockaddr *)&where, length);
	}
	assert_int_equal(greet_look(&address, false, SHORT_MS, &err), 0);
	for (size_t i = 0; i < 16; i++)
		close(clients[i]);
	close(fd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		SVC_TEST(answers),
		cmocka_unit_test(every_address),
		cmocka_unit_test(a_full_backlog),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
