/* SPDX-License-Identifier: ISC */
/* HELO, EHLO and LHLO (RFC 5321 4.1.1.1, RFC 2033 4.1). */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "smtp/reply.h"
#include "smtp/session_private.h"

/* Any name is taken (RFC 5321 4.1.4); what shows it makes it safe. */
static void
take_name(struct smtp_session *session, const struct smtp_line *line)
{
	size_t length = line->argument_length < SMTP_HELO_MAX
	    ? line->argument_length
	    : SMTP_HELO_MAX;

	smtp_transaction_reset(session);
	memcpy(session->helo, line->argument, length);
	session->helo[length] = '\0';
	session->has_hello = true;
	session->is_extended = session->has_status = false;
}

void
smtp_cmd_helo(struct smtp_session *session, const struct smtp_line *line)
{
	take_name(session, line);
	smtp_reply_line(
	    session, 250, true, NULL, session->config->greeting->items[0]);
}

void
smtp_cmd_not_smtp(struct smtp_session *session, const struct smtp_line *line)
{
	(void)line;
	smtp_reply_error(
	    session, 502, "5.5.1", "this is LMTP, please say LHLO");
}

static void
offer(struct smtp_session *session, const char *extension)
{
	smtp_reply_line(session, 250, false, NULL, extension);
}

/* RFC 9422: none of ours but that of recipients is fixed. */
static void
put_limits(struct smtp_session *session)
{
	char limits[48];
	uint64_t most;

	if (smtp_transaction_number(session, "MAXRECIPIENTS",
		session->config->maxrecipients, &most) == -1 ||
	    most == 0 || session->kind->is_lmtp || session->kind->is_node)
		return;
	snprintf(limits, sizeof(limits), "LIMITS RCPTMAX=%llu",
	    (unsigned long long)(most < 999999 ? most : 999999));
	offer(session, limits);
}

/* RFC 4865 3: the longest interval, and until when that is from now on. */
static void
put_futurerelease(struct smtp_session *session)
{
	uint64_t longest_s = smtp_session_longest_hold(session);
	time_t latest = time(NULL) + (time_t)longest_s;
	char text[80], date[32];
	struct tm tm;

	if (longest_s == 0)
		return;
	gmtime_r(&latest, &tm);
	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%SZ", &tm);
	snprintf(text, sizeof(text), "FUTURERELEASE %llu %s",
	    (unsigned long long)longest_s, date);
	offer(session, text);
}

void
smtp_cmd_ehlo(struct smtp_session *session, const struct smtp_line *line)
{
	char size[32];
	uint64_t max_bytes;
	AUTO(buf_release) struct buf auth = BUF_INIT;
	struct error err;

	take_name(session, line);
	session->is_extended = true;
	buf_adds(&auth, "AUTH ");
	offer(session, session->config->greeting->items[0]);
	offer(session, "PIPELINING");
	offer(session, "8BITMIME");
	/* Of this session: access rules may have set it (RFC 1870 4). */
	if (session->kind->is_node)
		max_bytes = 0;
	else
		smtp_transaction_number(session, "DATABYTES",
		    session->config->databytes, &max_bytes);
	snprintf(
	    size, sizeof(size), "SIZE %llu", (unsigned long long)max_bytes);
	offer(session, size);
	if (session->config->tls != NULL &&
	    stream_tls_version(session->stream) == NULL)
		offer(session, "STARTTLS");
	if (smtp_session_put_auth(session, &auth))
		offer(session, auth.data);
	if (smtp_session_has_requiretls(session))
		offer(session, "REQUIRETLS");
	if (smtp_session_has_dsn(session))
		offer(session, "DSN");
	if (smtp_node_identify(session, &err) == 1)
		offer(session, "XNODE");
	if (session->kind->is_odmr)
		offer(session, "ATRN");
	if (!session->kind->is_lmtp && smtp_session_has_etrn(session))
		offer(session, "ETRN");
	put_limits(session);
	put_futurerelease(session);
	offer(session, "SMTPUTF8");
	offer(session, "CHUNKING");
	/*
	 * For clients that want qmail's replies to the letter although they
	 * say EHLO: access rules may turn this off.
	 */
	session->has_status = vars_get(session->vars,
				  "DISABLE_ENHANCEDSTATUSCODES") == NULL;
	if (session->has_status)
		smtp_reply_line(
		    session, 250, false, NULL, "ENHANCEDSTATUSCODES");
	smtp_reply_line(session, 250, true, NULL, "HELP");
}
