/* SPDX-License-Identifier: ISC */
/* AUTH (RFC 4954). */
#include <string.h>

#include "auth/checkpassword.h"
#include "auth/sasl_talk.h"
#include "base/log_text.h"
#include "base/mem.h"
#include "smtp/session_private.h"

enum { CHECK_MS = 60 * 1000 };

static const struct login_service smtp_service = {
	.name = "smtp",
	.forbidding_flag = STORE_NO_SMTP,
	.opens_relay = true,
};

/* May a password come over this connection? */
static bool
is_private(const struct smtp_session *session)
{
	return stream_tls_version(session->stream) != NULL ||
	    settings_flag(session->config->settings, SETTING_smtpauthplain) ||
	    login_is_from_here(session->peer->remote_ip);
}

static void
fill_channel(struct smtp_session *session, struct sasl_channel *channel_out)
{
	*channel_out = (struct sasl_channel){
		.login = session->kind->program == NULL ? session->server->login
							: NULL,
		.service = &smtp_service,
		.settings = session->config->settings,
		.vars = session->vars,
		.remote_ip = session->peer->remote_ip,
		.local_ip = session->peer->local_ip,
	};
	channel_out->has_binding = stream_tls_binding(
	    session->stream, channel_out->binding);
}

bool
smtp_session_put_auth(struct smtp_session *session, struct buf *buf)
{
	size_t length = buf->length;
	struct sasl_channel channel;

	if (session->server->login == NULL || !is_private(session))
		return false;
	fill_channel(session, &channel);
	sasl_put_mechanisms(&channel, buf);
	return buf->length > length;
}

static bool
has_auth(struct smtp_session *session)
{
	AUTO(buf_release) struct buf names = BUF_INIT;

	return smtp_session_put_auth(session, &names);
}

size_t
smtp_session_line_max(struct smtp_session *session)
{
	size_t most = session->config->maxcmdlen;

	return most < SASL_LINE_MAX && session->is_extended &&
		!session->transaction.is_open &&
		session->server->login != NULL &&
		smtp_session_user(session) == NULL && is_private(session)
	    ? SASL_LINE_MAX
	    : most;
}

/* What is the session's from here on. */
static void
let_in(struct smtp_session *session, const struct sasl *sasl,
    struct login_user *user)
{
	struct vars *vars = session->vars;

	session->user = *user;
	*user = (struct login_user){ .storage = BUF_INIT };
	session->mechanism = sasl_mechanism(sasl);
	vars_set(vars, "AUTHENTICATED", "1");
	vars_set(vars, "AUTHINFO", session->user.address);
	vars_set(vars, "TCPREMOTEINFO", session->user.address);
	if (vars_get(vars, "RELAYCLIENT") == NULL &&
	    (session->user.flags & STORE_NO_RELAY) == 0)
		vars_set(vars, "RELAYCLIENT", "");
	if (session->config->auth_rules != NULL)
		envrules_apply(
		    session->config->auth_rules, session->user.address, vars);
	smtp_reply(session, 235, "2.7.0", "ok, go ahead (#2.0.0)");
}

/* In the words that tools look for, which are behind the address. */
static void
log_failure(const struct smtp_session *session, const char *mechanism,
    enum login_result result)
{
	const char *version = stream_tls_version(session->stream);

	smtp_log(session, " AUTH USER [%s] status=[%d] AUTH %s TLS=%s %s",
	    session->auth_name, result == LOGIN_UNKNOWN ? -1 : 1, mechanism,
	    version != NULL ? version : "No",
	    result == LOGIN_UNKNOWN ? "temporary auth failure"
				    : "auth failure");
}

static void
count_refusal(struct smtp_session *session)
{
	uint64_t most;

	if (smtp_transaction_number(session, "MAX_FAIL_ATTEMPTS",
		SMTP_REFUSALS_MAX, &most) == -1)
		most = SMTP_REFUSALS_MAX;
	if (++session->refusals < most)
		return;
	smtp_log(session, "too many failed logins");
	smtp_reply(session, 421, "4.7.0", "too many failed logins, goodbye");
	session->is_over = true;
}

static void
shut_out(struct smtp_session *session, const char *mechanism,
    enum login_result result)
{
	log_failure(session, mechanism, result);
	switch (result) {
	case LOGIN_OK:
		return;
	case LOGIN_REFUSED:
		smtp_reply(session, 535, "5.7.8", "authorization failure");
		break;
	case LOGIN_FORBIDDEN:
		smtp_reply(session, 535, "5.7.13",
		    "this account may not be used by SMTP");
		break;
	case LOGIN_LOCKED:
	case LOGIN_TOO_SOON:
		smtp_reply(session, 454, "4.7.0",
		    "too many failed logins, try again later");
		break;
	case LOGIN_UNKNOWN:
		smtp_reply(session, 454, "4.3.0",
		    "temporary authentication failure");
		return;
	}
	count_refusal(session);
}

struct program_check {
	char *const *argv;
	const struct vars *vars;
	struct checkpassword_proof proof;
};

