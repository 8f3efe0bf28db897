/* SPDX-License-Identifier: ISC */
/* One connection to a host that takes mail: its beginning and its end. */
#include "remote/session_private.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/listen_socket.h"
#include "base/mem.h"

enum { QUIT_MS = 1000 };

void
session_set_limit(struct session *session)
{
	int longest_ms = session->options.remote_ms;

	if (session->options.connect_ms > longest_ms)
		longest_ms = session->options.connect_ms;
	stream_set_limit(session->stream, clock_ms() + 2 * (int64_t)longest_ms);
}

enum reply_result
session_read(struct session *session, struct reply *reply_out,
    void (*each)(const char *line, void *context), void *context)
{
	enum reply_result result;

	/* A host may say why before it goes in the midst of a message. */
	if (stream_flush(session->stream) == STREAM_CLOSED) {
		session->is_over = true;
		stream_drop_output(session->stream);
	}
	result = reply_read(session->stream, reply_out, each, context);
	/* RFC 5321 4.2.2: with 421 the host closes the connection */
	if (result != REPLY_OK || reply_out->code == 421)
		session->is_over = true;
	return result;
}

void
session_put(struct session *session, const char *format, ...)
{
	struct buf line = BUF_INIT;
	char *text;
	va_list ap;

	va_start(ap, format);
	if (vasprintf(&text, format, ap) == -1)
		abort();
	va_end(ap);
	buf_adds(&line, text);
	buf_add(&line, "\r\n", 2);
	stream_write(session->stream, line.data, line.length);
	buf_release(&line);
	free(text);
}

enum session_outcome
session_outcome_of(const struct reply *reply)
{
	return reply->code >= 500 ? SESSION_PERMFAIL : SESSION_TEMPFAIL;
}

void
session_fill(const struct session *session, struct session_result *result,
    enum session_outcome outcome, enum session_stage stage,
    const struct reply *reply, const char *prefix, const char *phrase)
{
	*result = (struct session_result){
		.outcome = outcome, .stage = stage, .reply = *reply
	};
	result->text = xasprintf("%s%s %s.\nRemote host said: %s\n", prefix,
	    session->ip, phrase, reply->text);
}

void
session_fill_text(struct session_result *result, enum session_outcome outcome,
    enum session_stage stage, const char *format, ...)
{
	va_list ap;

	*result = (struct session_result){ .outcome = outcome, .stage = stage };
	va_start(ap, format);
	if (vasprintf(&result->text, format, ap) == -1)
		abort();
	va_end(ap);
}

void
session_fill_lost(const struct session *session, struct session_result *result,
    enum session_stage stage, bool is_sent, enum reply_result why,
    const struct reply *reply)
{
	const char *duplicate = is_sent ? "Possible duplicate! " : "";

	if (why == REPLY_GARBAGE)
		session_fill_text(result, SESSION_TEMPFAIL, stage,
		    "Connected to %s but its answer is none that I know. "
		    "%s(#4.5.0)\nRemote host said: %s\n",
		    session->ip, duplicate, reply->text);
	else if (why == REPLY_TIMEOUT)
		session_fill_text(result, SESSION_TEMPFAIL, stage,
		    "Connected to %s but connection died: no answer in time. "
		    "%s(#4.4.2)\n",
		    session->ip, duplicate);
	else
		session_fill_text(result, SESSION_TEMPFAIL, stage,
		    "Connected to %s but connection died. %s(#4.4.2)\n",
		    session->ip, duplicate);
}

void
session_result_release(struct session_result *result)
{
	free(result->text);
	result->text = NULL;
}

/* -- connecting */

static socklen_t
address_length(const struct session_options *options)
{
	return options->address->sa_family == AF_INET6
	    ? sizeof(struct sockaddr_in6)
	    : sizeof(struct sockaddr_in);
}

static int
bind_source(int fd, const struct session_options *options)
{
	if (options->source == NULL ||
	    options->source->sa_family != options->address->sa_family)
		return 0;
	return bind(fd, options->source, address_length(options));
}

