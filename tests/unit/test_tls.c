/* SPDX-License-Identifier: ISC */
/* Tests of base/tls.h, and of base/stream.h with TLS. */
#include "base/tls.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/stream.h"
#include "tests/unit/certificate.h"

enum { TIMEOUT_MS = 10000, SHORT_MS = 50 };

/* What a PEM file of the tests is made of. */
enum part {
	CERT = 1, /* of the first key */
	KEY = 2,  /* the first key */
	OTHER_KEY = 4,
	LOCKED_KEY = 8, /* the first key, encrypted */
	CHAIN = 16,     /* another certificate */
	JUNK = 32
};

static char folder[] = "/tmp/test_tls.XXXXXX";
static char good_path[64];
static EVP_PKEY *keys[2];
static X509 *certs[2];

static void
write_pem(const char *path, unsigned parts)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	if (parts & JUNK)
		fputs("this is no certificate\n", file);
	if (parts & CERT)
		PEM_write_X509(file, certs[0]);
	if (parts & CHAIN)
		PEM_write_X509(file, certs[1]);
	if (parts & KEY)
		PEM_write_PrivateKey(file, keys[0], NULL, NULL, 0, NULL, NULL);
	if (parts & OTHER_KEY)
		PEM_write_PrivateKey(file, keys[1], NULL, NULL, 0, NULL, NULL);
	if (parts & LOCKED_KEY) {
		char passphrase[] = "secret";

		PEM_write_PrivateKey(file, keys[0], EVP_aes_128_cbc(), NULL, 0,
		    NULL, passphrase);
	}
	assert_int_equal(fclose(file), 0);
}

static int
set_up(void **state)
{
	(void)state;
	if (mkdtemp(folder) == NULL)
		return -1;
	keys[0] = EVP_EC_gen("P-256");
	keys[1] = EVP_EC_gen("P-256");
	certs[0] = make_x509(keys[0], "mail.example.test", 3600);
	certs[1] = make_x509(keys[1], "ca.example.test", 3600);
	snprintf(good_path, sizeof(good_path), "%s/good.pem", folder);
	write_pem(good_path, CERT | CHAIN | KEY);
	return 0;
}

static int
tear_down(void **state)
{
	int i;

	(void)state;
	for (i = 0; i < 2; i++) {
		EVP_PKEY_free(keys[i]);
		X509_free(certs[i]);
	}
	return file_remove_tree(folder, NULL);
}

