/* SPDX-License-Identifier: ISC */
/* AUTH (RFC 4954), by libgsasl, which no other file includes. */
#include "remote/session_private.h"

#include <stdlib.h>
#include <string.h>

#include <gsasl.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/scan.h"

enum {
	CHALLENGES_MAX = 10,
	/* RFC 7677 4 asks for 4096 and more; each is time of a processor. */
	SCRAM_ROUNDS_MAX = 1000000,
	/* RFC 4954 4: an initial response that makes the line longer than 512
	 * bytes waits for an empty challenge */
	INITIAL_MAX = 480
};

struct mechanism {
	const char *name;
	bool shows_secret;
	bool is_client_first;
};

/* The best first; XOAUTH2 is not chosen unless it is named. */
static const struct mechanism mechanisms[] = {
	{ "SCRAM-SHA-256", false, true },
	{ "CRAM-MD5", false, false },
	{ "PLAIN", true, true },
	{ "LOGIN", true, false },
	{ "XOAUTH2", true, true },
};

/* What we say: a mechanism of libgsasl, or one text of ours. */
struct dialog {
	Gsasl *library;
	Gsasl_session *sasl;
	char *text;    /* XOAUTH2: in base64, until it is said */
	bool is_ready; /* all is said, and the server proved itself */
};

static const struct mechanism *
choose_mechanism(const struct session *session)
{
	const char *named = session->options.credentials->mechanism;
	/* A network that takes STARTTLS away is not to get the secret. */
	bool has_tls = session->tls_text[0] != '\0';
	bool may_show = has_tls || session->options.tls.level == TLS_NONE;
	size_t i;

	if (session->options.credentials->is_only_in_tls && !has_tls)
		return NULL;
	for (i = 0; i < sizeof(mechanisms) / sizeof(mechanisms[0]); i++) {
		const struct mechanism *each = &mechanisms[i];

		if (!hello_has_auth(&session->hello, each->name) ||
		    (each->shows_secret && !may_show))
			continue;
		if (named != NULL ? strcasecmp(named, each->name) == 0
				  : strcmp(each->name, "XOAUTH2") != 0)
			return each;
	}
	return NULL;
}

/* As Google's and Microsoft's manuals have it. */
static char *
make_xoauth2(const struct session_credentials *credentials)
{
	char *plain = xasprintf("user=%s\001auth=Bearer %s\001\001",
	    credentials->user, credentials->secret);
	char *text = NULL;

	if (gsasl_base64_to(plain, strlen(plain), &text, NULL) != GSASL_OK)
		abort();
	free(plain);
	return text;
}

static int
dialog_open(struct dialog *dialog, const struct mechanism *mechanism,
    const struct session *session)
{
	const struct session_credentials *credentials =
	    session->options.credentials;

	if (strcmp(mechanism->name, "XOAUTH2") == 0) {
		dialog->text = make_xoauth2(credentials);
		return 0;
	}
	if (gsasl_init(&dialog->library) != GSASL_OK ||
	    gsasl_client_start(
		dialog->library, mechanism->name, &dialog->sasl) != GSASL_OK)
		return -1;
	gsasl_property_set(dialog->sasl, GSASL_AUTHID, credentials->user);
	gsasl_property_set(dialog->sasl, GSASL_PASSWORD, credentials->secret);
	return 0;
}

static void
dialog_close(struct dialog *dialog)
{
	if (dialog->sasl != NULL)
		gsasl_finish(dialog->sasl);
	if (dialog->library != NULL)
		gsasl_done(dialog->library);
	free(dialog->text);
}

/* server-first-message = nonce "," salt "," "i=" posit-number (RFC 5802 7) */
static bool
asks_too_much(const char *challenge)
{
	char *plain = NULL;
	const char *rounds, *end;
	size_t length = 0;
	uint64_t number;
	bool is_too_much = false;

	if (gsasl_base64_from(
		challenge, strlen(challenge), &plain, &length) != GSASL_OK)
		return false;
	rounds = memmem(plain, length, ",i=", 3);
	if (rounds != NULL) {
		rounds += 3;
		length -= (size_t)(rounds - plain);
		end = memchr(rounds, ',', length);
		if (end != NULL)
			length = (size_t)(end - rounds);
		is_too_much = !scan_u64n(
		    rounds, length, SCRAM_ROUNDS_MAX, &number);
	}
	gsasl_free(plain);
	return is_too_much;
}

