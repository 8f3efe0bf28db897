/* SPDX-License-Identifier: ISC */
/* The text of a report to the sender. */
#include "queue/bounce.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mailbox_text.h"
#include "base/mem.h"
#include "base/scan.h"
#include "base/utf8.h"
#include "queue/dsn.h"

static bool
is_ascii(const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if ((unsigned char)text[i] >= 128)
			return false;
	return true;
}

/* UTF-8 that is not ASCII: what RFC 6532 and 6533 have types for. */
static bool
is_global(const char *text, size_t length)
{
	uint32_t code;
	size_t at, step;

	if (is_ascii(text, length))
		return false;
	for (at = 0; at < length; at += step) {
		step = text[at] == '\0'
		    ? 1
		    : utf8_decode(text + at, length - at, &code);
		if (step == 0)
			return false;
	}
	return true;
}

/* The actions (RFC 3464 2.3.3), and the class of status that each has. */
static const struct {
	const char *word;
	char class;
} actions[] = {
	[BOUNCE_FAILED] = { "failed", '5' },
	[BOUNCE_DELIVERED] = { "delivered", '2' },
	[BOUNCE_RELAYED] = { "relayed", '2' },
	[BOUNCE_DELAYED] = { "delayed", '4' },
};

static const char dsn_line[] = "DSN: ";
static const char expired_text[] =
    "I'm not going to try again; this message has been in the queue too "
    "long.\n";
static const char remote_said[] = "Remote host said: ";

/* A paragraph of notes, as it is read. */
struct paragraph {
	enum bounce_action action;
	time_t at; /* 0: an older release's */
	const char *address, *text, *orcpt;
	size_t address_length, text_length, orcpt_length;
};

/* -- notes */

void
bounce_put_note(struct buf *buf, const struct bounce_note *note)
{
	const char *at = note->text;

	buf_addc(buf, '<');
	mailbox_put_quoted(buf, note->address);
	buf_adds(buf, ">:\n");
	while (*at != '\0') {
		size_t length = strcspn(at, "\n");

		if (length > 0) {
			buf_add(buf, at, length);
			buf_addc(buf, '\n');
		}
		at += length + (at[length] == '\n');
	}
	if (note->is_expired)
		buf_adds(buf, expired_text);
	buf_addf(buf, "%s%s %lld", dsn_line, actions[note->action].word,
	    (long long)note->at);
	if (note->orcpt != NULL) {
		buf_adds(buf, " ORCPT=");
		buf_add(buf, note->orcpt, note->orcpt_length);
	}
	buf_adds(buf, "\n\n");
}

/* Takes the last line of the text, if it is what bounce_put_note() adds. */
static void
take_dsn_line(struct paragraph *paragraph)
{
	const char *text = paragraph->text;
	const char *end = text + paragraph->text_length - 1;
	const char *line = paragraph->text_length == 0
	    ? NULL
	    : memrchr(text, '\n', (size_t)(end - text));
	struct dsn_recipient dsn;
	uint64_t at;
	size_t i, length;

	if (paragraph->text_length == 0 || *end != '\n')
		return;
	line = line == NULL ? text : line + 1;
	if ((size_t)(end - line) < sizeof(dsn_line) ||
	    strncmp(line, dsn_line, sizeof(dsn_line) - 1) != 0)
		return;
	paragraph->text_length = (size_t)(line - text);
	line += sizeof(dsn_line) - 1;
	length = strcspn(line, " \n");
	for (i = 0; i < sizeof(actions) / sizeof(actions[0]); i++)
		if (strlen(actions[i].word) == length &&
		    strncmp(line, actions[i].word, length) == 0)
			paragraph->action = (enum bounce_action)i;
	line += length + (line[length] == ' ');
	length = strspn(line, "0123456789");
	if (scan_u64n(line, length, INT64_MAX, &at))
		paragraph->at = (time_t)at;
	line += length;
	if (end > line && strncmp(line, " ORCPT=", 7) == 0) {
		dsn = (struct dsn_recipient){ .orcpt = NULL };
		if (dsn_set_orcpt(&dsn, line + 7, (size_t)(end - line) - 7)) {
			paragraph->orcpt = dsn.orcpt;
			paragraph->orcpt_length = dsn.orcpt_length;
		}
	}
}