static void
test_context(void **state)
{
	static const struct {
		const char *name;
		unsigned parts; /* 0: no file */
		const char *ciphers, *suites;
		const char *wanted; /* in the reason; NULL: works */
	} cases[] = {
		{ "good", CERT | KEY, NULL, NULL, NULL },
		{ "chain", CERT | CHAIN | KEY, "", "", NULL },
		{ "ciphers", CERT | KEY, "HIGH:!aNULL",
		    "TLS_AES_128_GCM_SHA256", NULL },
		{ "missing", 0, NULL, NULL, "No such file" },
		{ "junk", JUNK, NULL, NULL, "no usable certificate" },
		{ "key only", KEY, NULL, NULL, "no usable certificate" },
		{ "certificate only", CERT, NULL, NULL, "no usable key" },
		{ "another's key", CERT | OTHER_KEY, NULL, NULL,
		    "does not belong" },
		{ "encrypted key", CERT | LOCKED_KEY, NULL, NULL,
		    "is encrypted" },
		{ "bad ciphers", CERT | KEY, "NONSENSE", NULL, "'NONSENSE'" },
		{ "bad suites", CERT | KEY, NULL, "TLS_NO", "'TLS_NO'" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char path[64];
		struct error err = { "" };
		struct tls_context *context;

		snprintf(path, sizeof(path), "%s/case.pem", folder);
		if (cases[i].parts == 0)
			unlink(path);
		else
			write_pem(path, cases[i].parts);
		context = tls_context_new(path, &err);
		if (context != NULL &&
		    tls_context_set_ciphers(
			context, cases[i].ciphers, cases[i].suites, &err) == -1)
			tls_context_free(&context);
		if (cases[i].wanted == NULL) {
			if (context == NULL)
				fail_msg("%s: %s", cases[i].name, err.text);
		} else if (context != NULL ||
		    strstr(err.text, cases[i].wanted) == NULL)
			fail_msg("%s: wanted '%s', got '%s'", cases[i].name,
			    cases[i].wanted, err.text);
		else if (cases[i].ciphers == NULL && cases[i].suites == NULL &&
		    strstr(err.text, path) == NULL)
			fail_msg("%s: '%s' does not name the file",
			    cases[i].name, err.text);
		assert_int_equal(ERR_peek_error(), 0);
		tls_context_free(&context);
		assert_null(context);
	}
}

/* A client on a thread of its own, and what it found. */
struct client {
	int fd;
	int min_version, max_version; /* 0: any */
	const char *plain;            /* sent before the handshake */
	bool waits_for_220;           /* after plain, as it should */
	const char *sends;            /* in TLS */
	size_t large_bytes;           /* and then so many of 'x' */
	bool closes_properly;
	/* found */
	bool is_connected;
	char version[16];
	char got[4096]; /* until the server ended */
	int got_length;
	int chain_length;
};

static void
converse(struct client *client, SSL *ssl)
{
	char chunk[20000];
	size_t left;
	int n;

	if (client->sends != NULL)
		SSL_write(ssl, client->sends, (int)strlen(client->sends));
	memset(chunk, 'x', sizeof(chunk));
	for (left = client->large_bytes; left > 0; left -= (size_t)n) {
		n = SSL_write(ssl, chunk,
		    left < sizeof(chunk) ? (int)left : (int)sizeof(chunk));
		if (n <= 0)
			return;
	}
	if (client->closes_properly)
		SSL_shutdown(ssl);
	while ((size_t)client->got_length < sizeof(client->got) - 1 &&
	    (n = SSL_read(ssl, client->got + client->got_length,
		 (int)sizeof(client->got) - 1 - client->got_length)) > 0)
		client->got_length += n;
}

static void *
run_client(void *arg)
{
	struct client *client = arg;
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	SSL *ssl;
	char reply[100];

	SSL_CTX_set_min_proto_version(ctx, client->min_version);
	SSL_CTX_set_max_proto_version(ctx, client->max_version);
	SSL_CTX_set_security_level(ctx, 0); /* old versions may be offered */
	SSL_CTX_set_options(ctx, SSL_OP_IGNORE_UNEXPECTED_EOF);
	ssl = SSL_new(ctx);
	if (client->plain != NULL)
		file_write_all(
		    client->fd, client->plain, strlen(client->plain));
	if (client->waits_for_220 && read(client->fd, reply, sizeof(reply)) < 1)
		goto out;
	SSL_set_fd(ssl, client->fd);
	client->is_connected = SSL_connect(ssl) == 1;
	if (client->is_connected) {
		snprintf(client->version, sizeof(client->version), "%s",
		    SSL_get_version(ssl));
		client->chain_length = sk_X509_num(
		    SSL_get_peer_cert_chain(ssl));
		converse(client, ssl);
	}
out:
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	ERR_clear_error();
	shutdown(client->fd, SHUT_RDWR);
	return NULL;
}

/* Both ends of a connection whose server side is a stream. */
struct meeting {
	struct tls_context *context;
	struct stream *stream;
	int fds[2];
	pthread_t thread;
	struct client *client;
};

static void
meet(struct meeting *meeting, struct client *client)
{
	struct error err;

	meeting->context = tls_context_new(good_path, &err);
	assert_non_null(meeting->context);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, meeting->fds), 0);
	meeting->stream = stream_new(meeting->fds[0], meeting->fds[0]);
	stream_set_timeout(meeting->stream, TIMEOUT_MS);
	client->fd = meeting->fds[1];
	meeting->client = client;
	assert_int_equal(
	    pthread_create(&meeting->thread, NULL, run_client, client), 0);
}

static void
part(struct meeting *meeting)
{
	stream_free(&meeting->stream);
	shutdown(meeting->fds[0], SHUT_WR);
	pthread_join(meeting->thread, NULL);
	close(meeting->fds[0]);
	close(meeting->fds[1]);
	tls_context_free(&meeting->context);
}

static void
wanted_line(struct stream *stream, const char *wanted)
{
	const char *line;
	size_t length;
	enum stream_result result = stream_read_line(
	    stream, 512, &line, &length);

	if (result != STREAM_OK || length != strlen(wanted) ||
	    memcmp(line, wanted, length) != 0)
		fail_msg("wanted '%s', got result %d, '%.*s'", wanted,
		    (int)result, (int)length, result == STREAM_OK ? line : "");
}

