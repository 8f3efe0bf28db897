/* SPDX-License-Identifier: ISC */
/* Answers that a program gives in a user's name. */
#include "delivery/autorespond.h"

#include <openssl/sha.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/scan.h"
#include "delivery/trace.h"

enum {
	TEXT_MAX = 1024 * 1024,
	SUBJECT_MAX = 300,
	REMEMBERED_MAX = 20000 /* senders; then nobody new is answered */
};

/* -- who gets no answer */

static bool
begins_with(const char *text, const char *front)
{
	return strncasecmp(text, front, strlen(front)) == 0;
}

/* Local parts of programs (RFC 3834 2, RFC 5230 4.6). */
static bool
is_program(const char *sender)
{
	static const char *const fronts[] = { "owner-", "mailer-daemon@",
		"listserv@", "majordomo@", "noreply@", "no-reply@",
		"postmaster@" };
	static const char *const ends[] = { "-request", "-owner", "-bounces",
		"-bounce" };
	const char *at = strrchr(sender, '@');
	size_t length = at != NULL ? (size_t)(at - sender) : strlen(sender);

	if (strchr(sender, '@') == NULL)
		return true; /* no address that an answer could go to */
	for (size_t i = 0; i < sizeof(fronts) / sizeof(fronts[0]); i++)
		if (begins_with(sender, fronts[i]))
			return true;
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		size_t end = strlen(ends[i]);

		if (length > end &&
		    strncasecmp(sender + length - end, ends[i], end) == 0)
			return true;
	}
	return strstr(sender, "-@") != NULL || strstr(sender, "@[]") != NULL;
}

