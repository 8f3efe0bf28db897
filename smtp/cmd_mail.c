/* SPDX-License-Identifier: ISC */
/*
 * MAIL (RFC 5321 4.1.1.2, RFC 1870, RFC 3461, RFC 4865, RFC 4954 5, RFC 6152,
 * RFC 6531, RFC 8689).
 */
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "smtp/session_private.h"

bool
smtp_read_path(struct smtp_session *session, const struct smtp_line *line,
    const char *keyword, struct smtp_address *address_out,
    const char **params_out)
{
	enum smtp_address_result result = SMTP_ADDRESS_SYNTAX;
	size_t length = strlen(keyword), used = 0;
	const char *path = line->argument + length;
	const char *end = line->argument + line->argument_length;

	if (line->argument_length >= length &&
	    strncasecmp(line->argument, keyword, length) == 0) {
		/* Not in the grammar, but common: a blank before the path. */
		while (path < end && (*path == ' ' || *path == '\t'))
			path++;
		result = smtp_address_parse(
		    path, (size_t)(end - path), address_out, &used);
	}
	if (result == SMTP_ADDRESS_OK) {
		*params_out = path + used;
		return true;
	}
	smtp_log_syntax(session, line->argument, line->argument_length);
	if (result == SMTP_ADDRESS_TOO_LONG) /* RFC 5321 4.5.3.1.10 */
		smtp_reply_error(
		    session, 501, "5.1.3", "sorry, that address is too long");
	else
		smtp_reply_error(
		    session, 555, "5.1.3", "syntax error in address");
	return false;
}

bool
smtp_params_are_ok(struct smtp_session *session, const char *text,
    size_t length, enum smtp_params_result result)
{
	if (result == SMTP_PARAMS_OK)
		return true;
	smtp_log_syntax(session, text, length);
	if (result == SMTP_PARAMS_SYNTAX)
		smtp_reply_error(
		    session, 501, "5.5.4", "invalid parameter syntax");
	else
		smtp_reply_error(
		    session, 555, "5.5.4", "parameter not implemented");
	return false;
}

static const char *
keep_dsn(struct smtp_session *session, const struct dsn_message *dsn)
{
	struct buf text;
	const char *kept;

	buf_init(&text);
	dsn_put_message(&text, dsn);
	kept = arena_strdup(&session->transaction.arena, text.data);
	buf_release(&text);
	return kept;
}

static bool
has_auth(struct smtp_session *session)
{
	AUTO(buf_release) struct buf names = BUF_INIT;

	return smtp_session_put_auth(session, &names);
}

static bool
has_hold(const struct dsn_message *dsn)
{
	return dsn->hold_until != 0 || dsn->hold_for_s != 0;
}

/* A time that is over is no hold. */
static bool
set_hold(struct smtp_session *session, struct dsn_message *dsn)
{
	time_t now = time(NULL);
	uint64_t longest_s = smtp_session_longest_hold(session);
	bool is_for = dsn->hold_for_s > 0;

	if (is_for) /* this second may be almost over: not a second less */
		dsn->hold_until = now + (time_t)dsn->hold_for_s + 1;
	if (dsn->hold_until <= now)
		dsn->hold_until = 0;
	if (is_for ? dsn->hold_for_s <= longest_s
		   : dsn->hold_until <= now + (time_t)longest_s)
		return true;
	smtp_reply_error(session, 554, "5.5.4",
	    "sorry, I do not hold a message for so long");
	return false;
}

static bool
read_params(struct smtp_session *session, const char *text, const char *end,
    struct smtp_mail_params *params_out)
{
	enum smtp_params_result result = smtp_mail_params_parse(
	    text, (size_t)(end - text), params_out);