static void
test_versions(void **state)
{
	static const struct {
		const char *name;
		int version;
		const char *wanted; /* NULL: refused */
	} cases[] = {
		{ "1.0", TLS1_VERSION, NULL },
		{ "1.1", TLS1_1_VERSION, NULL },
		{ "1.2", TLS1_2_VERSION, "TLSv1.2" },
		{ "1.3", TLS1_3_VERSION, "TLSv1.3" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct client client = { .min_version = cases[i].version,
			.max_version = cases[i].version,
			.sends = "EHLO x\r\n" };
		struct meeting meeting;
		struct error err = { "" };
		enum stream_result result;

		meet(&meeting, &client);
		assert_null(stream_tls_version(meeting.stream));
		assert_null(stream_tls_cipher(meeting.stream));
		assert_int_equal(stream_tls_bits(meeting.stream), 0);
		result = stream_start_tls(
		    meeting.stream, meeting.context, TIMEOUT_MS, &err);
		if (cases[i].wanted == NULL) {
			if (result != STREAM_FAILED || err.text[0] == '\0')
				fail_msg("%s: result %d, reason '%s'",
				    cases[i].name, (int)result, err.text);
			part(&meeting);
			assert_false(client.is_connected);
			continue;
		}
		if (result != STREAM_OK)
			fail_msg("%s: %s", cases[i].name, err.text);
		wanted_line(meeting.stream, "EHLO x\r\n");
		assert_string_equal(
		    stream_tls_version(meeting.stream), cases[i].wanted);
		/* "ECDHE-ECDSA-AES256-..." or "TLS_AES_256_..." */
		assert_non_null(strstr(stream_tls_cipher(meeting.stream),
		    cases[i].version == TLS1_3_VERSION ? "TLS_" : "ECDHE-"));
		assert_true(stream_tls_bits(meeting.stream) >= 128);
		stream_write(meeting.stream, "221 bye\r\n", 9);
		assert_int_equal(stream_flush(meeting.stream), STREAM_OK);
		part(&meeting);
		assert_string_equal(client.got, "221 bye\r\n");
		assert_string_equal(client.version, cases[i].wanted);
		assert_int_equal(client.chain_length, 2);
	}
}

/*
 * RFC 3207 4.2: what a man in the middle adds in plain behind STARTTLS is
 * never read as if it had come in TLS.
 */
static void
test_injection(void **state)
{
	static const char *const injected[] = {
		"STARTTLS\r\nRSET\r\n",
		"STARTTLS\r\nMAIL FROM:<evil@example.test>\r\nRCPT TO:<",
		/* a line that is too long, its end still to come */
		"STARTTLS\r\nxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(injected) / sizeof(injected[0]); i++) {
		struct client client = { .plain = injected[i],
			.waits_for_220 = true,
			.sends = "EHLO x\r\nQUIT\r\n" };
		struct meeting meeting;
		struct error err;
		const char *line;
		size_t length;

		meet(&meeting, &client);
		wanted_line(meeting.stream, "STARTTLS\r\n");
		assert_true(stream_has_input(meeting.stream));
		if (i == 2)
			assert_int_equal(stream_read_line(meeting.stream, 20,
					     &line, &length),
			    STREAM_TOO_LONG);
		stream_write(meeting.stream, "220 go ahead\r\n", 14);
		assert_int_equal(stream_start_tls(meeting.stream,
				     meeting.context, TIMEOUT_MS, &err),
		    STREAM_OK);
		assert_false(stream_has_input(meeting.stream));
		wanted_line(meeting.stream, "EHLO x\r\n");
		wanted_line(meeting.stream, "QUIT\r\n");
		part(&meeting);
	}
}

/* Plain text where the handshake should be: refused, and none of it is read. */
static void
test_plain_in_handshake(void **state)
{
	struct tls_context *context;
	struct stream *stream;
	struct error err = { "" };
	const char *line;
	size_t length;
	char got[100];
	ssize_t n;
	int fds[2];

	(void)state;
	context = tls_context_new(good_path, &err);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	stream = stream_new(fds[0], fds[0]);
	assert_int_equal(file_write_all(fds[1], "MAIL FROM:<>\r\n", 14), 0);
	assert_int_equal(
	    stream_start_tls(stream, context, TIMEOUT_MS, &err), STREAM_FAILED);
	assert_non_null(strstr(err.text, "TLS handshake failed: "));
	assert_int_equal(
	    stream_read_line(stream, 512, &line, &length), STREAM_FAILED);
	stream_write(stream, "250 ok\r\n", 8); /* must not go out in plain */
	assert_int_equal(stream_flush(stream), STREAM_FAILED);
	stream_free(&stream);
	close(fds[0]);
	while ((n = read(fds[1], got, sizeof(got))) > 0)
		assert_null(memmem(got, (size_t)n, "250", 3));
	close(fds[1]);
	tls_context_free(&context);
}

static void
test_handshake_ends(void **state)
{
	static const struct {
		const char *name;
		bool does_close;
		enum stream_result wanted;
		const char *reason;
	} cases[] = {
		{ "silent", false, STREAM_TIMEOUT, "not done within 50 ms" },
		{ "gone", true, STREAM_CLOSED, "closed the connection" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct error err = { "" };
		struct tls_context *context = tls_context_new(good_path, &err);
		struct stream *stream;
		int fds[2];
		int64_t start = clock_ms();

		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
		stream = stream_new(fds[0], fds[0]);
		if (cases[i].does_close)
			shutdown(fds[1], SHUT_WR);
		assert_int_equal(
		    stream_start_tls(stream, context, SHORT_MS, &err),
		    cases[i].wanted);
		if (strstr(err.text, cases[i].reason) == NULL)
			fail_msg("%s: wanted '%s', got '%s'", cases[i].name,
			    cases[i].reason, err.text);
		assert_true(clock_ms() - start < TIMEOUT_MS);
		stream_free(&stream);
		close(fds[0]);
		close(fds[1]);
		tls_context_free(&context);
	}
}

/* A session that took too long can still be told so, in TLS. */
static void
test_timeout_then_reply(void **state)
{
	size_t does_rest;

	(void)state;
	for (does_rest = 0; does_rest < 2; does_rest++) {
		struct client client = { .sends = "NOOP\r\nhalf a li" };
		struct meeting meeting;
		struct error err;
		const char *line;
		size_t length;

		meet(&meeting, &client);
		assert_int_equal(stream_start_tls(meeting.stream,
				     meeting.context, TIMEOUT_MS, &err),
		    STREAM_OK);
		wanted_line(meeting.stream, "NOOP\r\n");
		stream_set_timeout(meeting.stream, SHORT_MS);
		if (does_rest)
			stream_rest(meeting.stream);
		assert_int_equal(
		    stream_read_line(meeting.stream, 512, &line, &length),
		    STREAM_TIMEOUT);
		stream_write(meeting.stream, "421 late\r\n", 10);
		assert_int_equal(stream_flush(meeting.stream), STREAM_OK);
		part(&meeting);
		assert_string_equal(client.got, "421 late\r\n");
	}
}

static void
test_large(void **state)
{
	enum { LENGTH = 1000000 };
	struct client client = { .large_bytes = LENGTH,
		.closes_properly = true };
	struct meeting meeting;
	struct error err;
	const char *data;
	size_t got = 0, length, i;

	(void)state;
	meet(&meeting, &client);
	assert_int_equal(
	    stream_start_tls(meeting.stream, meeting.context, TIMEOUT_MS, &err),
	    STREAM_OK);
	while (got < LENGTH) {
		assert_int_equal(
		    stream_peek(meeting.stream, &data, &length), STREAM_OK);
		for (i = 0; i < length; i++)
			assert_int_equal(data[i], 'x');
		stream_consume(meeting.stream, length);
		stream_rest(meeting.stream); /* records may wait inside */
		got += length;
	}
	assert_int_equal(got, LENGTH);
	assert_int_equal(
	    stream_peek(meeting.stream, &data, &length), STREAM_CLOSED);
	/* the peer has only closed its side */
	stream_write(meeting.stream, "250 taken\r\n", 11);
	assert_int_equal(stream_flush(meeting.stream), STREAM_OK);
	part(&meeting);
	assert_string_equal(client.got, "250 taken\r\n");
}

/* The peer's socket closes without TLS's own end: closed, not failed. */
static void
test_rude_close(void **state)
{
	struct client client = { .sends = "DATA\r\nhalf a message" };
	struct meeting meeting;
	struct error err;
	const char *data;
	size_t length;

	(void)state;
	meet(&meeting, &client);
	assert_int_equal(
	    stream_start_tls(meeting.stream, meeting.context, TIMEOUT_MS, &err),
	    STREAM_OK);
	wanted_line(meeting.stream, "DATA\r\n");
	shutdown(meeting.fds[1], SHUT_WR);
	assert_int_equal(stream_read_line(meeting.stream, 512, &data, &length),
	    STREAM_CLOSED);
	part(&meeting);
}

static void
test_valid_s(void **state)
{
	static const long spans_s[] = { 3600, 100 * 86400L, -5 };
	char path[sizeof(folder) + 16];

	(void)state;
	snprintf(path, sizeof(path), "%s/valid.pem", folder);
	for (size_t i = 0; i < sizeof(spans_s) / sizeof(spans_s[0]); i++) {
		struct tls_context *context;
		struct error err;
		int64_t left_s;

		certificate_write(path, spans_s[i]);
		context = tls_context_new(path, &err);
		assert_non_null(context);
		left_s = tls_context_valid_s(context);
		assert_in_range(
		    left_s + 1000, spans_s[i] + 900, spans_s[i] + 1000);
		tls_context_free(&context);
	}
}

/* -- pins */

struct shaking {
	struct stream *stream;
	struct tls_context *context;
	const struct tls_peer *peer;
	enum stream_result result;
	struct error err;
};

static void *
shake_as_client(void *arg)
{
	struct shaking *client = arg;

	client->result = stream_start_tls_with(client->stream, client->context,
	    client->peer, TIMEOUT_MS, &client->err);
	if (client->result == STREAM_OK) {
		stream_write(client->stream, "x\r\n", 3);
		stream_flush(client->stream);
	}
	return NULL;
}

static void
test_pins(void **state)
{
	static const char wrong[] = "00000000000000000000000000000000"
				    "00000000000000000000000000000000";
	static const struct {
		const char *name;
		bool shows_certificate;
		unsigned pins; /* bits: right, wrong, nonsense */
		bool is_taken;
	} cases[] = {
		{ "right", true, 1, true },
		{ "one of two", true, 2 | 1, true },
		{ "no certificate of the client's", false, 1, true },
		{ "wrong", true, 2, false },
		{ "no pin", true, 0, false },
		{ "nonsense", true, 4, false },
		{ "nonsense and right", true, 4 | 1, true },
	};
	char pin[CERTIFICATE_PIN_SIZE], shown[CERTIFICATE_PIN_SIZE];
	struct tls_context *server, *client[2];
	struct error err = { "" };

	(void)state;
	server = tls_context_new(good_path, &err);
	assert_non_null(server);
	tls_context_ask_client(server);
	for (int i = 0; i < 2; i++)
		client[i] = tls_client_context_new(&err);
	assert_int_equal(
	    tls_context_set_certificate(client[1], good_path, &err), 0);
	assert_int_equal(certificate_pin_of_file(good_path, pin, &err), 0);
	/* Twice: what is resumed has a pin, too. */
	for (size_t i = 0; i < 2 * sizeof(cases) / sizeof(cases[0]); i++) {
		size_t row = i / 2;
		struct strlist pins = { .count = 0 };
		struct tls_peer peer = { .host = "node1",
			.scope = "scope",
			.pins = &pins };
		struct shaking shaking = { .peer = &peer,
			.context = client[cases[row].shows_certificate] };
		struct stream *stream;
		pthread_t thread;
		int fds[2];

		if (cases[row].pins & 4)
			strlist_add(&pins, "nonsense");
		if (cases[row].pins & 2)
			strlist_add(&pins, wrong);
		if (cases[row].pins & 1)
			strlist_add(&pins, pin);
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
		stream = stream_new(fds[0], fds[0]);
		shaking.stream = stream_new(fds[1], fds[1]);
		pthread_create(&thread, NULL, shake_as_client, &shaking);
		/* A client that refuses says so after a server's handshake. */
		if (stream_start_tls(stream, server, TIMEOUT_MS, &err) ==
			STREAM_OK &&
		    cases[row].is_taken) {
			wanted_line(stream, "x\r\n");
			assert_int_equal(stream_tls_peer_pin(stream, shown),
			    cases[row].shows_certificate);
			if (cases[row].shows_certificate)
				assert_string_equal(shown, pin);
		}
		shutdown(fds[0], SHUT_RDWR);
		pthread_join(thread, NULL);
		if ((shaking.result == STREAM_OK) != cases[row].is_taken)
			fail_msg("%s: result %d, '%s'", cases[row].name,
			    (int)shaking.result, shaking.err.text);
		if (cases[row].is_taken) {
			assert_int_equal(stream_tls_proof(shaking.stream),
			    TLS_PROOF_PIN);
			assert_true(stream_tls_peer_pin(shaking.stream, shown));
			assert_string_equal(shown, pin);
		}
		stream_free(&stream);
		stream_free(&shaking.stream);
		close(fds[0]);
		close(fds[1]);
		strlist_release(&pins);
	}
	for (int i = 0; i < 2; i++)
		tls_context_free(&client[i]);
	tls_context_free(&server);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_context),
		cmocka_unit_test(test_versions),
		cmocka_unit_test(test_injection),
		cmocka_unit_test(test_plain_in_handshake),
		cmocka_unit_test(test_handshake_ends),
		cmocka_unit_test(test_timeout_then_reply),
		cmocka_unit_test(test_large),
		cmocka_unit_test(test_rude_close),
		cmocka_unit_test(test_valid_s),
		cmocka_unit_test(test_pins),
	};

	return cmocka_run_group_tests_name("tls", tests, set_up, tear_down);
}