/* The next of notes, which it moves on; false at their end. */
static bool
next_paragraph(const char **notes, struct paragraph *out)
{
	while (**notes != '\0') {
		/* A note ends with an empty line before the next "<". */
		const char *note = *notes, *end = strstr(note, "\n\n<"), *colon;
		size_t length = end == NULL ? strlen(note)
					    : (size_t)(end - note) + 2;

		*notes += length;
		colon = memmem(note, length, ">:\n", 3);
		if (note[0] != '<' || colon == NULL)
			continue;
		*out = (struct paragraph){ .action = BOUNCE_FAILED,
			.address = note + 1,
			.address_length = (size_t)(colon - note) - 1,
			.text = colon + 3,
			.text_length = (size_t)(note + length - colon) - 3 };
		while (out->text_length > 1 &&
		    memcmp(out->text + out->text_length - 2, "\n\n", 2) == 0)
			out->text_length--;
		take_dsn_line(out);
		return true;
	}
	return false;
}

static bool
has_action(const char *notes, enum bounce_action action)
{
	struct paragraph paragraph;

	while (next_paragraph(&notes, &paragraph))
		if (paragraph.action == action)
			return true;
	return false;
}

/* Something of another system's, which is shown as it is. */
static bool
is_foreign(const char *notes)
{
	struct paragraph paragraph;

	return *notes != '\0' && !next_paragraph(&notes, &paragraph);
}

bool
bounce_has_failure(const char *notes)
{
	return has_action(notes, BOUNCE_FAILED) || is_foreign(notes);
}

void
bounce_walk_failures(const char *notes,
    void (*tell)(const char *address, const char *text, void *context),
    void *context)
{
	struct paragraph paragraph;

	while (next_paragraph(&notes, &paragraph)) {
		char *address, *text;

		if (paragraph.action != BOUNCE_FAILED)
			continue;
		address = xstrndup(paragraph.address, paragraph.address_length);
		text = xstrndup(paragraph.text, paragraph.text_length);
		tell(address, text, context);
		free(address);
		free(text);
	}
}

/* -- statuses and remote hosts, out of texts */

/* The length of a status (RFC 3463) of this class; 0 when it is none. */
static size_t
status_length(const char *text, size_t left, char class)
{
	size_t end = 0, dots = 0;

	while (end < left && end < 12 &&
	    (isdigit((unsigned char)text[end]) || text[end] == '.')) {
		dots += text[end] == '.';
		end++;
	}
	return end >= 5 && dots == 2 && text[0] == class && text[1] == '.' &&
		text[end - 1] != '.'
	    ? end
	    : 0;
}

/*
 * The status of a text: "(#5.1.1)", or that of the remote host's reply, "550
 * 5.1.1 text", of the class that the action has.
 */
static void
put_status(struct buf *buf, const struct paragraph *paragraph)
{
	const char *text = paragraph->text, *said;
	size_t length = paragraph->text_length, i, found;
	char class = actions[paragraph->action].class;

	said = memmem(text, length, remote_said, sizeof(remote_said) - 1);
	if (said != NULL) {
		size_t at = (size_t)(said - text) + sizeof(remote_said) - 1 + 4;

		found = at < length
		    ? status_length(text + at, length - at, class)
		    : 0;
		if (found > 0) {
			buf_add(buf, text + at, found);
			return;
		}
	}
	for (i = 0; i + 7 <= length; i++) {
		if (memcmp(text + i, "(#", 2) != 0)
			continue;
		found = status_length(text + i + 2, length - i - 2, class);
		if (found > 0 && i + 2 + found < length &&
		    text[i + 2 + found] == ')') {
			buf_add(buf, text + i + 2, found);
			return;
		}
	}
	if (paragraph->action == BOUNCE_FAILED &&
	    memmem(text, length, expired_text, sizeof(expired_text) - 1) !=
		NULL)
		buf_adds(buf, "5.4.7"); /* RFC 3463: delivery time expired */
	else
		buf_addf(buf, "%c.0.0", class);
}

