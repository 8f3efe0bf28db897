/* SPDX-License-Identifier: ISC */
/*
 * QMTP (cr.yp.to/proto/qmtp.txt).  A package, any number of which make a
 * session:
 *
 *	netstring of a byte (LF or CR: how lines end) and the message,
 *	netstring of the sender, netstring of netstrings of recipients
 *
 * and the answer: for each recipient a netstring of K, Z or D and a text.
 */
#include <string.h>

#include "base/netstring.h"
#include "smtp/package.h"

static bool
read_message(struct package *package)
{
	uint64_t length;
	char first;

	if (!package_read_length(package, UINT64_MAX, &length))
		return false;
	package_begin(package);
	if (length == 0 || !package_read_byte(package, &first)) {
		package->session->is_over = true;
		return false;
	}
	if (first != '\n' && first != '\r') {
		smtp_log(package->session, "no message begins with byte %d",
		    (unsigned char)first);
		package->session->is_over = true;
		return false;
	}
	return package_read_message(package, length - 1, first == '\r');
}

/*
 * What a recipient was refused with is kept, at the cost of the session's
 * memory, until the message was decided upon: "" stands for one that was taken.
 */
static bool
keep_answer(struct package *package, struct buf *answers)
{
	struct smtp_session *session = package->session;
	const char *answer = session->answer[0] == 'K' ||
		package->verdict[0] != '\0'
	    ? ""
	    : session->answer;

	if (!smtp_session_take_memory(session, strlen(answer) + 1,
		&session->transaction.taken_bytes)) {
		session->is_over = true;
		return false;
	}
	buf_add(answers, answer, strlen(answer) + 1);
	return true;
}

/*
 * What ends a session, such as too many mistakes, ends it behind the package:
 * an answer that never came would have it sent again as it is.
 */
static bool
read_recipients(struct package *package, struct buf *answers)
{
	uint64_t length;

	if (!package_read_length(package, SMTP_RECIPIENTS_BYTES_MAX, &length))
		return false;
	package->left_bytes = length;
	while (package->left_bytes > 0)
		if (!package_read_recipient(package) ||
		    !keep_answer(package, answers))
			return false;
	package->left_bytes = UINT64_MAX;
	return package_end(package);
}

static void
answer_all(struct package *package, const struct buf *answers)
{
	const char *all = package->verdict[0] != '\0'
	    ? package->verdict
	    : package->session->answer;
	struct buf out;
	size_t at;

	buf_init(&out);
	for (at = 0; at < answers->length;
	     at += strlen(answers->data + at) + 1) {
		const char *one = answers->data + at;

		if (*one == '\0')
			one = all;
		buf_reset(&out);
		netstring_put(&out, one, strlen(one));
		stream_write(package->session->stream, out.data, out.length);
	}
	buf_release(&out);
}

void
smtp_qmtp_serve(struct smtp_session *session)
{
	struct package package = { .session = session,
		.left_bytes = UINT64_MAX };
	struct buf answers;

	if (!smtp_session_await(session))
		return;
	session->answer[0] = '\0';
	buf_init(&answers);
	if (read_message(&package) && package_read_sender(&package) &&
	    read_recipients(&package, &answers)) {
		package_finish(&package);
		answer_all(&package, &answers);
	}
	smtp_transaction_reset(session);
	buf_release(&answers);
}
