/* SPDX-License-Identifier: ISC */
/* RCPT (RFC 5321 4.1.1.3, RFC 3461 4.1, 4.2). */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "control/idn.h"
#include "queue/exitcode.h"
#include "smtp/session_private.h"

static bool
is_in_sequence(struct smtp_session *session)
{
	if (!session->transaction.is_open)
		smtp_reply_error(session, 503, "5.5.1", "MAIL first");
	else if (session->transaction.has_chunk)
		smtp_reply_error(
		    session, 503, "5.5.1", "bad sequence of commands");
	else
		return true;
	return false;
}

static bool
read_arguments(struct smtp_session *session, const struct smtp_line *line,
    struct smtp_address *address_out, struct dsn_recipient *dsn_out)
{
	const char *rest, *end = line->argument + line->argument_length;
	enum smtp_params_result result;

	if (!smtp_read_path(session, line, "TO:", address_out, &rest))
		return false;
	result = smtp_rcpt_params_parse(rest, (size_t)(end - rest), dsn_out);
	/* Who was offered none has none. */
	if (result == SMTP_PARAMS_OK && rest != end &&
	    (!session->is_extended || !smtp_session_has_dsn(session)))
		result = SMTP_PARAMS_UNKNOWN;
	if (!smtp_params_are_ok(session, rest, (size_t)(end - rest), result))
		return false;
	if (address_out->text[0] == '\0') {
		smtp_log_syntax(session, line->argument, line->argument_length);
		smtp_reply_error(
		    session, 555, "5.1.3", "syntax error in address");
		return false;
	}
	if (address_out->is_utf8 && !session->transaction.is_utf8) {
		smtp_reply(session, 553, "5.6.7",
		    "sorry, a non-ASCII address needs SMTPUTF8");
		return false;
	}
	return true;
}

/*
 * RFC 5321 4.5.3.1.10: 452, so that the client sends the others by a further
 * transaction; with the reference's 557 they would bounce.
 */
static bool
may_add(struct smtp_session *session, const struct smtp_address *address)
{
	const struct smtp_transaction *transaction = &session->transaction;

	if ((transaction->max_recipients == 0 ||
		transaction->recipient_count < transaction->max_recipients) &&
	    transaction->recipient_bytes < SMTP_RECIPIENTS_BYTES_MAX)
		return true;
	smtp_log_refused(
	    session, "Too many RECIPIENTS", "Last RCPT", address->text, NULL);
	smtp_reply(session, 452, "4.5.3", "sorry, too many recipients");
	return false;
}

/*
 * Its text is held twice when the envelope is made.  What is taken stays until
 * the transaction ends: nothing may refuse the recipient after this.
 */
static bool
has_memory(struct smtp_session *session, const struct smtp_address *address,
    const char *dsn)
{
	if (smtp_session_take_memory(session,
		2 *
		    (strlen(address->text) + strlen(dsn) +
			SMTP_RECIPIENT_BYTES),
		&session->transaction.taken_bytes))
		return true;
	smtp_reply(session, 452, "4.3.1", SMTP_NO_MEMORY);
	return false;
}

static bool
is_same_ip(const char *a, const char *b)
{
	unsigned char x[16], y[16];

	if (inet_pton(AF_INET, a, x) == 1)
		return inet_pton(AF_INET, b, y) == 1 && memcmp(x, y, 4) == 0;
	return inet_pton(AF_INET6, a, x) == 1 &&
	    inet_pton(AF_INET6, b, y) == 1 && memcmp(x, y, 16) == 0;
}

/* user@[our address] is user@localiphost. */
static void
replace_literal(struct smtp_session *session, struct smtp_address *address)
{
	const char *name = settings_text(
	    session->config->settings, SETTING_localiphost);
	char ip[INET6_ADDRSTRLEN + 8];
	const char *at = ip;
	size_t domain_at, length;

	if (!address->is_literal || name[0] == '\0')
		return;
	length = strlen(address->domain) - 2;
	memcpy(ip, address->domain + 1, length);
	ip[length] = '\0';
	if (strncasecmp(ip, "IPv6:", 5) == 0)
		at += 5;
	domain_at = (size_t)(address->domain - address->text);
	if (!is_same_ip(at, session->peer->local_ip) ||
	    strlen(name) > SMTP_ADDRESS_MAX - domain_at)
		return;
	memcpy(address->text + domain_at, name, strlen(name) + 1);
	address->is_literal = false;
}