/* A text on one line, without what a header may not have, in UTF-8. */
static void
put_line(struct buf *buf, const char *text, size_t length)
{
	uint32_t code;
	size_t i, step;

	while (length > 0 && text[length - 1] == '\n')
		length--;
	for (i = 0; i < length && i < 900; i += step == 0 ? 1 : step) {
		step = utf8_decode(text + i, length - i, &code);
		if (step == 0)
			buf_addc(buf, '?');
		else if (code < ' ')
			buf_addc(buf, ' ');
		else
			buf_add(buf, text + i, step);
	}
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

/*
 * The host of the remote side's texts: "Giving up on HOST.", or "[Connected to
 * ] HOST does not like recipient." before what it said.
 */
static bool
find_remote_host(const char *text, size_t length, const char **host_out,
    size_t *host_length_out)
{
	static const char giving_up[] = "Giving up on ";
	static const char connected[] = "Connected to ";
	const char *at = memmem(text, length, giving_up, sizeof(giving_up) - 1);
	size_t left, i;

	if (at != NULL)
		at += sizeof(giving_up) - 1;
	else if (memmem(text, length, remote_said, sizeof(remote_said) - 1) ==
	    NULL)
		return false;
	else
		at = strncmp(text, connected, sizeof(connected) - 1) == 0
		    ? text + sizeof(connected) - 1
		    : text;
	left = (size_t)(text + length - at);
	for (i = 0; i < left && i < 255 &&
	     (isalnum((unsigned char)at[i]) || strchr("-.:_", at[i]) != NULL);
	     i++)
		;
	while (i > 0 && at[i - 1] == '.')
		i--;
	*host_out = at;
	*host_length_out = i;
	return i > 0 && memchr(at, '.', i) != memchr(at, ':', i);
}

static void
put_remote_host(struct buf *buf, const char *text, size_t length)
{
	const char *host;
	size_t host_length, i;
	bool is_address = true, has_colon = false;

	if (!find_remote_host(text, length, &host, &host_length))
		return;
	for (i = 0; i < host_length; i++) {
		is_address &= strchr("0123456789.", host[i]) != NULL;
		has_colon |= host[i] == ':';
	}
	is_address |= has_colon;
	buf_adds(buf, is_address ? "Remote-MTA: dns; [" : "Remote-MTA: dns; ");
	buf_add(buf, host, host_length);
	buf_adds(buf, is_address ? "]\n" : "\n");
}

/* The remote host's reply, or all that there is for people. */
static void
put_diagnostic(struct buf *buf, const char *text, size_t length)
{
	const char *said = memmem(
	    text, length, remote_said, sizeof(remote_said) - 1);
	const char *end;

	if (said == NULL) {
		buf_adds(buf, "Diagnostic-Code: X-mqmail; ");
		put_line(buf, text, length);
	} else {
		said += sizeof(remote_said) - 1;
		length -= (size_t)(said - text);
		end = memmem(said, length, "\nGiving up on ", 14);
		buf_adds(buf, "Diagnostic-Code: smtp; ");
		put_line(
		    buf, said, end == NULL ? length : (size_t)(end - said));
	}
	buf_addc(buf, '\n');
}

static void
put_date(struct buf *buf, const char *name, time_t when)
{
	char date[CLOCK_DATE_SIZE];

	clock_date(when, date);
	buf_addf(buf, "%s: %s\n", name, date);
}

/* RFC 3461 5.2: decoded, but for the type in front. */
static void
put_orcpt(struct buf *buf, const char *orcpt, size_t length)
{
	size_t type = (size_t)((const char *)memchr(orcpt, ';', length) -
	    orcpt);

	buf_adds(buf, "Original-Recipient: ");
	buf_add(buf, orcpt, type);
	buf_adds(buf, "; ");
	dsn_put_decoded(buf, orcpt + type + 1, length - type - 1);
	buf_addc(buf, '\n');
}

/* RFC 3464 2.3: the fields of one recipient. */
static void
put_bounce_recipient(struct buf *buf, const struct bounce *bounce,
    const struct paragraph *paragraph)
{
	buf_addc(buf, '\n');
	if (paragraph->orcpt != NULL)
		put_orcpt(buf, paragraph->orcpt, paragraph->orcpt_length);
	buf_adds(buf, "Final-Recipient: ");
	buf_adds(buf,
	    is_ascii(paragraph->address, paragraph->address_length)
		? "rfc822; "
		: "utf-8; "); /* RFC 6533 3 */
	put_noted_address(buf, paragraph->address, paragraph->address_length);
	buf_addf(
	    buf, "\nAction: %s\nStatus: ", actions[paragraph->action].word);
	put_status(buf, paragraph);
	buf_addc(buf, '\n');
	put_remote_host(buf, paragraph->text, paragraph->text_length);
	if (actions[paragraph->action].class != '2')
		put_diagnostic(buf, paragraph->text, paragraph->text_length);
	if (paragraph->at > 0)
		put_date(buf, "Last-Attempt-Date", paragraph->at);
	if (paragraph->action == BOUNCE_DELAYED)
		put_date(buf, "Will-Retry-Until", bounce->expires_at);
}

/* The second part's fields. */
static void
put_fields(struct buf *buf, const struct bounce *bounce)
{
	const char *notes = bounce->notes;
	struct paragraph paragraph;

	if (bounce->envid != NULL) {
		buf_adds(buf, "Original-Envelope-Id: ");
		dsn_put_decoded(buf, bounce->envid, bounce->envid_length);
		buf_addc(buf, '\n');
	}
	buf_addf(buf, "Reporting-MTA: dns; %s\n", bounce->host);
	put_date(buf, "Arrival-Date", bounce->arrived_at);
	while (next_paragraph(&notes, &paragraph))
		put_bounce_recipient(buf, bounce, &paragraph);
}

/* status_type: the subtype of the second part (RFC 6522 3) */
static void
put_header(
    struct buf *buf, const struct bounce *bounce, const char *status_type)
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
	    "Content-Type: multipart/report; report-type=%s;\n"
	    "\tboundary=\"%s\"\n\n",
	    status_type, bounce->boundary);
}

