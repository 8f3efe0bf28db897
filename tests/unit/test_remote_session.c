/* SPDX-License-Identifier: ISC */
/*
 * Tests of remote/session.c: what a program for one message does not show. Many
 * messages, levels of TLS, proofs of the host.
 */
#include "remote/session.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/stream.h"
#include "tests/unit/certificate.h"
#include "tests/unit/tempdir.h"

/* A host: each connection gets the lines of its EHLO, and all mail is taken
 * until a sender begins with a code, which is the answer then. */
struct host {
	int listener;
	uint16_t port;
	const char *hello; /* after "250-host\r\n" */
	struct tls_context *tls;
	int connections;
	bool breaks_resumption;               /* the next STARTTLS is broken */
	char mail[200], rcpt[200], auth[900]; /* the last */
	const char *refusal;                  /* to AUTH; or NULL */
	pthread_t thread;
};

static char *folder, *pem;
static EVP_PKEY *key;
static X509 *cert;
static const char name[] = "mail.example.test";

static bool
begins(const char *line, size_t length, const char *word)
{
	return length >= strlen(word) && strncmp(line, word, strlen(word)) == 0;
}

static void
say(struct stream *stream, const char *text)
{
	stream_write(stream, text, strlen(text));
}

/* Whether it was taken. */
static bool
answer_mail(struct stream *stream, const char *line)
{
	const char *code = line + strlen("MAIL FROM:<");

	if (*code >= '4' && *code <= '5') {
		stream_write(stream, code, 3);
		say(stream, " as you like\r\n");
		return false;
	}
	say(stream, "250 ok\r\n");
	return true;
}

static void
serve_connection(struct host *host, int fd)
{
	struct stream *stream = stream_new(fd, fd);
	bool is_data = false, has_sender = false;
	const char *line;
	size_t length;

	say(stream, "220 host\r\n");
	while (stream_read_line(stream, 4096, &line, &length) == STREAM_OK) {
		if (is_data) {
			is_data = !begins(line, length, ".\r\n");
			if (!is_data)
				say(stream, "250 taken\r\n");
			continue;
		}
		if (begins(line, length, "MAIL"))
			snprintf(host->mail, sizeof(host->mail), "%.*s",
			    (int)length - 2, line);
		if (begins(line, length, "RCPT"))
			snprintf(host->rcpt, sizeof(host->rcpt), "%.*s",
			    (int)length - 2, line);
		if (begins(line, length, "AUTH"))
			snprintf(host->auth, sizeof(host->auth), "%.*s",
			    (int)length - 2, line);
		if (length > 2 && line[length - 3] == '=' &&
		    host->refusal != NULL)
			say(stream, host->refusal);
		else if (begins(line, length, "\r\n"))
			say(stream, "535 no\r\n");
		else if (begins(line, length, "EHLO")) {
			say(stream, "250-host\r\n");
			say(stream, host->hello);
		} else if (begins(line, length, "MAIL"))
			has_sender = answer_mail(stream, line);
		else if (!has_sender &&
		    (begins(line, length, "RCPT") ||
			begins(line, length, "DATA")))
			say(stream, "503 no sender\r\n");
		else if (begins(line, length, "DATA")) {
			is_data = true;
			say(stream, "354 go\r\n");
		} else if (begins(line, length, "STARTTLS")) {
			say(stream, "220 go\r\n");
			if (host->breaks_resumption) {
				host->breaks_resumption = false;
				stream_flush(stream);
				break;
			}
			if (stream_start_tls(stream, host->tls, 10000, NULL) !=
			    STREAM_OK)
				break;
		} else if (begins(line, length, "QUIT"))
			break;
		else
			say(stream, "250 ok\r\n");
	}
	stream_free(&stream);
	close(fd);
}

static void *
serve(void *context)
{
	struct host *host = context;
	int fd;

	while ((fd = accept(host->listener, NULL, NULL)) != -1) {
		host->connections++;
		serve_connection(host, fd);
	}
	return NULL;
}

static void
host_start(struct host *host, const char *hello)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t length = sizeof(address);
	struct error err;

	*host = (struct host){ .hello = hello };
	host->tls = tls_context_new(pem, &err);
	assert_non_null(host->tls);
	host->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(
	    bind(host->listener, (struct sockaddr *)&address, length), 0);
	assert_int_equal(listen(host->listener, 5), 0);
	getsockname(host->listener, (struct sockaddr *)&address, &length);
	host->port = ntohs(address.sin_port);
	assert_int_equal(pthread_create(&host->thread, NULL, serve, host), 0);
}