/*
 * A domain has one spelling from here on (RFC 5890: U-labels and A-labels are
 * equivalent).  What is no domain, or has no room, stays, and is nobody's.
 */
static void
spell_domain(struct smtp_address *address)
{
	char canonical[IDN_DOMAIN_SIZE];
	size_t domain_at;

	if (address->domain == NULL || idn_is_ascii(address->domain))
		return;
	domain_at = (size_t)(address->domain - address->text);
	if (idn_domain_canonical(address->domain, canonical) &&
	    strlen(canonical) <= SMTP_ADDRESS_MAX - domain_at)
		memcpy(address->text + domain_at, canonical,
		    strlen(canonical) + 1);
}

/*
 * A package's message came before its recipients: they cannot choose the queue
 * any more.
 */
static void
apply_domain_rules(
    struct smtp_session *session, const struct smtp_address *address)
{
	if (session->config->domain_rules != NULL && address->domain != NULL &&
	    !session->kind->is_node &&
	    session->transaction.sink == NULL)
		envrules_apply(session->config->domain_rules, address->domain,
		    smtp_transaction_own_vars(session));
}

/*
 * No queue was there for a recipient, so none was accepted: nothing is lost by
 * the end of the session.
 */
static void
count_deferral(struct smtp_session *session)
{
	if (++session->deferred_recipients <= SMTP_DEFERRED_RECIPIENTS_MAX)
		return;
	smtp_log(session, "too many recipients without a queue");
	smtp_reply(session, 421, "4.3.2", "there is no queue, try again later");
	session->is_over = true;
}

/*
 * The queue is asked early, so that its answer comes while the client reads
 * ours; but not while a further recipient's rules may name another queue, and
 * no program is started before there is something to read.
 */
static bool
open_early(struct smtp_session *session, const struct smtp_address *address)
{
	const char *program = vars_get(
	    smtp_transaction_vars(session), "QMAILQUEUE");
	int result;

	/* What a node's message is called depends on all its recipients. */
	if (session->kind->is_node || session->config->domain_rules != NULL ||
	    (program != NULL && program[0] != '\0'))
		return true;
	result = smtp_transaction_open_sink(session);
	if (result == QQ_OK)
		return true;
	smtp_log_refused(session, qq_text(result), "RCPT", address->text, NULL);
	smtp_reply_qq(session, result, qq_text(result));
	count_deferral(session);
	return false;
}

static void
add(struct smtp_session *session, const struct smtp_address *address,
    const char *dsn, bool is_relayed)
{
	const char *suffix = vars_get(
	    smtp_transaction_vars(session), "RELAYCLIENT");
	OWN_TEXT whole = NULL;

	if (suffix == NULL || suffix[0] == '\0') {
		smtp_transaction_add(session, address->text, dsn, is_relayed);
		return;
	}
	whole = xasprintf("%s%s", address->text, suffix);
	smtp_transaction_add(session, whole, dsn, is_relayed);
}

void
smtp_recipient_take(
    struct smtp_session *session, struct smtp_address *address, const char *dsn)
{
	bool is_relayed;

	if (!may_add(session, address))
		return;
	replace_literal(session, address);
	spell_domain(address);
	if (!smtp_policy_relay(session, address, &is_relayed) ||
	    (!session->kind->is_qmqp && !session->kind->is_node &&
		!smtp_policy_mailbox(session, address)))
		return;
	apply_domain_rules(session, address);
	if (!open_early(session, address) || !has_memory(session, address, dsn))
		return;
	add(session, address, dsn, is_relayed);
	smtp_reply(session, 250, "2.1.5", "ok");
}

void
smtp_cmd_rcpt(struct smtp_session *session, const struct smtp_line *line)
{
	struct smtp_address address;
	struct dsn_recipient dsn;
	struct buf text;

	if (!is_in_sequence(session) ||
	    !read_arguments(session, line, &address, &dsn))
		return;
	buf_init(&text);
	dsn_put_recipient(&text, &dsn);
	smtp_recipient_take(session, &address, text.data);
	buf_release(&text);
}
