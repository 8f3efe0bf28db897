/* SPDX-License-Identifier: ISC */
/*
 * All that a host says in a session (remote/session.h), two messages long.  The
 * first byte says which protocol, and whether there are TLS and AUTH.
 */
#include <assert.h>
#include <arpa/inet.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "remote/session_private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TEXT_MAX = 60000, RECIPIENTS = 3, TIMEOUT_MS = 5000 };

static void
check_result(const struct session_result *result)
{
	assert(result->text != NULL);
	assert(result->outcome == SESSION_DELIVERED ||
	    result->outcome == SESSION_TEMPFAIL ||
	    result->outcome == SESSION_PERMFAIL);
	assert(result->text[strlen(result->text) - 1] == '\n');
	for (const char *at = result->text; *at != '\0'; at++)
		assert((*at >= ' ' && *at <= '~') || *at == '\n');
}

static void
send_message(struct session *session)
{
	static const struct session_recipient recipients[RECIPIENTS] = {
		{ "a@example.net", "" },
		{ "b c@example.net", " NOTIFY=NEVER" },
		{ "\xc3\xa4@example.net", "" },
	};
	struct session_message message = { .sender = "s@example.org",
		.dsn = " RET=HDRS",
		.header = "X: y\n",
		.body = "Subject: x\n\n.\n\xc3\xa4\n",
		.size_bytes = 17,
		.recipients = recipients,
		.recipient_count = RECIPIENTS };
	struct session_result results[RECIPIENTS];
	size_t i;

	session_send(session, &message, results);
	for (i = 0; i < RECIPIENTS; i++) {
		check_result(&results[i]);
		session_result_release(&results[i]);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct session_credentials credentials = { "joe", "secret",
		NULL, false };
	static struct tls_context *tls;
	struct sockaddr_in address = { .sin_family = AF_INET };
	struct session_options options = {
		.host = "mail.example.net",
		.address = (struct sockaddr *)&address,
		.helo = "client.example.org",
		.connect_ms = TIMEOUT_MS,
		.remote_ms = TIMEOUT_MS,
	};
	struct session_result failure = { 0 };
	struct session *session;
	int fds[2];

	if (tls == NULL)
		tls = tls_client_context_new(NULL);
	if (size == 0 || size > TEXT_MAX ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == -1)
		return 0;
	options.transport = (enum session_transport)((data[0] & 3) % 3);
	options.tls.context = tls;
	options.tls.level = data[0] & 4 ? TLS_MAY : TLS_NONE;
	options.credentials = data[0] & 8 ? &credentials : NULL;
	if (write(fds[1], data + 1, size - 1) != (ssize_t)size - 1)
		assert(!"the socket is full");
	shutdown(fds[1], SHUT_WR);
	session = session_attach(fds[0], &options);
	session->tries_tls = options.tls.level == TLS_MAY;
	if (session_greet(session, &failure) == 0) {
		send_message(session);
		session_is_usable(session);
		send_message(session);
	} else
		check_result(&failure);
	session_result_release(&failure);
	session_close(&session);
	close(fds[1]);
	return 0;
}
