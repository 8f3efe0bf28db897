/* SPDX-License-Identifier: ISC */
/* The text of a failure report. */
#include "queue/bounce.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mailbox_text.h"
#include "base/mem.h"

static bool
is_ascii(const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if ((unsigned char)text[i] >= 128)
			return false;
	return true;
}

/*
 * The status (RFC 3463) that a text ends with, as "(#5.1.1)"; only class 5,
 * since this is a report of failures.
 */
static void
put_status(struct buf *buf, const char *text, size_t length)
{
	for (size_t i = 0; i + 7 <= length; i++) {
		size_t end = i + 2;

		if (memcmp(text + i, "(#5.", 4) != 0)
			continue;
		while (end < length &&
		    (isdigit((unsigned char)text[end]) || text[end] == '.'))
			end++;
		if (end < length && text[end] == ')' && end - i < 14) {
			buf_add(buf, text + i + 2, end - i - 2);
			return;
		}
	}
	buf_adds(buf, "5.0.0");
}

/* A text on one line, without what a header may not have. */
static void
put_line(struct buf *buf, const char *text, size_t length)
{
	while (length > 0 && text[length - 1] == '\n')
		length--;
	for (size_t i = 0; i < length && i < 900; i++)
		buf_addc(buf, (unsigned char)text[i] < ' ' ? ' ' : text[i]);
}

/*
 * An address is a peer's word: it must not end its line, and gets the quotes
 * that an envelope has without (RFC 5321 4.1.2).
 */
static void
put_address(struct buf *buf, const char *address)
{
	AUTO(buf_release) struct buf quoted = BUF_INIT;

	mailbox_put_quoted(&quoted, address);
	put_line(buf, quoted.data, quoted.length);
}

/* A note's address, which has its quotes unless an old version wrote it. */
static void
put_noted_address(struct buf *buf, const char *text, size_t length)
{
	AUTO(mem_free) char *address = xstrndup(text, length);

	if (mailbox_is_quoted(address))
		put_line(buf, address, length);
	else
		put_address(buf, address);
}

/* RFC 3464 2.3: the fields of one recipient. */
static void
put_bounce_recipient(struct buf *buf, const char *note, size_t length)
{
	const char *end = memmem(note, length, ">:\n", 3);
	const char *address = note + 1, *text;

	if (note[0] != '<' || end == NULL)
		return;
	text = end + 3;
	buf_adds(buf, "\nFinal-Recipient: ");
	buf_adds(buf,
	    is_ascii(address, (size_t)(end - address))
		? "rfc822; "
		: "utf-8; "); /* RFC 6533 3 */
	put_noted_address(buf, address, (size_t)(end - address));
	buf_adds(buf, "\nAction: failed\nStatus: ");
	put_status(buf, text, (size_t)(note + length - text));
	buf_adds(buf, "\nDiagnostic-Code: X-mqmail; ");
	put_line(buf, text, (size_t)(note + length - text));
	buf_addc(buf, '\n');
}

static void
put_recipients(struct buf *buf, const char *notes)
{
	while (*notes != '\0') {
		/* A note ends with an empty line before the next "<". */
		const char *end = strstr(notes, "\n\n<");
		size_t length = end == NULL ? strlen(notes)
					    : (size_t)(end - notes) + 2;

		put_bounce_recipient(buf, notes, length);
		notes += length;
	}
}

static void
put_header(struct buf *buf, const struct bounce *bounce)
{
	char date[CLOCK_DATE_SIZE];

	clock_date(bounce->now, date);
	buf_addf(buf, "Received: (qmail %lu invoked for bounce); %s\n",
	    bounce->qp, date);
	buf_addf(buf, "Date: %s\nFrom: <", date);
	put_address(buf, bounce->from);
	buf_adds(buf, ">\nTo: <");
	put_address(buf, bounce->to);
	buf_addf(buf, ">\nSubject: %s\n", bounce->subject);
	buf_addf(buf, "Message-ID: <%s@%s>\n", bounce->boundary, bounce->host);
	buf_addf(buf,
	    "Auto-Submitted: auto-replied\n" /* RFC 3834 5 */
	    "MIME-Version: 1.0\n"
	    "Content-Transfer-Encoding: 8bit\n" /* as its parts: RFC 2045 6.4 */
	    "Content-Type: multipart/report; report-type=delivery-status;\n"
	    "\tboundary=\"%s\"\n\n",
	    bounce->boundary);
}

/* QSBMF: its first line and the break line are what readers look for. */
static void
put_bounce_text(struct buf *buf, const struct bounce *bounce)
{
	buf_addf(buf,
	    "--%s\nContent-Type: text/plain; charset=utf-8\n"
	    "Content-Transfer-Encoding: 8bit\n\n"
	    "Hi. This is the qmail-send program at %s.\n",
	    bounce->boundary, bounce->host);
	if (bounce->is_double)
		buf_adds(buf,
		    "I tried to deliver a bounce message to this "
		    "address, but the bounce bounced!\n\n");
	else
		buf_adds(buf,
		    "I'm afraid I wasn't able to deliver your message to the "
		    "following addresses.\nThis is a permanent error; I've "
		    "given up. Sorry it didn't work out.\n\n");
	buf_adds(buf, bounce->notes);
	if (bounce->unnoted > 0)
		buf_addf(buf,
		    "And at least %zu more, for which this report has no "
		    "room.\n\n",
		    bounce->unnoted);
	buf_addf(buf, "--- Below this line is %s\n\n",
	    bounce->is_cut ? "the header of the message."
			   : "a copy of the message.");
}

static void
put_delivery_status(struct buf *buf, const struct bounce *bounce)
{
	char date[CLOCK_DATE_SIZE];

	clock_date(bounce->arrived_at, date);
	buf_addf(buf,
	    "--%s\nContent-Type: message/delivery-status\n\n"
	    "Reporting-MTA: dns; %s\nArrival-Date: %s\n",
	    bounce->boundary, bounce->host, date);
	put_recipients(buf, bounce->notes);
}

static void
put_original(struct buf *buf, const struct bounce *bounce)
{
	size_t length = bounce->original_length;
	const char *end;

	buf_addf(buf, "\n--%s\nContent-Type: %s\n", bounce->boundary,
	    bounce->is_cut ? "text/rfc822-headers" : "message/rfc822");
	if (!is_ascii(bounce->original, length))
		buf_adds(buf, "Content-Transfer-Encoding: 8bit\n");
	buf_adds(buf, "\nReturn-Path: <");
	put_address(buf, bounce->sender);
	buf_adds(buf, ">\n");
	if (bounce->is_cut) {
		end = memmem(bounce->original, length, "\n\n", 2);
		if (end != NULL)
			length = (size_t)(end - bounce->original) + 1;
	}
	buf_add(buf, bounce->original, length);
	if (length > 0 && bounce->original[length - 1] != '\n')
		buf_addc(buf, '\n');
	buf_addf(buf, "\n--%s--\n", bounce->boundary);
}

void
bounce_format(struct buf *buf, const struct bounce *bounce)
{
	put_header(buf, bounce);
	put_bounce_text(buf, bounce);
	put_delivery_status(buf, bounce);
	put_original(buf, bounce);
}
