/* SPDX-License-Identifier: ISC */
/* The verbs of SMTP and LMTP, one row each. */
#include <stddef.h>

#include "smtp/session_private.h"

enum argument { ARGUMENT_NONE, ARGUMENT_ANY, ARGUMENT_NEEDED };

enum {
	IN_SMTP = 1, /* which protocols have the verb */
	IN_LMTP = 2,
	IN_BOTH = 3
};

struct verb {
	const char *name;
	unsigned protocols;
	enum argument argument;
	bool needs_hello;
	void (*act)(struct smtp_session *, const struct smtp_line *);
};

static const struct verb verbs[] = {
	{ "HELO", IN_SMTP, ARGUMENT_NEEDED, false, smtp_cmd_helo },
	{ "EHLO", IN_SMTP, ARGUMENT_NEEDED, false, smtp_cmd_ehlo },
	/* RFC 2033 4.1: never a positive reply to these */
	{ "HELO", IN_LMTP, ARGUMENT_ANY, false, smtp_cmd_not_smtp },
	{ "EHLO", IN_LMTP, ARGUMENT_ANY, false, smtp_cmd_not_smtp },
	{ "LHLO", IN_LMTP, ARGUMENT_NEEDED, false, smtp_cmd_ehlo },
	{ "MAIL", IN_BOTH, ARGUMENT_NEEDED, true, smtp_cmd_mail },
	{ "RCPT", IN_BOTH, ARGUMENT_NEEDED, true, smtp_cmd_rcpt },
	{ "DATA", IN_BOTH, ARGUMENT_NONE, true, smtp_cmd_data },
	/* judges all by itself: the bytes of its chunk must be taken off */
	{ "BDAT", IN_BOTH, ARGUMENT_ANY, false, smtp_cmd_bdat },
	{ "RSET", IN_BOTH, ARGUMENT_NONE, false, smtp_cmd_rset },
	{ "NOOP", IN_BOTH, ARGUMENT_ANY, false, smtp_cmd_noop },
	{ "VRFY", IN_BOTH, ARGUMENT_NEEDED, false, smtp_cmd_vrfy },
	{ "HELP", IN_BOTH, ARGUMENT_ANY, false, smtp_cmd_help },
	{ "STARTTLS", IN_BOTH, ARGUMENT_NONE, false, smtp_cmd_starttls },
	{ "AUTH", IN_SMTP, ARGUMENT_NEEDED, false, smtp_cmd_auth },
	{ "QUIT", IN_BOTH, ARGUMENT_NONE, false, smtp_cmd_quit },
	{ "EXPN", IN_BOTH, ARGUMENT_ANY, false, smtp_cmd_unsupported },
	{ "AUTH", IN_LMTP, ARGUMENT_ANY, false, smtp_cmd_unsupported },
	{ "ETRN", IN_LMTP, ARGUMENT_ANY, false, smtp_cmd_unsupported },
	{ "ETRN", IN_SMTP, ARGUMENT_ANY, false, smtp_cmd_etrn },
	{ "ATRN", IN_LMTP, ARGUMENT_ANY, false, smtp_cmd_unsupported },
	{ "ATRN", IN_SMTP, ARGUMENT_ANY, false, smtp_cmd_atrn },
	{ "TURN", IN_BOTH, ARGUMENT_ANY, false, smtp_cmd_unsupported },
	{ "SEND", IN_BOTH, ARGUMENT_ANY, false, smtp_cmd_unsupported },
	{ "SOML", IN_BOTH, ARGUMENT_ANY, false, smtp_cmd_unsupported },
	{ "SAML", IN_BOTH, ARGUMENT_ANY, false, smtp_cmd_unsupported },
};

enum { VERB_COUNT = sizeof(verbs) / sizeof(*verbs) };

static bool
is_spoken(const struct smtp_session *session, const struct verb *verb)
{
	return (verb->protocols &
		   (session->kind->is_lmtp ? IN_LMTP : IN_SMTP)) != 0;
}

static const struct verb *
find_verb(const struct smtp_session *session, const struct smtp_line *line)
{
	size_t i;

	for (i = 0; i < VERB_COUNT; i++)
		if (is_spoken(session, &verbs[i]) &&
		    smtp_word_is(line->verb, line->verb_length, verbs[i].name))
			return &verbs[i];
	return NULL;
}

const char *
smtp_no_hello(const struct smtp_session *session)
{
	return session->kind->is_lmtp ? "Polite people say hello (LHLO) first"
				      : "Polite people say hello first";
}

void
smtp_dispatch(struct smtp_session *session, const struct smtp_line *line)
{
	const struct verb *verb = find_verb(session, line);

	if (verb == NULL)
		smtp_reply_error(
		    session, 502, "5.5.2", "command not recognized");
	else if (verb->argument == ARGUMENT_NONE && line->argument_length > 0)
		smtp_reply_error(session, 501, "5.5.4",
		    "Syntax error (no parameters allowed)");
	else if (verb->argument == ARGUMENT_NEEDED &&
	    line->argument_length == 0)
		smtp_reply_error(session, 501, "5.5.4",
		    "Syntax error (a parameter is needed)");
	else if (verb->needs_hello && !session->has_hello)
		smtp_reply_error(session, 503, "5.5.4", smtp_no_hello(session));
	else
		verb->act(session, line);
}

void
smtp_verbs_put(const struct smtp_session *session, struct buf *buf)
{
	size_t i;

	for (i = 0; i < VERB_COUNT; i++) {
		if (!is_spoken(session, &verbs[i]) ||
		    verbs[i].act == smtp_cmd_unsupported ||
		    verbs[i].act == smtp_cmd_not_smtp ||
		    (verbs[i].act == smtp_cmd_atrn && !session->kind->is_odmr) ||
		    (verbs[i].act == smtp_cmd_auth &&
			session->server->login == NULL) ||
		    (verbs[i].act == smtp_cmd_etrn &&
			!smtp_session_has_etrn(session)))
			continue;
		if (buf->length > 0)
			buf_addc(buf, ' ');
		buf_adds(buf, verbs[i].name);
	}
}
