/* SPDX-License-Identifier: ISC */
/* USER, PASS, APOP (RFC 1939 7) and AUTH (RFC 5034): who is it? */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "auth/apop.h"
#include "auth/sasl_talk.h"
#include "base/mem.h"
#include "mailbox/over_quota.h"
#include "pop3/session_private.h"

static const struct login_service pop3_service = {
	.name = "pop3",
	.forbidding_flag = STORE_NO_POP,
	.opens_relay = true,
	.is_spaced = true,
};

static enum login_result
log_in_by_apop(struct pop3_session *session, const char *name,
    const char *digest, const char *timestamp, struct login_user *user,
    struct error *err)
{
	struct login *login = session->server->login;
	struct login_attempt attempt;
	enum login_result result = login_begin(login, &pop3_service, name,
	    session->peer->remote_ip, session->peer->local_ip, &attempt, err);

	*user = (struct login_user){ .storage = BUF_INIT };
	if (result != LOGIN_OK)
		return result;
	return login_end(login, &attempt,
	    apop_is_proof(timestamp, attempt.password.secret, digest), user);
}

/* For the operator's program, unless it was told a moment ago. */
static void
tell_over_quota(
    const struct pop3_session *session, const struct login_user *user)
{
	static const struct quota_usage least = { 1, 1 };
	const struct over_quota *marks = session->server->over_quota;
	const char *program = settings_text(
	    session->config->settings, SETTING_overquotacmd);
	struct over_quota_user told = { .address = user->address,
		.user_dir = user->dir,
		.service = "pop3" };
	time_t now = time(NULL);
	enum quota_answer answer;

	if (*program == '\0' || quota_parse(user->quota, &told.quota) != 1)
		return;
	answer = quota_look(session->maildrop.dir_fd, &told.quota, &least, now,
	    &told.usage, NULL);
	if ((answer != QUOTA_FULL && answer != QUOTA_SEEMS_FULL) ||
	    over_quota_is_known(marks, user->dir, &told.quota, now))
		return;
	/* RCPT goes by what deliveries say. */
	over_quota_set(
	    marks, user->dir, &told.quota, &told.usage, UINT64_MAX, now);
	over_quota_run(program, &told);
}

static void
open_users_maildrop(struct pop3_session *session, const struct login_user *user)
{
	struct error err;

	snprintf(
	    session->address, sizeof(session->address), "%s", user->address);
	if (maildrop_open(&session->maildrop, user->dir,
		&session->server->memory, &err) == 0) {
		session->user_dir = xstrdup(user->dir);
		tell_over_quota(session, user);
		pop3_begin_transaction(session);
		return;
	}
	pop3_log(session, "user <%s> %s", session->address, err.text);
	pop3_error(session, "[SYS/TEMP] unable to open your maildrop");
}

static void
say_login_result(struct pop3_session *session, enum login_result result)
{
	switch (result) {
	case LOGIN_OK:
		return;
	case LOGIN_REFUSED:
		pop3_error(session, "[AUTH] authorization failed");
		break;
	case LOGIN_FORBIDDEN:
		pop3_error(
		    session, "[SYS/PERM] this account may not be used by POP3");
		break;
	case LOGIN_LOCKED:
		pop3_error(session,
		    "[SYS/TEMP] too many failed logins, try again later");
		break;
	case LOGIN_TOO_SOON:
		pop3_error(session,
		    "[LOGIN-DELAY] the last login was less than %u seconds ago",
		    session->config->login_delay_s);
		break;
	case LOGIN_UNKNOWN:
		pop3_error(session,
		    "[SYS/TEMP] logins cannot be checked now, try again later");
		return;
	}
	if (++session->refusals >= POP3_REFUSALS_MAX)
		session->is_over = true;
}

void
pop3_let_in_user(struct pop3_session *session, const char *name,
    const char *secret, const char *timestamp)
{
	struct login_user user;
	struct error err;
	enum login_result result = *timestamp != '\0'
	    ? log_in_by_apop(session, name, secret, timestamp, &user, &err)
	    : login_plain(session->server->login, &pop3_service, name, secret,
		  session->peer->remote_ip, session->peer->local_ip, &user,
		  &err);

	say_login_result(session, result);
	if (result == LOGIN_OK)
		open_users_maildrop(session, &user);
	login_user_release(&user);
}

/* False, and it is said, unless a password may come now. */
static bool
may_take_password(struct pop3_session *session)
{
	if (pop3_is_private(session))
		return true;
	pop3_fault(session,
	    session->config->tls != NULL
		? "[SYS/PERM] passwords need TLS: STLS first"
		: "[SYS/PERM] passwords need TLS, which is not there");
	return false;
}

