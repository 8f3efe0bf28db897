/* SPDX-License-Identifier: ISC */
/* The message of a transaction: from its bytes to the queue. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "queue/exitcode.h"
#include "smtp/received.h"
#include "smtp/session_private.h"

static bool
is_bare_lf_refused(const struct smtp_message *message)
{
	return message->body.has_bare_lf && !message->allows_bare_lf;
}

/* RFC 1870 3: CRLF counts as two, a dot that was doubled as one. */
static uint64_t
count_octets(const struct smtp_message *message)
{
	return message->size_bytes + message->body.line_ends;
}

/* A message that grows takes more memory, until the sink keeps no more of it.
 */
static bool
take_large(struct smtp_session *session)
{
	struct smtp_message *message = &session->transaction.message;

	if (message->is_large || message->size_bytes <= SMTP_SMALL_BYTES)
		return true;
	message->is_large = true;
	return smtp_session_take_memory(
	    session, SMTP_LARGE_BYTES, &session->transaction.taken_bytes);
}

/* smtp_body's emit: the bytes go to the queue while nothing speaks against. */
static void
store_bytes(void *context, const char *data, size_t length)
{
	struct smtp_session *session = context;
	struct smtp_message *message = &session->transaction.message;

	if (message->refusal != SMTP_REFUSAL_NONE)
		return; /* the sink has gone */
	message->size_bytes += length;
	smtp_hops_read(&message->hops, data, length);
	if (message->sink_result != QQ_OK ||
	    count_octets(message) > message->max_bytes ||
	    message->hops.count >= session->config->maxhops ||
	    is_bare_lf_refused(message))
		return;
	message->sink_result = take_large(session)
	    ? sink_write(session->transaction.sink, data, length)
	    : QQ_OUT_OF_MEMORY;
}

static int
write_received_field(struct smtp_session *session)
{
	const struct smtp_message *message = &session->transaction.message;
	const struct smtp_peer *peer = session->peer;
	const struct login_user *user = smtp_session_user(session);
	char id[UUID_TEXT_SIZE];
	struct smtp_received received = {
		.helo = session->helo,
		.remote_host = peer->remote_host,
		.remote_info = user != NULL   ? user->address
		    : session->node[0] != '\0' ? session->node
					      : peer->remote_info,
		.remote_ip = peer->remote_ip,
		.tls_version = stream_tls_version(session->stream),
		.tls_cipher = stream_tls_cipher(session->stream),
		.tls_bits = stream_tls_bits(session->stream),
		.protocol = session->kind->is_qmqp ? "QMQP"
		    : session->kind->is_qmtp       ? "QMTP"
						   : NULL,
		.is_lmtp = session->kind->is_lmtp,
		.is_extended = session->is_extended,
		.is_utf8 = session->transaction.is_utf8,
		.is_authenticated = user != NULL,
		.id = id,
		.cluster_hops = session->transaction.cluster_hops,
		.when = message->when,
	};
	AUTO(buf_release) struct buf buf = BUF_INIT;

	received.by = peer->local_host != NULL ? peer->local_host
	    : session->config->name[0] != '\0' ? session->config->name
	    : peer->local_ip[0] != '\0'        ? peer->local_ip
					       : "unknown";
	uuid_format(sink_uuid(session->transaction.sink), id);
	smtp_received_put(&buf, &received);
	return sink_write(session->transaction.sink, buf.data, buf.length);
}

/* smtp_body's emit: the same with the header that a submission gets. */
static void
change_bytes(void *context, const char *data, size_t length)
{
	struct smtp_session *session = context;

	originate_read(
	    &session->transaction.message.originate, data, length);
}

static void
begin_originate(struct smtp_session *session)
{
	const struct smtp_config *config = session->config;
	const struct login_user *user = smtp_session_user(session);
	struct smtp_transaction *transaction = &session->transaction;
	struct smtp_message *message = &transaction->message;
	const char *me = config->name[0] != '\0' ? config->name : "unknown";
	const char *host = settings_text(
	    config->settings, SETTING_defaulthost);
	char id[UUID_TEXT_SIZE];

	uuid_format(&message->uuid, id);
	if (host[0] == '\0' && user != NULL)
		host = user->domain;
	message->is_originated = true;
	originate_init(&message->originate,
	    &(const struct originate_options){
		.host = host[0] != '\0' ? host : me,
		.domain = settings_text(
		    config->settings, SETTING_defaultdomain),
		.from = transaction->sender[0] != '\0' || user == NULL
		    ? transaction->sender
		    : user->address,
		.id = arena_strdup(&transaction->arena, id),
		.me = me,
		.when = message->when,
		.keeps_authors = settings_flag(
		    config->settings, SETTING_checkfrom),
	    },
	    store_bytes, session);
}