static bool
is_named(const struct header *header, const char *const *addresses)
{
	static const char *const names[] = { "To", "Cc", "Bcc", "Resent-To",
		"Resent-Cc", "Resent-Bcc", "Apparently-To" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		for (size_t j = 0; addresses[j] != NULL; j++)
			if (header_names(header, names[i], addresses[j]))
				return true;
	return false;
}

static bool
is_field_one_of(
    const struct header *header, const char *name, const char *const *values)
{
	const char *value = NULL;

	while ((value = header_next(header, name, value)) != NULL)
		for (size_t i = 0; values[i] != NULL; i++)
			if (strcasestr(value, values[i]) != NULL)
				return true;
	return false;
}

const char *
autorespond_why_not(const struct header *header, const char *sender,
    const char *const *addresses)
{
	static const char *const list_fields[] = { "List-Id", "List-Help",
		"List-Post", "List-Unsubscribe", "List-Subscribe", "List-Owner",
		"List-Archive", "Mailing-List", "X-Mailing-List" };
	static const char *const bulk[] = { "bulk", "list", "junk", NULL };
	static const char *const suppress[] = { "All", "OOF", "AutoReply",
		NULL };
	static const char *const spam[] = { "yes", NULL };
	const char *submitted = header_get(header, "Auto-Submitted");

	if (*sender == '\0' || strcmp(sender, "#@[]") == 0)
		return "it has no sender";
	if (is_program(sender))
		return "its sender is a program";
	for (size_t i = 0; addresses[i] != NULL; i++)
		if (strcasecmp(sender, addresses[i]) == 0)
			return "it is the user's own";
	if (submitted != NULL && !begins_with(submitted, "no"))
		return "it is automatic itself";
	for (size_t i = 0; i < sizeof(list_fields) / sizeof(list_fields[0]);
	     i++)
		if (header_get(header, list_fields[i]) != NULL)
			return "it is of a mailing list";
	if (is_field_one_of(header, "Precedence", bulk))
		return "it is bulk mail";
	if (is_field_one_of(header, "X-Auto-Response-Suppress", suppress))
		return "it asks for no answer";
	if (is_field_one_of(header, "X-Spam-Flag", spam))
		return "it is marked as spam";
	if (!is_named(header, addresses))
		return "it does not name the user";
	return NULL;
}

/* -- who was answered */

/* The file of a sender: times of answers, one a line. */
static char *
sender_path(const struct autorespond *answer)
{
	unsigned char digest[SHA256_DIGEST_LENGTH];
	OWN_TEXT lower = xstrdup(answer->sender);
	char name[33];

	for (char *c = lower; *c != '\0'; c++)
		*c = (char)tolower((unsigned char)*c);
	SHA256((unsigned char *)lower, strlen(lower), digest);
	for (size_t i = 0; i < 16; i++)
		snprintf(name + 2 * i, 3, "%02x", digest[i]);
	return xasprintf("%s/%s", answer->folder, name);
}

/* Removes files of senders whose period is over; how many are left, or -1. */
static int
sweep_senders(const struct autorespond *answer, time_t now, struct error *err)
{
	DIR *dir = opendir(answer->folder);
	struct dirent *entry;
	int count = 0;

	if (dir == NULL)
		return error_sys(
		    err, "cannot open folder '%s'", answer->folder);
	while ((entry = readdir(dir)) != NULL) {
		struct stat st;

		if (strspn(entry->d_name, "0123456789abcdef") != 32)
			continue;
		if (fstatat(dirfd(dir), entry->d_name, &st, 0) == 0 &&
		    (uint64_t)st.st_mtime + answer->period_s < (uint64_t)now)
			unlinkat(dirfd(dir), entry->d_name, 0);
		else
			count++;
	}
	closedir(dir);
	return count;
}

/* Those of the times in text that are in the period; and puts them into kept.
 */
static uint64_t
count_answers(
    const struct autorespond *answer, char *text, time_t now, struct buf *kept)
{
	uint64_t count = 0, when;
	char *line;

	while ((line = strsep(&text, "\n")) != NULL) {
		if (!scan_u64(line, INT64_MAX, &when) ||
		    when + answer->period_s <= (uint64_t)now)
			continue;
		buf_addf(kept, "%" PRIu64 "\n", when);
		count++;
	}
	return count;
}

/* -- the answer */

static void
put_unfolded(struct buf *out, const char *value, size_t most)
{
	for (size_t i = 0; value[i] != '\0' && i < most; i++)
		buf_addc(
		    out, iscntrl((unsigned char)value[i]) ? ' ' : value[i]);
}

/* Does the answer's text begin with fields? */
static bool
has_fields(const char *text)
{
	size_t name = strcspn(text, ": \t\r\n");

	return name > 0 && text[name] == ':' &&
	    (strstr(text, "\n\n") != NULL || strstr(text, "\r\n\r\n") != NULL);
}

static void
put_default(struct buf *out, const struct header *own, const char *name,
    const char *value)
{
	if (header_get(own, name) == NULL && value != NULL) {
		buf_addf(out, "%s: ", name);
		put_unfolded(out, value, 900);
		buf_addc(out, '\n');
	}
}

/* The fields of the answer's text that may stay as they are. */
static void
put_own_fields(struct buf *out, const struct header *own)
{
	static const char *const ours[] = { "To", "Cc", "Bcc", "Date",
		"Message-ID", "In-Reply-To", "References", "Auto-Submitted",
		"Return-Path", "Received", "Resent-To" };
	const char *at = own->text.data;
	const char *end = at + own->text.length;

	for (; at < end; at += strlen(at) + 1) {
		bool is_ours = false;

		for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
			is_ours |= begins_with(at, ours[i]) &&
			    at[strlen(ours[i])] == ':';
		if (!is_ours)
			buf_addf(out, "%s\n", at);
	}
}

static void
put_subject(struct buf *out, const struct autorespond *answer)
{
	const char *subject = header_get(answer->header, "Subject");

	buf_addf(out, "Subject: %s", answer->subject_prefix);
	put_unfolded(
	    out, subject != NULL ? subject : "your message", SUBJECT_MAX);
	buf_addc(out, '\n');
}

/* RFC 3834 3.1. */
static void
make_front(const struct autorespond *answer, const char *text, time_t now,
    struct buf *out)
{
	const char *message_id = header_get(answer->header, "Message-ID");
	const char *references = header_get(answer->header, "References");
	bool is_split = has_fields(text);
	struct header own = { .text = BUF_INIT };
	char date[CLOCK_DATE_SIZE], id[UUID_TEXT_SIZE];
	const char *body = text;
	struct uuid uuid;

	header_read(&own, text, is_split ? strlen(text) : 0);
	clock_date(now, date);
	uuid_make(&uuid);
	uuid_format(&uuid, id);
	buf_addf(out, "Date: %s\nMessage-ID: <%s.autoreply@%s>\n", date, id,
	    answer->host);
	put_own_fields(out, &own);
	put_default(out, &own, "From", answer->addresses[0]);
	buf_adds(out, "To: ");
	put_unfolded(out, answer->sender, 900);
	buf_addc(out, '\n');
	if (header_get(&own, "Subject") == NULL)
		put_subject(out, answer);
	if (message_id != NULL) {
		buf_adds(out, "In-Reply-To: ");
		put_unfolded(out, message_id, 900);
		buf_adds(out, "\nReferences: ");
		if (references != NULL &&
		    strlen(references) + strlen(message_id) < 900) {
			put_unfolded(out, references, 900);
			buf_addc(out, ' ');
		}
		put_unfolded(out, message_id, 900);
		buf_addc(out, '\n');
	}
	buf_adds(out, "Auto-Submitted: auto-replied\n");
	put_default(out, &own, "MIME-Version", "1.0");
	put_default(out, &own, "Content-Type", "text/plain; charset=utf-8");
	put_default(out, &own, "Content-Transfer-Encoding", "8bit");
	buf_addc(out, '\n');
	if (is_split) {
		const char *lf = strstr(text, "\n\n");
		const char *crlf = strstr(text, "\n\r\n");

		body = lf != NULL && (crlf == NULL || lf < crlf) ? lf + 2
								 : crlf + 3;
	}
	for (; *body != '\0'; body++)
		if (*body != '\r')
			buf_addc(out, *body);
	if (out->data[out->length - 1] != '\n')
		buf_addc(out, '\n');
	if (answer->has_copy)
		buf_adds(out, "\n----- Your message -----\n\n");
	header_release(&own);
}

static int
send_answer(const struct autorespond *answer, const char *text, time_t now,
    struct error *err)
{
	AUTO(buf_release) struct buf front = BUF_INIT;
	const char *const to[] = { answer->sender };
	struct forward forward = { .of = &answer->uuid,
		.for_whom = answer->recipient,
		.purpose = "answer",
		.sender = "",
		.recipients = to,
		.recipient_count = 1,
		.fd = answer->has_copy ? answer->fd : -1,
		.size_bytes = answer->size_bytes };

	make_front(answer, text, now, &front);
	forward.front = front.data;
	return forward_commit(answer->forwarder, &forward, err);
}

int
autorespond(const struct autorespond *answer, time_t now,
    const char **why_not_out, struct error *err)
{
	AUTO(buf_release) struct buf text = BUF_INIT;
	AUTO(buf_release) struct buf times = BUF_INIT;
	AUTO(buf_release) struct buf kept = BUF_INIT;
	OWN_TEXT path = sender_path(answer);
	int result, senders;

	*why_not_out = autorespond_why_not(
	    answer->header, answer->sender, answer->addresses);
	if (*why_not_out != NULL)
		return 0;
	result = file_read(answer->text_path, TEXT_MAX, &text, err);
	if (result == 0)
		error_set(err, "there is no '%s'", answer->text_path);
	if (result != 1 || file_make_dirs(answer->folder, 0700, err) == -1)
		return -1;
	if (memchr(text.data, '\0', text.length) != NULL)
		return error_set(err, "'%s' has a NUL byte", answer->text_path);
	if (file_read(path, TEXT_MAX, &times, err) == -1)
		return -1;
	buf_addc(&times, '\0');
	if (count_answers(answer, times.data, now, &kept) >= answer->most) {
		*why_not_out = "its sender was answered before";
		return 0;
	}
	senders = sweep_senders(answer, now, err);
	if (senders == -1)
		return -1;
	if (senders >= REMEMBERED_MAX) {
		*why_not_out = "too many senders were answered";
		return 0;
	}
	if (send_answer(answer, text.data, now, err) == -1)
		return -1;
	buf_addf(&kept, "%lld\n", (long long)now);
	return file_replace(path, kept.data, kept.length, 0600, err);
}
