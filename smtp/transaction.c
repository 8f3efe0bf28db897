/* SPDX-License-Identifier: ISC */
/* From MAIL to the end of DATA. */
#include <assert.h>
#include <string.h>

#include "base/log.h"
#include "base/scan.h"
#include "queue/exitcode.h"
#include "smtp/session_private.h"
#include "smtp/text.h"

void
smtp_transaction_reset(struct smtp_session *session)
{
	struct smtp_transaction *transaction = &session->transaction;

	sink_abort(&transaction->sink);
	if (transaction->message.is_originated)
		originate_release(&transaction->message.originate);
	if (transaction->has_vars)
		vars_release(&transaction->vars);
	arena_reset(&transaction->arena);
	smtp_server_give_memory(session->server, transaction->taken_bytes);
	memset(transaction, 0, sizeof(*transaction));
}

struct vars *
smtp_transaction_vars(struct smtp_session *session)
{
	return session->transaction.has_vars ? &session->transaction.vars
					     : session->vars;
}

struct vars *
smtp_transaction_own_vars(struct smtp_session *session)
{
	struct smtp_transaction *transaction = &session->transaction;
	size_t i;

	assert(transaction->sink == NULL); /* it has borrowed the others */
	if (transaction->has_vars)
		return &transaction->vars;
	transaction->has_vars = true;
	transaction->vars = (struct vars)VARS_INIT;
	for (i = 0; i < session->vars->count; i++)
		vars_set(&transaction->vars, session->vars->entries[i].name,
		    session->vars->entries[i].value);
	return &transaction->vars;
}

int
smtp_transaction_number(struct smtp_session *session, const char *name,
    uint64_t standard, uint64_t *value_out)
{
	const char *text = vars_get(smtp_transaction_vars(session), name);

	*value_out = standard;
	if (text == NULL || text[0] == '\0' ||
	    scan_u64(text, INT64_MAX, value_out))
		return 0;
	smtp_log(session,
	    "variable %s is no number: correct the access rules "
	    "or envrules",
	    name);
	return -1;
}

bool
smtp_transaction_set_limits(struct smtp_session *session)
{
	const struct smtp_config *config = session->config;
	struct smtp_transaction *transaction = &session->transaction;

	if (smtp_transaction_number(session, "DATABYTES", config->databytes,
		&transaction->max_bytes) == 0 &&
	    smtp_transaction_number(session, "MAXRECIPIENTS",
		config->maxrecipients, &transaction->max_recipients) == 0)
		return true;
	smtp_reply(session, 451, "4.3.0", "Sorry, I'm unable to read controls");
	return false;
}

bool
smtp_session_has_dsn(const struct smtp_session *session)
{
	const char *program = vars_get(session->vars, "QMAILQUEUE");

	return program == NULL || program[0] == '\0';
}

bool
smtp_session_has_requiretls(const struct smtp_session *session)
{
	return smtp_session_has_dsn(session) &&
	    stream_tls_version(session->stream) != NULL &&
	    (session->kind->is_node ||
		settings_flag(
		    session->config->settings, SETTING_requiretls));
}

uint64_t
smtp_session_longest_hold(struct smtp_session *session)
{
	uint64_t longest_s;

	if (!session->kind->is_submission || !smtp_session_has_dsn(session) ||
	    smtp_transaction_number(session, "FUTURERELEASE",
		settings_number(
		    session->config->settings, SETTING_futurerelease),
		&longest_s) == -1)
		return 0;
	return longest_s < DSN_HOLD_MAX_S ? longest_s : DSN_HOLD_MAX_S;
}

void
smtp_transaction_add(struct smtp_session *session, const char *address,
    const char *dsn, bool is_relayed)
{
	struct smtp_transaction *transaction = &session->transaction;
	size_t count = transaction->recipient_count;

	if (count == transaction->recipient_room) {
		size_t room = count == 0 ? 4 : 2 * count;
		struct smtp_recipient *recipients = arena_alloc(
		    &transaction->arena, room * sizeof(*recipients));

		if (count > 0)
			memcpy(recipients, transaction->recipients,
			    count * sizeof(*recipients));
		transaction->recipients = recipients;
		transaction->recipient_room = room;
	}
	transaction->recipients[count] = (struct smtp_recipient){
		.address = arena_strdup(&transaction->arena, address),
		.dsn = arena_strdup(&transaction->arena, dsn),
		.is_relayed = is_relayed,
	};
	transaction->recipient_count++;
	transaction->recipient_bytes += strlen(address) + strlen(dsn) +
	    SMTP_RECIPIENT_BYTES;
}

const char *
smtp_transaction_obstacle(const struct smtp_session *session)
{
	if (!session->transaction.is_open)
		return "MAIL first";
	return session->transaction.recipient_count == 0 ? "RCPT first" : NULL;
}

int
smtp_transaction_open_sink(struct smtp_session *session)
{
	const struct smtp_transaction *transaction = &session->transaction;
	struct uuid uuid;

	if (transaction->sink != NULL)
		return QQ_OK;
	if (!uuid_is_none(&transaction->uuid))
		smtp_node_uuid(session, &uuid);
	return sink_open(session->server->sinks, smtp_transaction_vars(session),
	    uuid_is_none(&transaction->uuid) ? NULL : &uuid,
	    &session->transaction.sink);
}

void
smtp_reply_qq(struct smtp_session *session, int result, const char *text)
{
	bool is_permanent = qq_is_permanent(result);
	bool is_full = result == QQ_WRITE_ERROR || result == QQ_OUT_OF_MEMORY;
	int code = is_permanent ? 554 : is_full ? 452 : 451;
	char status[16];
	size_t length;
	const char *found = smtp_text_status(text, &length);

	/* RFC 2034 4: the first digits of code and status are the same. */
	if (found == NULL || found[0] != (is_permanent ? '5' : '4')) {
		found = is_permanent ? "5.3.0" : "4.3.0";
		length = 5;
	}
	memcpy(status, found, length);
	status[length] = '\0';
	smtp_reply_line(session, code, true, status, text);
}