/* Those of an action, as QSBMF has failures, or only their addresses. */
static void
put_paragraphs(struct buf *buf, const char *notes, enum bounce_action action)
{
	struct paragraph paragraph;

	while (next_paragraph(&notes, &paragraph)) {
		if (paragraph.action != action)
			continue;
		if (actions[action].class == '2') {
			buf_adds(buf, "    ");
			buf_add(
			    buf, paragraph.address, paragraph.address_length);
			buf_addc(buf, '\n');
			continue;
		}
		buf_addc(buf, '<');
		buf_add(buf, paragraph.address, paragraph.address_length);
		buf_adds(buf, ">:\n");
		buf_add(buf, paragraph.text, paragraph.text_length);
		buf_addc(buf, '\n');
	}
}

static void
put_successes(struct buf *buf, const char *notes, enum bounce_action action,
    const char *explanation)
{
	if (!has_action(notes, action))
		return;
	buf_adds(buf, explanation);
	put_paragraphs(buf, notes, action);
	buf_addc(buf, '\n');
}

static const char *
explain(const struct bounce *bounce)
{
	if (bounce->explanation != NULL)
		return bounce->explanation;
	return bounce->is_double
	    ? "I tried to deliver a bounce message to this "
	      "address, but the bounce bounced!\n"
	    : "I'm afraid I wasn't able to deliver your message to the "
	      "following addresses.\nThis is a permanent error; I've "
	      "given up. Sorry it didn't work out.\n";
}

