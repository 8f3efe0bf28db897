/* SPDX-License-Identifier: ISC */
/* Tests of smtp/cmd_starttls.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>

#include <openssl/ssl.h>

#include "tests/unit/certificate.h"
#include "tests/unit/smtp_talk.h"

static const struct smtp_kind smtp = { .is_lmtp = false };

static void
put_certificate(void)
{
	char *path = xasprintf("%s/tls/servercert.pem", root);

	certificate_write(path, 3600);
	free(path);
}

/* What the command may do to a session without a TLS client. */
static void
refusals(void **state)
{
	struct talk talk;
	uint64_t taken = 0;

	(void)state;
	talk_begin(&talk, &smtp);
	talk_must(&talk, "EHLO x", "250");
	assert_null(strstr(talk.replies.data, "STARTTLS"));
	talk_expect(&talk, "no certificate", "STARTTLS",
	    "502 5.5.1 command not implemented (#5.5.1)");
	assert_int_equal(talk.session.errors, 1);
	talk_end(&talk);

	put_certificate();
	talk_begin(&talk, &smtp);
	talk_must(&talk, "EHLO x", "250");
	assert_non_null(strstr(talk.replies.data, "250-STARTTLS\r\n"));
	while (smtp_server_take_memory(talk.server, SMTP_TLS_BYTES))
		taken += SMTP_TLS_BYTES;
	talk_expect(&talk, "no memory", "STARTTLS",
	    "454 4.3.1 sorry, I am short of memory, try again later (#4.3.1)");
	assert_true(talk.session.has_hello);
	assert_false(talk.session.is_over);
	smtp_server_give_memory(talk.server, taken);
	talk_end(&talk);
}

/* RFC 3207 4.1: nothing else is left when the handshake fails. */
static void
a_failed_handshake_ends_it(void **state)
{
	struct talk talk;

	(void)state;
	put_certificate();
	talk_begin(&talk, &smtp);
	talk_must(&talk, "EHLO x", "250");
	talk_input(&talk, "NOOP\r\nNOOP\r\nNOOP\r\n", 18);
	talk_must(&talk, "STARTTLS", "220 2.0.0 ready for tls\r\n");
	assert_true(talk.session.is_over);
	assert_non_null(strstr(talk.logged.data, "STARTTLS failed: "));
	talk_end(&talk);
}

/* A client in another thread. */
static void *
shake_hands(void *argument)
{
	int fd = *(int *)argument;
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	SSL *ssl = SSL_new(context);
	char reply[64];
	size_t length = 0;

	/* Our greeting to the command comes first, in the clear. */
	while (length < sizeof(reply) &&
	    (length == 0 || reply[length - 1] != '\n'))
		if (read(fd, reply + length++, 1) != 1)
			break;
	SSL_set_fd(ssl, fd);
	if (SSL_connect(ssl) != 1)
		shutdown(fd, SHUT_RDWR);
	SSL_shutdown(ssl);
	SSL_free(ssl);
	SSL_CTX_free(context);
	return NULL;
}

/* RFC 3207 4.2: what was said in the clear is forgotten. */
static void
the_session_begins_anew(void **state)
{
	struct talk talk;
	struct smtp_line line;
	pthread_t client;
	int pair[2], saved;

	(void)state;
	put_certificate();
	talk_begin(&talk, &smtp);
	talk_must(&talk, "EHLO x", "250");
	talk_must(&talk, "MAIL FROM:<a@b.example>", "250");
	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	stream_free(&talk.session.stream);
	talk.session.stream = stream_new(pair[0], pair[0]);
	assert_int_equal(
	    pthread_create(&client, NULL, shake_hands, &pair[1]), 0);
	assert_true(smtp_line_parse("STARTTLS\r\n", 10, &line));
	saved = talk_log_begin(&talk);
	smtp_dispatch(&talk.session, &line);
	talk_log_end(&talk, saved);
	assert_false(talk.session.is_over);
	assert_non_null(stream_tls_version(talk.session.stream));
	assert_false(talk.session.transaction.is_open);
	assert_false(talk.session.has_hello);
	assert_false(talk.session.is_extended);
	assert_false(talk.session.has_status);
	assert_string_equal(talk.session.helo, "");
	assert_int_equal(talk.session.taken_bytes, SMTP_TLS_BYTES);
	/* A second one is a mistake, and costs nothing. */
	talk.session.has_hello = true;
	saved = talk_log_begin(&talk);
	smtp_dispatch(&talk.session, &line);
	talk_log_end(&talk, saved);
	assert_int_equal(talk.session.errors, 1);
	assert_false(talk.session.is_over);
	assert_int_equal(talk.session.taken_bytes, SMTP_TLS_BYTES);
	pthread_join(client, NULL);
	stream_free(&talk.session.stream);
	close(pair[0]);
	close(pair[1]);
	talk_end(&talk);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TALK_TEST(refusals),
		TALK_TEST(a_failed_handshake_ends_it),
		TALK_TEST(the_session_begins_anew),
	};

	/* A client that is gone is an error, not a signal. */
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