static void
host_stop(struct host *host)
{
	shutdown(host->listener, SHUT_RDWR);
	pthread_join(host->thread, NULL);
	close(host->listener);
	tls_context_free(&host->tls);
}

struct call {
	struct sockaddr_in address;
	struct session_options options;
	struct session_result failure;
	struct session *session;
};

static void
call_prepare(struct call *call, const struct host *host, enum tls_level level)
{
	struct error err;

	*call = (struct call){ .address = { .sin_family = AF_INET,
				   .sin_port = htons(host->port),
				   .sin_addr.s_addr = htonl(
				       INADDR_LOOPBACK) } };
	call->options = (struct session_options){ .transport = SESSION_SMTP,
		.host = name,
		.address = (struct sockaddr *)&call->address,
		.helo = "client.example.test",
		.tls = { .level = level,
		    .context = tls_client_context_new(&err) },
		.connect_ms = 10000,
		.remote_ms = 10000 };
	assert_non_null(call->options.tls.context);
}

static void
call_end(struct call *call)
{
	session_close(&call->session);
	session_result_release(&call->failure);
	tls_context_free(&call->options.tls.context);
}

/* Sends to count recipients; the letters of the results. */
static const char *
send_one(struct session *session, const char *sender, size_t count)
{
	static char letters[500];
	struct session_recipient recipients[500];
	struct session_result results[500];
	struct session_message message = { .sender = sender,
		.dsn = "",
		.header = "",
		.body = "Hello.\n",
		.size_bytes = 7,
		.recipients = recipients,
		.recipient_count = count };
	size_t i;

	for (i = 0; i < count; i++)
		recipients[i] = (struct session_recipient){ "r@example.test",
			"" };
	session_send(session, &message, results);
	for (i = 0; i < count; i++) {
		letters[i] = (char)results[i].outcome;
		assert_non_null(results[i].text);
		session_result_release(&results[i]);
	}
	letters[count] = '\0';
	return letters;
}

/* One after the other over one connection, refused ones between. */
static void
test_messages(void **state)
{
	static const char *const hellos[] = { "250 PIPELINING\r\n",
		"250 HELP\r\n" };
	size_t i;

	(void)state;
	for (i = 0; i < 2; i++) {
		struct host host;
		struct call call;

		host_start(&host, hellos[i]);
		call_prepare(&call, &host, TLS_NONE);
		call.session = session_open(&call.options, &call.failure);
		assert_non_null(call.session);
		assert_string_equal(send_one(call.session, "a@b", 1), "K");
		assert_string_equal(send_one(call.session, "550@b", 2), "DD");
		assert_true(session_is_usable(call.session));
		assert_string_equal(send_one(call.session, "450@b", 1), "Z");
		assert_string_equal(send_one(call.session, "", 3), "KKK");
		assert_int_equal(
		    strspn(send_one(call.session, "a@b", 450), "K"), 450);
		assert_true(session_is_usable(call.session));
		assert_string_equal(session_tls_text(call.session), "");
		/* 421 closes it for all that comes */
		assert_string_equal(send_one(call.session, "421@b", 1), "Z");
		assert_false(session_is_usable(call.session));
		assert_string_equal(send_one(call.session, "a@b", 1), "Z");
		call_end(&call);
		host_stop(&host);
		assert_int_equal(host.connections, 1);
	}
}

static void
test_usable(void **state)
{
	struct host host;
	struct call call;

	(void)state;
	host_start(&host, "250-PIPELINING\r\n250 LIMITS MAILMAX=1\r\n");
	call_prepare(&call, &host, TLS_NONE);
	call.session = session_open(&call.options, &call.failure);
	assert_true(session_is_usable(call.session));
	assert_string_equal(send_one(call.session, "a@b", 1), "K");
	assert_false(session_is_usable(call.session));
	call_end(&call);
	host_stop(&host);
}

/* 3 1 1 of the host's key; as it is, or of another key. */
static void
make_record(struct dns_tlsa *record, unsigned char digest[32], bool is_wrong)
{
	unsigned char *der = NULL;
	int length = i2d_PUBKEY(key, &der);

	assert_true(length > 0);
	EVP_Digest(der, (size_t)length, digest, NULL, EVP_sha256(), NULL);
	OPENSSL_free(der);
	digest[0] ^= is_wrong;
	*record = (struct dns_tlsa){ 3, 1, 1, digest, 32 };
}