/* The answer to a challenge (both in base64), to be freed; NULL: it is none
 * that can be answered. */
static char *
dialog_answer(struct dialog *dialog, const char *challenge)
{
	char *answer = NULL;
	int code;

	if (dialog->library == NULL) {
		/* to an error's description: nothing, then the reply comes */
		answer = dialog->text == NULL ? xstrdup("") : dialog->text;
		dialog->text = NULL;
		dialog->is_ready = true;
		return answer;
	}
	if (strcmp(gsasl_mechanism_name(dialog->sasl), "SCRAM-SHA-256") == 0 &&
	    asks_too_much(challenge))
		return NULL;
	code = gsasl_step64(dialog->sasl, challenge, &answer);
	if (code != GSASL_OK && code != GSASL_NEEDS_MORE) {
		gsasl_free(answer);
		return NULL;
	}
	dialog->is_ready = code == GSASL_OK;
	return answer;
}

/* The first command.  An answer that does not fit is kept in *late_out. */
static int
put_auth(struct session *session, struct dialog *dialog,
    const struct mechanism *mechanism, char **late_out)
{
	char *initial = NULL;

	*late_out = NULL;
	if (mechanism->is_client_first) {
		initial = dialog_answer(dialog, "");
		if (initial == NULL)
			return -1;
	}
	if (initial != NULL && strlen(initial) <= INITIAL_MAX) {
		session_put(session, "AUTH %s %s", mechanism->name,
		    *initial == '\0' ? "=" : initial);
		free(initial);
		return 0;
	}
	session_put(session, "AUTH %s", mechanism->name);
	*late_out = initial;
	return 0;
}

static const char *
challenge_of(const struct reply *reply)
{
	return strlen(reply->text) > 4 ? reply->text + 4 : "";
}

/* The exchange.  REPLY_OK: *reply_out is what the server said at its end. */
static enum reply_result
exchange(struct session *session, struct dialog *dialog,
    const struct mechanism *mechanism, struct reply *reply_out)
{
	AUTO(mem_free) char *late = NULL;
	int left;

	if (put_auth(session, dialog, mechanism, &late) == -1)
		return REPLY_GARBAGE;
	for (left = CHALLENGES_MAX; left > 0; left--) {
		enum reply_result result = session_read(
		    session, reply_out, NULL, NULL);
		char *answer = late;

		if (result != REPLY_OK || reply_out->code / 100 != 3)
			return result;
		late = NULL;
		if (answer == NULL)
			answer = dialog_answer(dialog, challenge_of(reply_out));
		/* RFC 4954 4: a "*" ends it, and gets a reply of its own */
		session_put(session, "%s", answer == NULL ? "*" : answer);
		free(answer);
	}
	return REPLY_GARBAGE;
}

int
session_authenticate(
    struct session *session, struct session_result *failure_out)
{
	const struct mechanism *mechanism = choose_mechanism(session);
	struct dialog dialog = { 0 };
	struct reply reply = { 0 };
	enum reply_result result;
	int failed = -1;

	if (mechanism == NULL) {
		session_fill_text(failure_out, SESSION_TEMPFAIL, STAGE_AUTH,
		    "Connected to %s but it has no way of AUTH that I may use. "
		    "(#4.7.4)\n",
		    session->ip);
		return -1;
	}
	if (dialog_open(&dialog, mechanism, session) == -1) {
		dialog_close(&dialog);
		session_fill_text(failure_out, SESSION_TEMPFAIL, STAGE_AUTH,
		    "Connected to %s but AUTH %s cannot be used here. "
		    "(#4.3.5)\n",
		    session->ip, mechanism->name);
		return -1;
	}
	result = exchange(session, &dialog, mechanism, &reply);
	if (result != REPLY_OK) {
		session->is_over = true;
		session_fill_lost(
		    session, failure_out, STAGE_AUTH, false, result, &reply);
	} else if (reply.code >= 300)
		/* Ours to put right, not the message's fault. */
		session_fill(session, failure_out, SESSION_TEMPFAIL, STAGE_AUTH,
		    &reply, "Connected to ", "but authentication was rejected");
	else if (!dialog.is_ready) {
		session->is_over = true;
		session_fill_text(failure_out, SESSION_TEMPFAIL, STAGE_AUTH,
		    "Connected to %s but it did not prove that it knows the "
		    "secret. (#4.7.8)\n",
		    session->ip);
	} else
		failed = 0;
	dialog_close(&dialog);
	return failed;
}