	/* Who said HELO was offered none (RFC 5321 3.2). */
	if (result == SMTP_PARAMS_OK &&
	    ((!session->is_extended && text != end) ||
		((params_out->dsn.has_ret || params_out->dsn.envid != NULL) &&
		    !smtp_session_has_dsn(session)) ||
		(params_out->dsn.needs_tls &&
		    !smtp_session_has_requiretls(session)) ||
		(has_hold(&params_out->dsn) &&
		    smtp_session_longest_hold(session) == 0) ||
		((!uuid_is_none(&params_out->uuid) || params_out->hops != 0) &&
		    session->node[0] == '\0') ||
		(params_out->has_auth && !has_auth(session))))
		result = SMTP_PARAMS_UNKNOWN;
	return smtp_params_are_ok(session, text, (size_t)(end - text), result);
}

/* What rules set for this sender, and the limits that follow. */
static bool
apply_from_rules(struct smtp_session *session, const char *sender)
{
	const struct smtp_config *config = session->config;

	/* It was judged where it came from outside. */
	if (session->kind->is_node)
		return true;
	if (config->from_rules != NULL)
		envrules_apply(config->from_rules, sender,
		    smtp_transaction_own_vars(session));
	return smtp_transaction_set_limits(session);
}

/*
 * Where nodes disagree about who keeps a mailbox, its mail waits until they
 * agree again.
 */
static bool
is_on_its_way(
    struct smtp_session *session, const struct smtp_mail_params *params)
{
	if (params->hops <= CLUSTER_HOPS_MAX)
		return true;
	smtp_log_refused(session, "too many nodes", NULL, NULL, NULL);
	smtp_reply(session, 451, "4.4.6",
	    "this message has gone from node to node %u times: they disagree "
	    "about who keeps the mailbox",
	    params->hops - 1);
	return false;
}

static bool
is_wanted(struct smtp_session *session, const struct smtp_address *sender,
    const struct smtp_mail_params *params)
{
	const struct smtp_transaction *transaction = &session->transaction;

	if (sender->is_utf8 && !params->is_utf8) {
		smtp_reply(session, 553, "5.6.7",
		    "sorry, a non-ASCII address needs SMTPUTF8");
		return false;
	}
	if (session->kind->is_node)
		return is_on_its_way(session, params);
	if (!smtp_policy_sender(session, sender))
		return false;
	if (transaction->max_bytes > 0 &&
	    params->size_bytes > transaction->max_bytes) {
		smtp_log_too_large(
		    session, params->size_bytes, transaction->max_bytes);
		smtp_reply(session, 552, "5.3.4",
		    "sorry, that message size "
		    "exceeds my databytes limit");
		return false;
	}
	return true;
}

void
smtp_cmd_mail(struct smtp_session *session, const struct smtp_line *line)
{
	struct smtp_transaction *transaction = &session->transaction;
	struct smtp_mail_params params;
	struct smtp_address sender;
	const char *rest;

	/* Who had a chunk refused need not say RSET first. */
	if (transaction->message.refusal != SMTP_REFUSAL_NONE)
		smtp_transaction_reset(session);
	if (transaction->is_open) {
		smtp_reply_error(
		    session, 503, "5.5.1", "bad sequence of commands");
		return;
	}
	if (session->kind->is_node && !smtp_policy_node(session))
		return;
	if (!smtp_read_path(session, line, "FROM:", &sender, &rest) ||
	    !read_params(
		session, rest, line->argument + line->argument_length, &params))
		return;
	transaction->sender = arena_strdup(&transaction->arena, sender.text);
	if (!apply_from_rules(session, sender.text) ||
	    !is_wanted(session, &sender, &params) ||
	    (has_hold(&params.dsn) && !set_hold(session, &params.dsn))) {
		smtp_transaction_reset(session);
		return;
	}
	transaction->dsn = keep_dsn(session, &params.dsn);
	transaction->is_open = true;
	if (session->kind->is_node) {
		transaction->uuid = params.uuid;
		transaction->cluster_hops = params.hops > 0 ? params.hops : 1;
	}
	transaction->is_utf8 = params.is_utf8;
	transaction->declared_bytes = params.size_bytes;
	smtp_reply(session, 250, "2.1.0", "ok");
}