/* 0, or -1 with errno. */
static int
connect_socket(int fd, const struct session_options *options)
{
	int64_t deadline_ms = clock_ms() + options->connect_ms;
	int one = 1, code;
	socklen_t length = sizeof(code);

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (bind_source(fd, options) == -1)
		return -1;
	if (connect(fd, options->address, address_length(options)) == 0)
		return 0;
	if (errno != EINPROGRESS)
		return -1;
	switch (clock_wait_fd(fd, POLLOUT, deadline_ms)) {
	case 0:
		errno = ETIMEDOUT;
		return -1;
	case -1:
		return -1;
	}
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &length) == -1)
		return -1;
	errno = code;
	return code == 0 ? 0 : -1;
}

struct session *
session_attach(int fd, const struct session_options *options)
{
	struct session *session = xcalloc(1, sizeof(*session));
	struct sockaddr_storage address = { 0 };
	char ip[INET6_ADDRSTRLEN];
	uint16_t port;

	session->options = *options;
	memcpy(&address, options->address, address_length(options));
	listen_socket_text(&address, ip, sizeof(ip), &port);
	snprintf(session->ip, sizeof(session->ip),
	    options->is_node ? "%.*s (%s)" : "%.*s%s",
	    options->is_node ? CLUSTER_NODE_NAME_MAX : 0, options->host, ip);
	session->fd = fd;
	session->stream = stream_new(fd, fd);
	stream_set_timeout(session->stream, options->remote_ms);
	session_set_limit(session);
	return session;
}

/* Whoever has no descriptors, address or network of its own learns nothing. */
static bool
is_of_peer(int code)
{
	return code == ETIMEDOUT || code == ECONNREFUSED ||
	    code == ECONNRESET || code == EHOSTUNREACH || code == EHOSTDOWN;
}

static void
fill_unreached(const struct session_options *options,
    struct session_result *failure_out, int code)
{
	struct sockaddr_storage address = { 0 };
	char ip[INET6_ADDRSTRLEN];
	uint16_t port;

	memcpy(&address, options->address, address_length(options));
	listen_socket_text(&address, ip, sizeof(ip), &port);
	session_fill_text(failure_out, SESSION_TEMPFAIL, STAGE_CONNECT,
	    "Sorry, I wasn't able to establish an SMTP connection. (#4.4.1)\n"
	    "%s%s%s port %u: %s\n",
	    options->is_node ? options->host : "",
	    options->is_node ? " at " : "", ip, port, strerror(code));
	failure_out->is_of_peer = is_of_peer(code);
}

/* By the address that the kernel gave the connection. */
static void
choose_helo(struct session *session)
{
	struct session_options *options = &session->options;
	struct sockaddr_storage ours;
	socklen_t length = sizeof(ours);
	const char *name;

	if (options->source != NULL || options->find_helo == NULL ||
	    getsockname(session->fd, (struct sockaddr *)&ours, &length) == -1)
		return;
	name = options->find_helo(
	    options->find_helo_context, (const struct sockaddr *)&ours);
	if (name != NULL)
		options->helo = name;
}

static struct session *
session_connect(
    const struct session_options *options, struct session_result *failure_out)
{
	struct session *session;
	int fd = socket(options->address->sa_family,
	    SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd == -1 || connect_socket(fd, options) == -1) {
		fill_unreached(options, failure_out, errno);
		if (fd != -1)
			close(fd);
		return NULL;
	}
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
	session = session_attach(fd, options);
	choose_helo(session);
	return session;
}

/* -- TLS */

