/* SPDX-License-Identifier: ISC */
/* USER, PASS, APOP (RFC 1939 7) and AUTH (RFC 5034): who is it? */
#include <stdio.h>
#include <string.h>

#include <openssl/evp.h>

#include "auth/apop.h"
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

static void
open_users_maildrop(struct pop3_session *session, const struct login_user *user)
{
	struct error err;

	snprintf(
	    session->address, sizeof(session->address), "%s", user->address);
	if (maildrop_open(&session->maildrop, user->dir,
		&session->server->memory, &err) == 0) {
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

/* Decodes base64 in place: its length, or -1. */
static int
decode_in_place(char *text)
{
	size_t length = strlen(text), padding = 0;
	unsigned char block[POP3_LINE_MAX];
	int n;

	if (length % 4 != 0 || length == 0 || length >= sizeof(block))
		return length == 0 ? 0 : -1;
	while (padding < 2 && text[length - 1 - padding] == '=')
		padding++;
	n = EVP_DecodeBlock(block, (const unsigned char *)text, (int)length);
	if (n < (int)padding)
		return -1;
	n -= (int)padding;
	memcpy(text, block, (size_t)n);
	text[n] = '\0';
	explicit_bzero(block, sizeof(block));
	return n;
}

/*
 * RFC 4616: message = [authzid] NUL authcid NUL passwd.  Nobody may be another
 * than who he says he is.
 */
static void
take_plain(struct pop3_session *session, char *message)
{
	int length = decode_in_place(message);
	const char *end = message + length;
	const char *name = length < 0 ? NULL
				      : memchr(message, '\0', (size_t)length);
	const char *password = name == NULL
	    ? NULL
	    : memchr(name + 1, '\0', (size_t)(end - name - 1));

	if (password == NULL ||
	    memchr(password + 1, '\0', (size_t)(end - password - 1)) != NULL ||
	    name[1] == '\0') {
		pop3_fault(session, "this is not an answer of PLAIN");
		return;
	}
	if (*message != '\0' && strcmp(message, name + 1) != 0) {
		pop3_fault(session, "[AUTH] you may be only who you are");
		return;
	}
	session->options->let_in(session, name + 1, password + 1, "");
}

/* The answer to a challenge; false when there is none, and that was said. */
static bool
ask_for_answer(struct pop3_session *session, char answer[POP3_LINE_MAX])
{
	enum stream_result result;
	const char *line;
	size_t length;

	stream_write(session->stream, "+ \r\n", 4);
	result = stream_read_line(
	    session->stream, POP3_LINE_MAX - 1, &line, &length);
	if (result == STREAM_TOO_LONG) {
		pop3_fault(session, "line too long");
		return false;
	}
	if (result != STREAM_OK) {
		session->is_over = true;
		return false;
	}
	while (length > 0 &&
	    (line[length - 1] == '\n' || line[length - 1] == '\r'))
		length--;
	memcpy(answer, line, length);
	answer[length] = '\0';
	if (strcmp(answer, "*") != 0)
		return true;
	pop3_error(session, "cancelled");
	return false;
}

void
pop3_cmd_auth(struct pop3_session *session)
{
	char *argument = session->command.argument;
	char *blank = strchr(argument, ' ');
	char answer[POP3_LINE_MAX];

	if (*argument == '\0') {
		/* Older than RFC 5034, and still asked. */
		pop3_ok(session, "mechanisms follow");
		if (pop3_is_private(session))
			stream_write(session->stream, "PLAIN\r\n", 7);
		stream_write(session->stream, ".\r\n", 3);
		return;
	}
	if (blank != NULL)
		*blank = '\0';
	if (strcasecmp(argument, "PLAIN") != 0) {
		pop3_fault(session, "no such mechanism");
		return;
	}
	if (!may_take_password(session))
		return;
	if (blank != NULL) /* RFC 5034 4: "=" is an empty one */
		take_plain(
		    session, strcmp(blank + 1, "=") == 0 ? blank : blank + 1);
	else if (ask_for_answer(session, answer))
		take_plain(session, answer);
	explicit_bzero(answer, sizeof(answer));
}