/* So that its way can be followed over nodes. */
static void
log_names(const struct smtp_session *session)
{
	char theirs[UUID_TEXT_SIZE], ours[UUID_TEXT_SIZE];

	uuid_format(&session->transaction.uuid, theirs);
	uuid_format(&session->transaction.message.uuid, ours);
	smtp_log(session, "node %s sends %s, here %s", session->node, theirs,
	    ours);
}

bool
smtp_message_begin(struct smtp_session *session, bool is_dotted)
{
	struct smtp_transaction *transaction = &session->transaction;
	struct smtp_message *message = &transaction->message;
	int result = QQ_OK;

	*message = (struct smtp_message){
		.hops = SMTP_HOPS_INIT,
		.max_bytes = transaction->max_bytes == 0
		    ? UINT64_MAX
		    : transaction->max_bytes,
		/* A package ends by its length, whatever is in it. */
		.allows_bare_lf = session->answer != NULL ||
		    vars_get(smtp_transaction_vars(session), "ALLOW_BARELF") !=
			NULL,
		.has_own_authors = 1,
		.when = time(NULL),
		.qp = smtp_server_next_qp(session->server),
	};
	smtp_body_init(&message->body, is_dotted,
	    session->kind->is_submission ? change_bytes : store_bytes, session);
	if (!smtp_session_take_memory(
		session, SMTP_MESSAGE_BYTES, &transaction->taken_bytes))
		result = QQ_OUT_OF_MEMORY;
	if (result == QQ_OK)
		result = smtp_transaction_open_sink(session);
	if (result == QQ_OK)
		message->uuid = *sink_uuid(transaction->sink);
	if (result == QQ_OK && !uuid_is_none(&transaction->uuid))
		log_names(session);
	if (result == QQ_OK)
		result = write_received_field(session);
	message->sink_result = result;
	if (session->kind->is_submission)
		begin_originate(session);
	return result == QQ_OK;
}

static enum smtp_refusal
find_refusal(const struct smtp_session *session)
{
	const struct smtp_message *message = &session->transaction.message;

	if (is_bare_lf_refused(message))
		return SMTP_REFUSAL_BARE_LF;
	if (count_octets(message) > message->max_bytes)
		return SMTP_REFUSAL_SIZE;
	if (message->hops.count >= session->config->maxhops)
		return SMTP_REFUSAL_HOPS;
	if (message->has_own_authors != 1)
		return message->has_own_authors == 0
		    ? SMTP_REFUSAL_AUTHOR
		    : SMTP_REFUSAL_AUTHOR_UNKNOWN;
	if (message->sink_result != QQ_OK)
		return SMTP_REFUSAL_SINK;
	return SMTP_REFUSAL_NONE;
}

static void
log_sink_refusal(const struct smtp_session *session)
{
	int result = session->transaction.message.sink_result;
	struct sink_outcome outcome = { .id = 0 };

	snprintf(outcome.text, sizeof(outcome.text), "%s", qq_text(result));
	smtp_log_result(session, result, &outcome);
}

static void
log_refusal(const struct smtp_session *session)
{
	const struct smtp_message *message = &session->transaction.message;

	switch (message->refusal) {
	case SMTP_REFUSAL_NONE:
		break;
	case SMTP_REFUSAL_BARE_LF:
		smtp_log_refused(session, "Bare LF received", NULL, NULL, NULL);
		break;
	case SMTP_REFUSAL_SIZE:
		smtp_log_too_large(
		    session, count_octets(message), message->max_bytes);
		break;
	case SMTP_REFUSAL_HOPS:
		smtp_log_refused(session, "too many hops", NULL, NULL, NULL);
		break;
	case SMTP_REFUSAL_AUTHOR:
		smtp_log_refused(session, "Invalid masquerade", NULL, NULL,
		    "the header's From or Sender");
		break;
	case SMTP_REFUSAL_AUTHOR_UNKNOWN: /* the policy has */
		break;
	case SMTP_REFUSAL_SINK:
		log_sink_refusal(session);
		break;
	}
}