static void
note_tls(struct session *session)
{
	static const char *const proofs[] = {
		[TLS_PROOF_NONE] = "not verified",
		[TLS_PROOF_AUTHORITIES] = "verified by authorities",
		[TLS_PROOF_DANE] = "verified by dane",
		[TLS_PROOF_PIN] = "verified by its pin",
	};

	snprintf(session->tls_text, sizeof(session->tls_text), "%s %s%s %s",
	    stream_tls_version(session->stream),
	    stream_tls_cipher(session->stream),
	    stream_tls_resumption(session->stream) == TLS_RESUMPTION_DONE
		? " (resumed)"
		: "",
	    proofs[stream_tls_proof(session->stream)]);
}

/* struct tls_peer, scope */
static char *
tls_scope(const struct session *session)
{
	const struct session_options *options = &session->options;
	struct sockaddr_storage address = { 0 };
	char ip[INET6_ADDRSTRLEN], source[INET6_ADDRSTRLEN] = "";
	uint16_t port, source_port;

	if (options->source != NULL) {
		memcpy(&address, options->source,
		    options->source->sa_family == AF_INET6
			? sizeof(struct sockaddr_in6)
			: sizeof(struct sockaddr_in));
		listen_socket_text(
		    &address, source, sizeof(source), &source_port);
	}
	memcpy(&address, options->address, address_length(options));
	listen_socket_text(&address, ip, sizeof(ip), &port);
	return xasprintf("%d %d %s %u %s %s", (int)options->tls.level,
	    (int)options->transport, ip, port, source,
	    options->credentials == NULL ? "" : options->credentials->user);
}

/* The handshake.  0, or -1 with *failure_out; then the session is over. */
static int
start_tls(struct session *session, struct session_result *failure_out)
{
	const struct session_tls *tls = &session->options.tls;
	struct tls_dane_record *records = xcalloc(
	    tls->tlsa_count + 1, sizeof(*records));
	AUTO(mem_free)
	char *scope = session->may_resume_tls ? tls_scope(session) : NULL;
	struct tls_peer peer = { .host = session->options.host,
		.scope = scope,
		.is_verified = tls->level == TLS_VERIFY,
		.is_examined = tls->is_examined,
		.authorities_path = tls->authorities_path,
		.names = tls->names,
		.name_count = tls->name_count,
		.pins = tls->pins,
		.records = records,
		.record_count = tls->tlsa_count };
	struct error err = { "" };
	enum stream_result result;
	size_t i;

	for (i = 0; i < tls->tlsa_count; i++)
		records[i] = (struct tls_dane_record){ tls->tlsa[i].usage,
			tls->tlsa[i].selector, tls->tlsa[i].matching,
			tls->tlsa[i].data, tls->tlsa[i].length };
	result = stream_start_tls_with(session->stream, tls->context, &peer,
	    session->options.remote_ms, &err);
	free(records);
	if (result == STREAM_OK) {
		note_tls(session);
		session->tls_failure = stream_tls_failure(session->stream);
		return 0;
	}
	session->is_over = true;
	session_fill_text(failure_out, SESSION_TEMPFAIL, STAGE_TLS,
	    "Connected to %s but TLS failed: %s. (#4.7.5)\n", session->ip,
	    err.text);
	failure_out->tls_failure = stream_tls_failure(session->stream);
	if (failure_out->tls_failure == TLS_FAILURE_NONE)
		failure_out->tls_failure = TLS_FAILURE_OTHER;
	/* A certificate that does not do was of a whole handshake. */
	failure_out->was_resuming = failure_out->tls_failure ==
		TLS_FAILURE_OTHER &&
	    stream_tls_resumption(session->stream) != TLS_RESUMPTION_NONE;
	return -1;
}

static int
fail_without_tls(struct session *session, struct session_result *failure_out)
{
	session_fill_text(failure_out, SESSION_TEMPFAIL, STAGE_TLS,
	    "Connected to %s but it offers no TLS, without which I may not "
	    "send. (#4.7.10)\n",
	    session->ip);
	failure_out->tls_failure = TLS_FAILURE_NOT_OFFERED;
	return -1;
}

/* -- the greeting, EHLO */