void
pop3_cmd_user(struct pop3_session *session)
{
	const char *name = session->command.argument;
	size_t length;

	if (!may_take_password(session))
		return;
	if (*name == '\0') {
		pop3_fault(session, "USER needs a name");
		return;
	}
	/* One that is cut is nobody's. */
	length = strnlen(name, sizeof(session->user) - 1);
	memcpy(session->user, name, length);
	session->user[length] = '\0';
	pop3_ok(session, "send the password");
}

void
pop3_cmd_pass(struct pop3_session *session)
{
	char name[sizeof(session->user)];

	if (!may_take_password(session))
		return;
	if (session->user[0] == '\0') {
		pop3_fault(session, "USER first");
		return;
	}
	memcpy(name, session->user, sizeof(name));
	session->user[0] = '\0';
	session->options->let_in(session, name, session->command.argument, "");
}

void
pop3_cmd_apop(struct pop3_session *session)
{
	char *name = session->command.argument;
	char *blank = strrchr(name, ' ');

	if (session->timestamp[0] == '\0') {
		pop3_fault(session, "unimplemented");
		return;
	}
	if (blank == NULL || blank == name || blank[1] == '\0') {
		pop3_fault(session, "APOP needs a name and a digest");
		return;
	}
	*blank = '\0';
	session->options->let_in(session, name, blank + 1, session->timestamp);
}

static void
fill_channel(struct pop3_session *session, struct sasl_channel *channel_out)
{
	*channel_out = (struct sasl_channel){
		.login = session->server->login,
		.service = &pop3_service,
		.settings = session->config->settings,
		.vars = session->peer->vars,
		.remote_ip = session->peer->remote_ip,
		.local_ip = session->peer->local_ip,
	};
	channel_out->has_binding = stream_tls_binding(
	    session->stream, channel_out->binding);
}

bool
pop3_put_mechanisms(struct pop3_session *session, struct buf *buf)
{
	size_t length = buf->length;
	struct sasl_channel channel;

	if (session->options->let_in == NULL || !pop3_is_private(session))
		return false;
	fill_channel(session, &channel);
	sasl_put_mechanisms(&channel, buf);
	return buf->length > length;
}

static void
conclude_login(struct pop3_session *session, struct sasl *sasl)
{
	struct login_user user;
	struct error err;
	enum login_result result = sasl_finish(sasl, &user, &err);

	say_login_result(session, result);
	if (result == LOGIN_OK)
		open_users_maildrop(session, &user);
	login_user_release(&user);
}

/* initial is the client's initial response; NULL: there was none. */
static void
run_exchange(
    struct pop3_session *session, struct sasl *sasl, const char *initial)
{
	enum stream_result lost;

	switch (sasl_talk(sasl, session->stream, "+ ", initial,
	    initial == NULL ? 0 : strlen(initial), &lost)) {
	case SASL_TALK_PASSWORD:
		session->options->let_in(
		    session, sasl_name(sasl), sasl_password(sasl), "");
		break;
	case SASL_TALK_FINISHED:
		conclude_login(session, sasl);
		break;
	case SASL_TALK_MALFORMED:
		pop3_fault(session, "this is not an answer of the mechanism");
		break;
	case SASL_TALK_TOO_LONG:
		pop3_fault(session, "line too long");
		break;
	case SASL_TALK_CANCELLED:
		pop3_error(session, "cancelled");
		break;
	case SASL_TALK_LOST:
		session->is_over = true;
		break;
	}
}

/* Older than RFC 5034, and still asked. */
static void
list_mechanisms(struct pop3_session *session)
{
	AUTO(buf_release) struct buf names = BUF_INIT;

	pop3_ok(session, "mechanisms follow");
	if (pop3_put_mechanisms(session, &names)) {
		for (size_t i = 0; i < names.length; i++)
			if (names.data[i] == ' ')
				stream_write(session->stream, "\r\n", 2);
			else
				stream_write(
				    session->stream, names.data + i, 1);
		stream_write(session->stream, "\r\n", 2);
	}
	stream_write(session->stream, ".\r\n", 3);
}

void
pop3_cmd_auth(struct pop3_session *session)
{
	char *argument = session->command.argument;
	char *blank = strchr(argument, ' ');
	struct sasl_channel channel;
	struct sasl *sasl;

	if (*argument == '\0') {
		list_mechanisms(session);
		return;
	}
	if (blank != NULL)
		*blank = '\0';
	if (!may_take_password(session))
		return;
	fill_channel(session, &channel);
	sasl = sasl_start(&channel, argument);
	if (sasl == NULL) {
		pop3_fault(session, "no such mechanism");
		return;
	}
	run_exchange(session, sasl, blank == NULL ? NULL : blank + 1);
	sasl_free(&sasl);
}