static void
reply_refusal(struct smtp_session *session)
{
	int result = session->transaction.message.sink_result;

	switch (session->transaction.message.refusal) {
	case SMTP_REFUSAL_NONE:
		break;
	case SMTP_REFUSAL_BARE_LF:
		/*
		 * The reference has 451 (#4.6.0) here.  The bytes will be the
		 * same next time, so that would only keep the sender waiting.
		 */
		smtp_reply(session, 554, "5.6.0", "Sorry, I received Bare LF.");
		break;
	case SMTP_REFUSAL_SIZE:
		smtp_reply(session, 552, "5.3.4",
		    "sorry, that message size exceeds my databytes limit");
		break;
	case SMTP_REFUSAL_HOPS:
		smtp_reply(session, 554, "5.4.6",
		    "too many hops, this message is looping");
		break;
	case SMTP_REFUSAL_AUTHOR:
		smtp_reply(session, 550, "5.7.1",
		    "sorry, From and Sender must be addresses of yours, auth %s",
		    session->auth_name);
		break;
	case SMTP_REFUSAL_AUTHOR_UNKNOWN:
		smtp_reply(session, 451, "4.3.2",
		    "Sorry, I got a temporary database error");
		break;
	case SMTP_REFUSAL_SINK:
		smtp_reply_qq(session, result,
		    result == QQ_OUT_OF_MEMORY ? SMTP_NO_MEMORY " (#4.3.1)"
					       : qq_text(result));
		break;
	}
}

/*
 * What a chunk was refused for is the answer to all that follow it, so that
 * what may be tried again does not end as 503 (RFC 3030 2 says only that they
 * are discarded).
 */
bool
smtp_message_refuse(struct smtp_session *session)
{
	struct smtp_message *message = &session->transaction.message;

	if (message->refusal == SMTP_REFUSAL_NONE) {
		message->refusal = find_refusal(session);
		if (message->refusal == SMTP_REFUSAL_NONE)
			return false;
		log_refusal(session);
		sink_abort(&session->transaction.sink);
	}
	reply_refusal(session);
	return true;
}

static int
commit_message(struct smtp_session *session, struct sink_outcome *outcome)
{
	struct smtp_transaction *transaction = &session->transaction;
	const char **addresses = arena_alloc(&transaction->arena,
	    transaction->recipient_count * sizeof(*addresses));
	const char **dsn = arena_alloc(
	    &transaction->arena, transaction->recipient_count * sizeof(*dsn));
	struct sink_envelope envelope = {
		.sender = transaction->sender,
		.recipients = addresses,
		.recipient_count = transaction->recipient_count,
		.dsn = transaction->dsn,
		.recipient_dsn = dsn,
		.qp = transaction->message.qp,
	};
	size_t i;

	for (i = 0; i < transaction->recipient_count; i++) {
		addresses[i] = transaction->recipients[i].address;
		dsn[i] = transaction->recipients[i].dsn;
	}
	return sink_commit(&transaction->sink, &envelope, outcome);
}

static void
commit_and_reply(struct smtp_session *session, size_t replies)
{
	const struct smtp_message *message = &session->transaction.message;
	struct sink_outcome outcome;
	int result = commit_message(session, &outcome);

	smtp_log_result(session, result, &outcome);
	while (replies-- > 0)
		if (result == QQ_OK)
			smtp_reply(session, 250, "2.0.0", "ok %lld qp %lu",
			    (long long)message->when, message->qp);
		else
			smtp_reply_qq(session, result, outcome.text);
	if (result == QQ_OK)
		session->errors = session->bad_recipients =
		    session->deferred_recipients = 0;
}

void
smtp_message_finish(struct smtp_session *session)
{
	struct smtp_message *message = &session->transaction.message;
	/* RFC 2033 4.2 */
	size_t replies = session->kind->is_lmtp
	    ? session->transaction.recipient_count
	    : 1;

	if (message->is_originated) {
		originate_finish(&message->originate);
		if (find_refusal(session) == SMTP_REFUSAL_NONE)
			message->has_own_authors = smtp_policy_authors(
			    session, &message->originate);
	}
	if (smtp_message_refuse(session))
		while (--replies > 0)
			reply_refusal(session);
	else
		commit_and_reply(session, replies);
	smtp_transaction_reset(session);
}
