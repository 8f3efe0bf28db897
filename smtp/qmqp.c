/* SPDX-License-Identifier: ISC */
/*
 * QMQP (cr.yp.to/proto/qmqp.html): one netstring of netstrings, which are the
 * message, the sender and the recipients; and one answer, a netstring of K, Z
 * or D and a text.
 *
 * It is for hosts without a queue, which give all their mail to this one: only
 * who may relay is served.  There is no answer for a recipient, so one that
 * does not exist bounces.
 */
#include <string.h>

#include "base/netstring.h"
#include "smtp/package.h"

static bool
read_all(struct package *package)
{
	struct smtp_session *session = package->session;
	uint64_t length;

	if (!package_read_length(package, UINT64_MAX - 1, &package->left_bytes))
		return false;
	if (vars_get(session->vars, "RELAYCLIENT") == NULL) {
		smtp_log(session, "Invalid RELAY client: QMQP");
		smtp_reply(session, 553, "5.7.1", "we don't relay");
		package_judge(package);
	}
	if (!package_read_length(package, UINT64_MAX, &length))
		return false;
	if (package->verdict[0] == '\0')
		package_begin(package);
	if (!package_read_message(package, length, false) ||
	    !package_read_sender(package))
		return false;
	while (package->left_bytes > 0) {
		if (!package_read_recipient(package))
			return false;
		package_judge(package);
	}
	package->left_bytes = UINT64_MAX;
	return package_end(package);
}

static void
answer(struct package *package)
{
	const char *text = package->verdict[0] != '\0'
	    ? package->verdict
	    : package->session->answer;
	struct buf out;

	buf_init(&out);
	netstring_put(&out, text, strlen(text));
	stream_write(package->session->stream, out.data, out.length);
	buf_release(&out);
}

void
smtp_qmqp_serve(struct smtp_session *session)
{
	struct package package = { .session = session,
		.left_bytes = UINT64_MAX };

	if (!smtp_session_await(session))
		return;
	session->answer[0] = '\0';
	if (read_all(&package)) {
		package_finish(&package);
		if (package.verdict[0] == '\0' && session->answer[0] == '\0')
			smtp_reply(session, 555, "5.1.3", "RCPT first");
		answer(&package);
	}
	smtp_transaction_reset(session);
	session->is_over = true;
}