/* Takes what a read has brought; 0 when the reply is of class 2. */
static int
check_reply(struct session *session, enum reply_result result,
    const struct reply *reply, enum session_stage stage, const char *phrase,
    struct session_result *failure_out)
{
	if (result != REPLY_OK)
		session_fill_lost(
		    session, failure_out, stage, false, result, reply);
	else if (reply->code >= 300)
		/* What a host says of itself is not of the message. */
		session_fill(session, failure_out, SESSION_TEMPFAIL, stage,
		    reply, "Connected to ", phrase);
	else
		return 0;
	return -1;
}

static int
read_greeting(struct session *session, struct session_result *failure_out)
{
	struct reply reply;
	enum reply_result result = session_read(session, &reply, NULL, NULL);

	return check_reply(session, result, &reply, STAGE_GREETING,
	    "but greeting failed", failure_out);
}

static int
say_hello(struct session *session, struct session_result *failure_out)
{
	bool is_lmtp = session->options.transport == SESSION_LMTP;
	struct reply reply;
	enum reply_result result;

	/* RFC 3207 4.2: nothing from before TLS counts */
	session->hello = (struct hello){ 0 };
	session_put(
	    session, "%s %s", is_lmtp ? "LHLO" : "EHLO", session->options.helo);
	result = session_read(session, &reply, hello_line, &session->hello);
	if (!is_lmtp && result == REPLY_OK && reply.code >= 500) {
		session->hello = (struct hello){ 0 };
		session_put(session, "HELO %s", session->options.helo);
		result = session_read(session, &reply, NULL, NULL);
	}
	return check_reply(session, result, &reply, STAGE_HELO,
	    "but my name was rejected", failure_out);
}

/* Between the two EHLOs.  1: TLS is there; 0: it is not, and may be not; -1 */
static int
ask_for_tls(struct session *session, struct session_result *failure_out)
{
	enum tls_level level = session->options.tls.level;
	struct reply reply;
	enum reply_result result;

	if (!session->tries_tls)
		return 0;
	if (!session->hello.has_starttls) {
		session->tls_failure = TLS_FAILURE_NOT_OFFERED;
		return level == TLS_MAY
		    ? 0
		    : fail_without_tls(session, failure_out);
	}
	session_put(session, "STARTTLS");
	result = session_read(session, &reply, NULL, NULL);
	if (result == REPLY_OK && reply.code >= 300 && level == TLS_MAY &&
	    !session->is_over) {
		session->tls_failure = TLS_FAILURE_OTHER;
		return 0;
	}
	if (check_reply(session, result, &reply, STAGE_TLS,
		"but STARTTLS was rejected", failure_out) == -1) {
		failure_out->tls_failure = TLS_FAILURE_OTHER;
		return -1;
	}
	return start_tls(session, failure_out) == 0 ? 1 : -1;
}

/* A node that takes us for none would take our mail as a stranger's. */
static int
check_node(struct session *session, struct session_result *failure_out)
{
	if (!session->options.is_node || session->hello.has_xnode)
		return 0;
	session_fill_text(failure_out, SESSION_TEMPFAIL, STAGE_HELO,
	    "Connected to %s but it does not take me for a node of its "
	    "cluster. (#4.7.0)\n",
	    session->ip);
	return -1;
}

/* After the last reply there is nothing: else each would be another's. */
static int
check_step(struct session *session, struct session_result *failure_out)
{
	const struct reply nothing = { 0 };

	if (session_is_in_step(session))
		return 0;
	session->is_over = true;
	session_fill_lost(
	    session, failure_out, STAGE_HELO, false, REPLY_GARBAGE, &nothing);
	return -1;
}