static int
check_by_program(void *context, struct error *err)
{
	const struct program_check *check = context;
	AUTO(buf_release) struct buf output = BUF_INIT;

	return checkpassword_run(
	    check->argv, check->vars, &check->proof, CHECK_MS, &output, err);
}

static enum login_result
log_in(struct smtp_session *session, const struct sasl *sasl,
    struct login_user *user_out, struct error *err)
{
	struct login *login = session->server->login;
	const struct smtp_peer *peer = session->peer;
	struct program_check check = {
		.argv = session->kind->program,
		.vars = session->vars,
		.proof = {
			.name = sasl_name(sasl),
			.secret = sasl_password(sasl),
			.timestamp = "",
		},
	};

	if (check.argv == NULL)
		return login_plain(login, &smtp_service, check.proof.name,
		    check.proof.secret, peer->remote_ip, peer->local_ip,
		    user_out, err);
	return login_elsewhere(login, &smtp_service, check.proof.name,
	    peer->remote_ip, peer->local_ip, check_by_program, &check, user_out,
	    err);
}

/* The exchange is over, and well-formed. */
static void
conclude(
    struct smtp_session *session, struct sasl *sasl, bool has_password)
{
	struct login_user user = { .storage = BUF_INIT };
	struct error err = { .text = "" };
	enum login_result result;
	const char *name;

	result = has_password ? log_in(session, sasl, &user, &err)
			      : sasl_finish(sasl, &user, &err);
	name = result == LOGIN_OK ? user.address : sasl_name(sasl);
	log_word(session->auth_name, sizeof(session->auth_name),
	    name != NULL ? name : "");
	if (result == LOGIN_OK)
		let_in(session, sasl, &user);
	else
		shut_out(session, sasl_mechanism(sasl), result);
	login_user_release(&user);
}

/* initial is the client's first word; NULL: it has said none. */
static void
run_exchange(struct smtp_session *session, struct sasl *sasl,
    const char *initial, size_t length)
{
	enum stream_result lost;

	switch (
	    sasl_talk(sasl, session->stream, "334 ", initial, length, &lost)) {
	case SASL_TALK_PASSWORD:
		conclude(session, sasl, true);
		break;
	case SASL_TALK_FINISHED:
		conclude(session, sasl, false);
		break;
	case SASL_TALK_MALFORMED:
		smtp_reply_error(session, 501, "5.5.4", "malformed auth input");
		break;
	case SASL_TALK_TOO_LONG: /* RFC 4954 4 */
		smtp_log(session, "AUTH line too long");
		smtp_reply_error(session, 500, "5.5.6",
		    "authentication exchange line is too long");
		break;
	case SASL_TALK_CANCELLED:
		smtp_reply(session, 501, "5.0.0", "auth exchange cancelled");
		break;
	case SASL_TALK_LOST:
		smtp_session_lost(session, lost);
		break;
	}
}

/* Why there can be no exchange now; said, and false. */
static bool
may_begin(struct smtp_session *session)
{
	if (session->server->login == NULL)
		smtp_reply_error(
		    session, 502, "5.5.1", "command not implemented");
	else if (smtp_session_user(session) != NULL)
		smtp_reply_error(
		    session, 503, "5.5.0", "you're already authenticated");
	else if (session->transaction.is_open)
		smtp_reply_error(
		    session, 503, "5.5.0", "no auth during mail transaction");
	else if (!session->has_hello || !session->is_extended)
		smtp_reply_error(session, 503, "5.5.4",
		    session->has_hello ? "AUTH needs EHLO"
				       : smtp_no_hello(session));
	else if (!is_private(session) && session->config->tls != NULL)
		smtp_reply_error(session, 538, "5.7.11",
		    "Encryption required for requested authentication "
		    "mechanism");
	else if (!has_auth(session))
		smtp_reply_error(session, 503, "5.3.3", "auth not available");
	else
		return true;
	return false;
}

void
smtp_cmd_auth(struct smtp_session *session, const struct smtp_line *line)
{
	const char *end = line->argument + line->argument_length;
	const char *at = line->argument;
	char name[SASL_MECHANISM_MAX + 1];
	struct sasl_channel channel;
	struct sasl *sasl = NULL;
	size_t length;

	if (!may_begin(session))
		return;
	while (at < end && *at != ' ' && *at != '\t')
		at++;
	length = (size_t)(at - line->argument);
	while (at < end && (*at == ' ' || *at == '\t'))
		at++;
	fill_channel(session, &channel);
	if (length > 0 && length < sizeof(name)) {
		memcpy(name, line->argument, length);
		name[length] = '\0';
		sasl = sasl_start(&channel, name);
	}
	if (sasl == NULL) {
		smtp_reply_error(
		    session, 504, "5.5.4", "auth type unimplemented");
		return;
	}
	run_exchange(
	    session, sasl, at < end ? at : NULL, (size_t)(end - at));
	sasl_free(&sasl);
}
