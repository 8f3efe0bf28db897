/* SPDX-License-Identifier: ISC */
#include "smtp/received.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

static const struct smtp_received plain = {
	.helo = "client.example",
	.remote_ip = "192.0.2.1",
	.by = "mail.example.org",
	.id = "1700000000.77",
	.when = 1700000000,
};

static void
forms(void **state)
{
	struct smtp_received received = plain;
	struct buf buf;

	(void)state;
	buf_init(&buf);
	smtp_received_put(&buf, &received);
	assert_string_equal(buf.data,
	    "Received: from unknown (HELO client.example) (192.0.2.1)\n"
	    "  by mail.example.org with SMTP\n"
	    "  id 1700000000.77; Tue, 14 Nov 2023 22:13:20 +0000\n");
	received.remote_host = "Client.Example";
	received.remote_info = "joe";
	received.is_extended = true;
	received.tls_version = "TLSv1.3";
	received.tls_cipher = "TLS_AES_256_GCM_SHA384";
	received.tls_bits = 256;
	buf_reset(&buf);
	smtp_received_put(&buf, &received);
	assert_string_equal(buf.data,
	    "Received: from Client.Example (joe@192.0.2.1)\n"
	    "  by mail.example.org with ESMTPS (TLSv1.3 "
	    "TLS_AES_256_GCM_SHA384 256/256)\n"
	    "  id 1700000000.77; Tue, 14 Nov 2023 22:13:20 +0000\n");
	received.cluster_hops = 2;
	buf_reset(&buf);
	smtp_received_put(&buf, &received);
	assert_non_null(strstr(buf.data,
	    " 256/256)\n"
	    "  (cluster hop 2)\n"
	    "  id 1700000000.77; "));
	buf_release(&buf);
}

static void
protocols(void **state)
{
	static const struct {
		bool is_lmtp, is_extended, is_utf8, has_tls;
		const char *wanted;
	} rows[] = {
		{ false, false, false, false, " with SMTP\n" },
		{ false, true, false, false, " with ESMTP\n" },
		{ false, false, false, true, " with ESMTPS (" },
		{ false, true, false, true, " with ESMTPS (" },
		{ false, true, true, false, " with UTF8SMTP\n" },
		{ false, true, true, true, " with UTF8SMTPS (" },
		{ true, true, false, false, " with LMTP\n" },
		{ true, true, false, true, " with LMTPS (" },
		{ true, true, true, false, " with UTF8LMTP\n" },
		{ true, true, true, true, " with UTF8LMTPS (" },
	};
	struct buf buf;
	size_t i;

	(void)state;
	buf_init(&buf);
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct smtp_received received = plain;

		received.is_lmtp = rows[i].is_lmtp;
		received.is_extended = rows[i].is_extended;
		received.is_utf8 = rows[i].is_utf8;
		if (rows[i].has_tls) {
			received.tls_version = "TLSv1.2";
			received.tls_cipher = "X";
		}
		buf_reset(&buf);
		smtp_received_put(&buf, &received);
		if (strstr(buf.data, rows[i].wanted) == NULL)
			fail_msg("%s: not in %s", rows[i].wanted, buf.data);
	}
	buf_release(&buf);
}

static void
a_hostile_helo_stays_inside(void **state)
{
	struct smtp_received received = plain;
	char helo[1001];
	struct buf buf;
	const char *line, *end;

	(void)state;
	memset(helo, 'x', sizeof(helo) - 1);
	helo[sizeof(helo) - 1] = '\0';
	memcpy(helo, "a) \"\\(\r\nX-Evil: yes\n\n", 21);
	received.helo = helo;
	buf_init(&buf);
	smtp_received_put(&buf, &received);
	assert_null(strstr(buf.data, "\nX-Evil"));
	assert_null(strstr(buf.data, "a)"));
	for (line = buf.data; *line != '\0'; line = end + 1) {
		end = strchr(line, '\n');
		assert_non_null(end);
		assert_true(end - line < 998);
		assert_true(line == buf.data || *line == ' ');
	}
	buf_release(&buf);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(forms),
		cmocka_unit_test(protocols),
		cmocka_unit_test(a_hostile_helo_stays_inside),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