int
session_greet(struct session *session, struct session_result *failure_out)
{
	bool is_wrapped = session->options.tls.is_wrapped;
	int has_tls;

	if (is_wrapped && start_tls(session, failure_out) == -1)
		return -1;
	if (session->options.transport == SESSION_QMTP)
		return is_wrapped || session->options.tls.level <= TLS_MAY
		    ? 0
		    : fail_without_tls(session, failure_out);
	if (read_greeting(session, failure_out) == -1 ||
	    say_hello(session, failure_out) == -1)
		return -1;
	if (!is_wrapped) {
		has_tls = ask_for_tls(session, failure_out);
		if (has_tls == -1 ||
		    (has_tls == 1 && say_hello(session, failure_out) == -1))
			return -1;
	}
	if (session->options.credentials != NULL &&
	    session_authenticate(session, failure_out) == -1)
		return -1;
	return check_node(session, failure_out) == -1
	    ? -1
	    : check_step(session, failure_out);
}

enum tls_try { TRY_PLAIN, TRY_NEW_TLS, TRY_TLS };

static struct session *
open_once(const struct session_options *options, enum tls_try tls_try,
    struct session_result *failure_out)
{
	struct session *session = session_connect(options, failure_out);

	if (session == NULL)
		return NULL;
	session->tries_tls = tls_try != TRY_PLAIN;
	session->may_resume_tls = tls_try == TRY_TLS;
	if (session_greet(session, failure_out) == -1)
		session_close(&session);
	return session;
}

struct session *
session_open(
    const struct session_options *options, struct session_result *failure_out)
{
	enum tls_failure failure;
	struct session *session = open_once(options,
	    options->tls.level == TLS_NONE ? TRY_PLAIN : TRY_TLS, failure_out);

	if (session == NULL && failure_out->was_resuming) {
		session_result_release(failure_out);
		session = open_once(options, TRY_NEW_TLS, failure_out);
	}
	if (session != NULL || failure_out->stage != STAGE_TLS ||
	    options->tls.level != TLS_MAY || options->tls.is_wrapped)
		return session;
	/* RFC 7435: better in plain than not at all */
	failure = failure_out->tls_failure;
	session_result_release(failure_out);
	session = open_once(options, TRY_PLAIN, failure_out);
	if (session != NULL)
		session->tls_failure = failure;
	return session;
}

bool
session_is_in_step(const struct session *session)
{
	static const char closing[] = "421";
	char piece[sizeof(closing) - 1];
	const char *data = piece;
	size_t length = 0;
	ssize_t n;

	if (stream_has_input(session->stream))
		stream_peek(session->stream, &data, &length);
	else if (session->tls_text[0] == '\0') {
		n = recv(session->fd, piece, sizeof(piece),
		    MSG_PEEK | MSG_DONTWAIT);
		length = n > 0 ? (size_t)n : 0;
	}
	return memcmp(data, closing,
		   length < sizeof(piece) ? length : sizeof(piece)) == 0;
}

bool
session_is_usable(const struct session *session)
{
	char byte;

	if (session->is_over || stream_has_input(session->stream) ||
	    (session->hello.mail_max > 0 &&
		session->mail_count >= session->hello.mail_max))
		return false;
	/* Whatever has come now is EOF, 421 or nonsense. */
	return recv(session->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == -1 &&
	    (errno == EAGAIN || errno == EWOULDBLOCK);
}

void
session_send(struct session *session, const struct session_message *message,
    struct session_result *results_out)
{
	session_set_limit(session);
	if (session->options.transport == SESSION_QMTP)
		session_send_qmtp(session, message, results_out);
	else
		session_send_smtp(session, message, results_out);
	stream_rest(session->stream);
}

const char *
session_tls_text(const struct session *session)
{
	return session->tls_text;
}

enum tls_failure
session_tls_failure(const struct session *session)
{
	return session->tls_failure;
}

void
session_close(struct session **session_in)
{
	struct session *session = *session_in;

	if (session == NULL)
		return;
	if (!session->is_over && session->options.transport != SESSION_QMTP) {
		stream_set_limit(session->stream, clock_ms() + QUIT_MS);
		session_put(session, "QUIT");
		stream_flush(session->stream);
	}
	stream_free(&session->stream);
	close(session->fd);
	free(session);
	*session_in = NULL;
}