/* QSBMF: its first line and the break line are what readers look for. */
static void
put_bounce_text(struct buf *buf, const struct bounce *bounce)
{
	const char *notes = bounce->notes;

	buf_addf(buf,
	    "--%s\nContent-Type: text/plain; charset=utf-8\n"
	    "Content-Transfer-Encoding: 8bit\n\n"
	    "Hi. This is the qmail-send program at %s.\n",
	    bounce->boundary, bounce->host);
	if (bounce_has_failure(notes) || bounce->unnoted > 0) {
		buf_addf(buf, "%s\n", explain(bounce));
		put_paragraphs(buf, notes, BOUNCE_FAILED);
		if (is_foreign(notes))
			buf_adds(buf, notes);
	}
	if (bounce->unnoted > 0)
		buf_addf(buf,
		    "And at least %zu more, for which this report has no "
		    "room.\n\n",
		    bounce->unnoted);
	if (has_action(notes, BOUNCE_DELAYED)) {
		buf_adds(buf,
		    "I haven't been able to deliver your message to the "
		    "following addresses yet.\nI'm still trying; you need not "
		    "send it again.\n\n");
		put_paragraphs(buf, notes, BOUNCE_DELAYED);
	}
	put_successes(buf, notes, BOUNCE_DELIVERED,
	    "Your message was delivered to these addresses.\n\n");
	put_successes(buf, notes, BOUNCE_RELAYED,
	    "Your message was handed to hosts that do not report further, for "
	    "these addresses.\n\n");
	buf_addf(buf, "--- Below this line is %s\n\n",
	    bounce->is_cut ? "the header of the message."
			   : "a copy of the message.");
}

/* The length of a message's header; 0 when it has none. */
static size_t
header_length(const char *message, size_t length)
{
	const char *end;

	if (length > 0 && message[0] == '\n')
		return 0;
	end = memmem(message, length, "\n\n", 2);
	return end == NULL ? length : (size_t)(end - message) + 1;
}

static void
put_original(struct buf *buf, const struct bounce *bounce)
{
	AUTO(buf_release) struct buf copy = BUF_INIT;
	const char *original = bounce->original, *type;
	size_t length = header_length(original, bounce->original_length);

	buf_adds(&copy, "Return-Path: <");
	put_address(&copy, bounce->sender);
	buf_adds(&copy, ">\n");
	buf_add(&copy, original, length);
	/* RFC 6533 4, RFC 6532 3.7 */
	if (is_global(copy.data, copy.length))
		type = bounce->is_cut ? "message/global-headers"
				      : "message/global";
	else
		type = bounce->is_cut ? "text/rfc822-headers"
				      : "message/rfc822";
	if (!bounce->is_cut)
		buf_add(
		    &copy, original + length, bounce->original_length - length);
	buf_addf(buf, "\n--%s\nContent-Type: %s\n", bounce->boundary, type);
	if (!is_ascii(copy.data, copy.length))
		buf_adds(buf, "Content-Transfer-Encoding: 8bit\n");
	buf_addc(buf, '\n');
	buf_add(buf, copy.data, copy.length);
	if (copy.data[copy.length - 1] != '\n')
		buf_addc(buf, '\n');
	buf_addf(buf, "\n--%s--\n", bounce->boundary);
}

void
bounce_format(struct buf *buf, const struct bounce *bounce)
{
	AUTO(buf_release) struct buf fields = BUF_INIT;
	const char *type;

	put_fields(&fields, bounce);
	type = is_ascii(fields.data, fields.length)
	    ? "delivery-status"
	    : "global-delivery-status"; /* RFC 6533 3 */
	put_header(buf, bounce, type);
	put_bounce_text(buf, bounce);
	buf_addf(
	    buf, "--%s\nContent-Type: message/%s\n", bounce->boundary, type);
	if (!is_ascii(fields.data, fields.length))
		buf_adds(buf, "Content-Transfer-Encoding: 8bit\n");
	buf_addc(buf, '\n');
	buf_add(buf, fields.data, fields.length);
	put_original(buf, bounce);
}