enum trust { NOBODY, SYSTEM, DANE, WRONG_DANE, UNUSABLE_DANE };

static void
test_tls(void **state)
{
	static const char offer[] = "250 STARTTLS\r\n";
	static const char none[] = "250 HELP\r\n";
	static const struct {
		const char *name, *hello;
		enum tls_level level;
		enum trust trust;
		const char *host_name;
		const char
		    *wanted; /* the end of session_tls_text; NULL: none */
		enum tls_failure failure;
	} cases[] = {
		{ "none", offer, TLS_NONE, NOBODY, name, "", 0 },
		{ "may", offer, TLS_MAY, NOBODY, name, "not verified", 0 },
		{ "may, not offered", none, TLS_MAY, NOBODY, name, "", 0 },
		{ "encrypt", offer, TLS_ENCRYPT, NOBODY, name, "not verified",
		    0 },
		{ "encrypt, not offered", none, TLS_ENCRYPT, NOBODY, name, NULL,
		    TLS_FAILURE_NOT_OFFERED },
		{ "verify", offer, TLS_VERIFY, SYSTEM, name,
		    "verified by authorities", 0 },
		{ "nobody trusted", offer, TLS_VERIFY, NOBODY, name, NULL,
		    TLS_FAILURE_UNTRUSTED },
		{ "another name", offer, TLS_VERIFY, SYSTEM,
		    "other.example.test", NULL, TLS_FAILURE_NAME },
		{ "an address", offer, TLS_VERIFY, SYSTEM, "127.0.0.1", NULL,
		    TLS_FAILURE_NAME },
		{ "dane", offer, TLS_VERIFY, DANE, "other.example.test",
		    "verified by dane", 0 },
		{ "dane, another key", offer, TLS_VERIFY, WRONG_DANE, name,
		    NULL, TLS_FAILURE_UNTRUSTED },
		{ "dane, nothing usable", offer, TLS_VERIFY, UNUSABLE_DANE,
		    name, "not verified", 0 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		unsigned char digest[32];
		struct dns_tlsa record;
		struct host host;
		struct call call;
		const char *text;
		size_t length;

		host_start(&host, cases[i].hello);
		call_prepare(&call, &host, cases[i].level);
		call.options.host = cases[i].host_name;
		if (cases[i].trust == SYSTEM)
			assert_int_equal(tls_context_trust_system(
					     call.options.tls.context, NULL),
			    0);
		if (cases[i].trust >= DANE) {
			make_record(
			    &record, digest, cases[i].trust == WRONG_DANE);
			if (cases[i].trust == UNUSABLE_DANE)
				record.usage = 1;
			call.options.tls.tlsa = &record;
			call.options.tls.tlsa_count = 1;
		}
		call.session = session_open(&call.options, &call.failure);
		if ((call.session == NULL) != (cases[i].wanted == NULL))
			fail_msg("%s: %s", cases[i].name, call.failure.text);
		if (call.session != NULL) {
			text = session_tls_text(call.session);
			length = strlen(text) - strlen(cases[i].wanted);
			if (strlen(text) < strlen(cases[i].wanted) ||
			    strcmp(text + length, cases[i].wanted) != 0 ||
			    (*cases[i].wanted == '\0' && *text != '\0'))
				fail_msg("%s: '%s'", cases[i].name, text);
			assert_string_equal(
			    send_one(call.session, "a@b", 1), "K");
			assert_true(session_is_usable(call.session));
		} else if (call.failure.stage != STAGE_TLS ||
		    call.failure.tls_failure != cases[i].failure ||
		    call.failure.outcome != SESSION_TEMPFAIL)
			fail_msg("%s: %d, %s", cases[i].name,
			    call.failure.tls_failure, call.failure.text);
		call_end(&call);
		host_stop(&host);
	}
}

/* Opens a session, sends a message, and closes it: was it resumed? */
static bool
is_resumed(const struct session_options *options)
{
	struct session_result failure = { 0 };
	struct session *session = session_open(options, &failure);
	bool result;

	if (session == NULL)
		fail_msg("%s", failure.text);
	assert_string_equal(send_one(session, "a@b", 1), "K");
	result = strstr(session_tls_text(session), " (resumed) ") != NULL;
	session_close(&session);
	return result;
}

/* By one with the same proofs and credentials alone. */
static void
test_resumed(void **state)
{
	static const char *const names[] = { name };
	static const struct session_credentials credentials = { "u", "s",
		"PLAIN", false };
	struct host host;
	struct call call;
	unsigned char digest[32];
	struct dns_tlsa record;
	struct session_options options;
	struct tls_context *old;
	int i;

	(void)state;
	host_start(&host, "250-AUTH PLAIN\r\n250 STARTTLS\r\n");
	call_prepare(&call, &host, TLS_MAY);
	tls_context_trust_system(call.options.tls.context, NULL);
	make_record(&record, digest, false);
	/* Each the first time not, whatever there was before, then always. */
	for (i = 0; i < 2; i++) {
		options = call.options;
		assert_int_equal(is_resumed(&options), i);
		options.tls.is_examined = true;
		assert_int_equal(is_resumed(&options), i);
		options.tls.is_examined = false;
		options.tls.level = TLS_ENCRYPT;
		assert_int_equal(is_resumed(&options), i);
		options.tls.level = TLS_VERIFY;
		assert_int_equal(is_resumed(&options), i);
		options.tls.names = names;
		options.tls.name_count = 1;
		assert_int_equal(is_resumed(&options), i);
		options.tls.name_count = 0;
		options.tls.tlsa = &record;
		options.tls.tlsa_count = 1;
		assert_int_equal(is_resumed(&options), i);
		options = call.options;
		options.credentials = &credentials;
		assert_int_equal(is_resumed(&options), i);
		options.host = "another.example.test";
		assert_int_equal(is_resumed(&options), i);
	}
	/* What another context has seen does not count. */
	options = call.options;
	options.tls.context = tls_client_context_new(NULL);
	assert_false(is_resumed(&options));
	/* A host that has new keys does a whole handshake. */
	old = host.tls; /* the host may be about to end a connection by it */
	host.tls = tls_context_new(pem, NULL);
	assert_true(is_resumed(&options) == false && is_resumed(&options));
	tls_context_free(&options.tls.context);
	call_end(&call);
	host_stop(&host);
	tls_context_free(&old);
}

/* The host fails with what is resumed: once more, and never in plain. */
static void
test_resumption_breaks(void **state)
{
	struct host host;
	struct call call;
	int connections;

	(void)state;
	host_start(&host, "250 STARTTLS\r\n");
	call_prepare(&call, &host, TLS_MAY);
	assert_false(is_resumed(&call.options));
	/* The handshake with the ticket ends as it begins. */
	host.breaks_resumption = true;
	connections = host.connections;
	call.session = session_open(&call.options, &call.failure);
	assert_non_null(call.session);
	assert_int_equal(host.connections, connections + 2);
	assert_non_null(strstr(session_tls_text(call.session), "TLSv1.3"));
	call_end(&call);
	host_stop(&host);
}

/* One of several names does. */
static void
test_names(void **state)
{
	static const char *const names[] = { "example.test", name };
	struct host host;
	struct call call;

	(void)state;
	host_start(&host, "250 STARTTLS\r\n");
	call_prepare(&call, &host, TLS_VERIFY);
	call.options.host = "other.example.test";
	call.options.tls.names = names;
	call.options.tls.name_count = 2;
	tls_context_trust_system(call.options.tls.context, NULL);
	call.session = session_open(&call.options, &call.failure);
	assert_non_null(call.session);
	call_end(&call);
	host_stop(&host);
}

static const char *
send_requiring_tls(struct session *session)
{
	static char letter[2];
	struct session_recipient recipient = { "r@example.test", "" };
	struct session_result result;
	struct session_message message = { .sender = "a@b",
		.dsn = "",
		.header = "",
		.body = "x\n",
		.size_bytes = 2,
		.requires_tls = true,
		.recipients = &recipient,
		.recipient_count = 1 };

	session_send(session, &message, &result);
	letter[0] = (char)result.outcome;
	if (result.outcome != SESSION_DELIVERED)
		assert_non_null(strstr(result.text, "(#5.7.30)"));
	session_result_release(&result);
	return letter;
}

/* Only to a host that is verified and has REQUIRETLS. */
static void
test_requiretls(void **state)
{
	static const struct {
		const char *hello;
		enum tls_level level;
		const char *wanted;
	} cases[] = {
		{ "250-REQUIRETLS\r\n250 STARTTLS\r\n", TLS_VERIFY, "K" },
		{ "250-REQUIRETLS\r\n250 STARTTLS\r\n", TLS_MAY, "D" },
		{ "250 STARTTLS\r\n", TLS_VERIFY, "D" },
		{ "250 REQUIRETLS\r\n", TLS_MAY, "D" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct host host;
		struct call call;

		host_start(&host, cases[i].hello);
		call_prepare(&call, &host, cases[i].level);
		tls_context_trust_system(call.options.tls.context, NULL);
		call.session = session_open(&call.options, &call.failure);
		assert_non_null(call.session);
		assert_string_equal(
		    send_requiring_tls(call.session), cases[i].wanted);
		call_end(&call);
		host_stop(&host);
	}
}

/* What the sender wants to hear of its mail is for hosts with DSN. */
static void
test_dsn(void **state)
{
	static const struct {
		const char *hello, *mail, *rcpt;
	} cases[] = {
		{ "250 DSN\r\n", "MAIL FROM:<a@b> RET=HDRS ENVID=x",
		    "RCPT TO:<c@d> NOTIFY=NEVER" },
		{ "250 HELP\r\n", "MAIL FROM:<a@b>", "RCPT TO:<c@d>" },
	};
	struct session_recipient recipient = { "c@d", " NOTIFY=NEVER" };
	struct session_message message = { .sender = "a@b",
		.dsn = " RET=HDRS ENVID=x",
		.header = "",
		.body = "x\n",
		.size_bytes = 2,
		.recipients = &recipient,
		.recipient_count = 1 };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct session_result result;
		struct host host;
		struct call call;

		host_start(&host, cases[i].hello);
		call_prepare(&call, &host, TLS_NONE);
		call.session = session_open(&call.options, &call.failure);
		session_send(call.session, &message, &result);
		assert_int_equal(result.outcome, SESSION_DELIVERED);
		assert_int_equal(result.stage, STAGE_OVER);
		assert_int_equal(result.reply.code, 250);
		session_result_release(&result);
		call_end(&call);
		host_stop(&host);
		assert_string_equal(host.mail, cases[i].mail);
		assert_string_equal(host.rcpt, cases[i].rcpt);
	}
}

/* A token; a refusal comes as a challenge first, which is answered by nothing.
 */
static void
test_xoauth2(void **state)
{
	/* user=joe@example.test ^A auth=Bearer token ^A ^A */
	static const char wanted[] =
	    "AUTH XOAUTH2 dXNlcj1qb2VAZXhhbXBsZS50ZXN0AWF1dGg9QmVhcmVyIHRva2Vu"
	    "AQE=";
	static const char *const refusals[] = { NULL,
		"334 eyJzdGF0dXMiOiI0MDEifQ==\r\n" };
	struct session_credentials credentials = { "joe@example.test", "token",
		"xoauth2", false };
	size_t i;

	(void)state;
	for (i = 0; i < 2; i++) {
		struct host host;
		struct call call;

		host_start(&host, "250 AUTH PLAIN XOAUTH2\r\n");
		host.refusal = refusals[i];
		call_prepare(&call, &host, TLS_NONE);
		call.options.credentials = &credentials;
		call.session = session_open(&call.options, &call.failure);
		assert_int_equal(call.session == NULL, i == 1);
		if (i == 1) {
			assert_int_equal(call.failure.stage, STAGE_AUTH);
			assert_int_equal(call.failure.reply.code, 535);
		}
		call_end(&call);
		host_stop(&host);
		assert_string_equal(host.auth, wanted);
	}
}

static int
set_up(void **state)
{
	FILE *file;

	(void)state;
	folder = tempdir_make();
	pem = xasprintf("%s/host.pem", folder);
	key = EVP_EC_gen("P-256");
	cert = make_x509(key, name, 3600);
	file = fopen(pem, "w");
	PEM_write_X509(file, cert);
	PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL);
	fclose(file);
	/* the system's only authority */
	setenv("SSL_CERT_FILE", pem, 1);
	setenv("SSL_CERT_DIR", folder, 1);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	X509_free(cert);
	EVP_PKEY_free(key);
	free(pem);
	tempdir_remove(folder);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_messages),
		cmocka_unit_test(test_usable),
		cmocka_unit_test(test_tls),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_resumed),
		cmocka_unit_test(test_resumption_breaks),
		cmocka_unit_test(test_requiretls),
		cmocka_unit_test(test_dsn),
		cmocka_unit_test(test_xoauth2),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
