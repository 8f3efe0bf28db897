/* SPDX-License-Identifier: ISC */
/* The verbs without a state of their own: RSET, NOOP, VRFY, HELP, QUIT. */
#include "base/mem.h"
#include "smtp/session_private.h"

void
smtp_cmd_rset(struct smtp_session *session, const struct smtp_line *line)
{
	(void)line;
	smtp_transaction_reset(session);
	smtp_reply(session, 250, "2.0.0", "flushed");
}

void
smtp_cmd_noop(struct smtp_session *session, const struct smtp_line *line)
{
	(void)line;
	smtp_reply(session, 250, "2.0.0", "ok");
}

/* RFC 5321 7.3: whether there is such a user is not told here. */
void
smtp_cmd_vrfy(struct smtp_session *session, const struct smtp_line *line)
{
	(void)line;
	smtp_reply(session, 252, "2.7.0",
	    "Cannot VRFY user, but will accept "
	    "message and attempt delivery (#2.7.0)");
}

void
smtp_cmd_help(struct smtp_session *session, const struct smtp_line *line)
{
	AUTO(buf_release) struct buf verbs = BUF_INIT;

	(void)line;
	smtp_verbs_put(session, &verbs);
	smtp_reply_line(session, 214, false, "2.0.0",
	    "This server supports the following commands:");
	smtp_reply_line(session, 214, true, "2.0.0", verbs.data);
}

void
smtp_cmd_quit(struct smtp_session *session, const struct smtp_line *line)
{
	(void)line;
	smtp_reply(
	    session, 221, "2.0.0", "%s", session->config->greeting->items[0]);
	session->is_over = true;
}

void
smtp_cmd_unsupported(struct smtp_session *session, const struct smtp_line *line)
{
	(void)line;
	smtp_reply_error(session, 502, "5.5.1", "command not implemented");
}
