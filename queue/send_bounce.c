/* SPDX-License-Identifier: ISC */
/*
 * Injects the report of a message's failures, into the same queue.  A helper
 * reads the message, and writes the report if it is large.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "queue/bounce.h"
#include "queue/exitcode.h"
#include "queue/send.h"
#include "queue/send_body.h"

/* The sender of a double bounce, which is never bounced again. */
static const char double_sender[] = "#@[]";

enum {
	NOTES_READ_BYTES = 8 * 1024 * 1024 /* more than we write ourselves */
};

struct report {
	struct work work;
	struct send *send;
	struct message *message; /* settling: nothing of it changes */
	void (*done)(struct message *message, bool is_over);
	struct buf sender, to;
	const char *discarded; /* "double bounce": nobody is to hear of it */
	char *host, *from, *subject; /* copies: settings may be read again */
	uint64_t max_bytes;
	/* the helper's */
	struct buf notes; /* of the caller, or read from bounce/ID */
	bool has_notes;   /* else there is no bounce/ID: nothing failed */
	bool reads_notes;
	uint64_t id; /* of the report's file, if it is large */
	bool has_file;
	struct buf text; /* else */
	uint64_t size_bytes;
	struct error err;
	int error; /* -1: could not be made, with err */
};

/* Who hears of it: from and to of the report, or why nobody does. */
static void
address_report(struct report *report)
{
	const struct settings *settings = report->send->settings;
	const char *original = report->message->envelope.sender;
	size_t length = strlen(original);

	buf_init(&report->sender);
	if (strcmp(original, double_sender) == 0)
		report->discarded = "triple bounce";
	else if (length == 0) {
		const char *user = settings_text(
		    settings, SETTING_doublebounceto);

		if (user[0] == '\0')
			report->discarded = "double bounce";
		buf_adds(&report->sender, double_sender);
		buf_adds(&report->to, user);
		if (strchr(user, '@') == NULL)
			buf_addf(&report->to, "@%s",
			    settings_text(settings, SETTING_doublebouncehost));
	} else {
		/* VERP: list-@host-@[] stands for list-@host. */
		if (length > 4 && strcmp(original + length - 4, "-@[]") == 0)
			length -= 4;
		buf_add(&report->to, original, length);
	}
}

static void
copy_settings(struct report *report)
{
	const struct settings *settings = report->send->settings;
	bool is_double = report->message->envelope.sender[0] == '\0';

	report->host = xstrdup(settings_text(settings, SETTING_me));
	report->from = xasprintf("%s@%s",
	    settings_text(settings, SETTING_bouncefrom),
	    settings_text(settings, SETTING_bouncehost));
	report->subject = xstrdup(settings_text(settings,
	    is_double ? SETTING_doublebouncesubject : SETTING_bouncesubject));
	report->max_bytes = settings_number(settings, SETTING_bouncemaxbytes);
}

/* -- in a helper */

/*
 * Reads bounce/ID, or its first notes when it is larger than a report should
 * be: with a NUL then, for those that follow (bounce_send()).
 */
static int
read_notes_file(int fd, struct buf *notes)
{
	size_t cut;

	buf_init(notes);
	if (queue_read_first(fd, NOTES_READ_BYTES, notes) == -1)
		return -1;
	if (notes->length < NOTES_READ_BYTES)
		return 0;
	if (strlen(notes->data) < notes->length)
		return 0; /* it ends in NULs anyway */
	for (cut = notes->length; cut >= 2; cut--)
		if (memcmp(notes->data + cut - 2, "\n\n", 2) == 0) {
			notes->length = cut;
			break;
		}
	notes->data[notes->length] = '\0';
	buf_addc(notes, '\0');
	return 0;
}

static int
find_notes(struct report *report)
{
	uint64_t id = report->message->id;
	AUTO(file_close)
	int fd = queue_open_file(report->send->dir, QUEUE_BOUNCE, id, O_RDONLY);

	report->has_notes = fd != -1;
	if (fd == -1 ? errno == ENOENT
		     : read_notes_file(fd, &report->notes) == 0)
		return 0;
	return error_sys(&report->err, "cannot read bounce/%" PRIu64, id);
}

/* Reads the message that failed, or its first bytes. */
static int
read_original(struct report *report, struct buf *original, bool *is_cut_out)
{
	struct send *send = report->send;
	const struct message *message = report->message;
	uint64_t max = report->max_bytes;
	uint64_t size = message->size_bytes;
	struct stat st;
	AUTO(file_close)
	int fd = message->body.data != NULL
	    ? -1
	    : queue_open_file(send->dir, QUEUE_MESS, message->id, O_RDONLY);

	if (message->is_unsized && fd != -1 && fstat(fd, &st) == 0)
		size = (uint64_t)st.st_size;
	*is_cut_out = max > 0 && size > max;
	if (*is_cut_out)
		size = max;
	if (message->body.data != NULL) {
		buf_add(original, message->body.data, (size_t)size);
		return 0;
	}
	buf_init(original);
	if (fd != -1 && queue_read_first(fd, (size_t)size, original) == 0) {
		if (original->length >= size)
			return 0;
		errno = ENODATA; /* never less than was committed */
	}
	return error_sys(&report->err,
	    "cannot read mess/%" PRIu64 " for a bounce", message->id);
}

static void
format_report(struct report *report, const struct buf *original, bool is_cut)
{
	char boundary[UUID_TEXT_SIZE];
	struct uuid uuid;
	const struct message *message = report->message;
	const struct buf *notes = &report->notes;
	struct bounce bounce = { .host = report->host,
		.from = report->from,
		.to = report->to.data,
		.subject = report->subject,
		.boundary = boundary,
		.notes = notes->data,
		.unnoted = notes->length - strlen(notes->data),
		.sender = message->envelope.sender,
		.is_double = message->envelope.sender[0] == '\0',
		.arrived_at = message->birth,
		.now = time(NULL),
		.qp = (unsigned long)getpid(),
		.original = original->data,
		.original_length = original->length,
		.is_cut = is_cut };

	uuid_make(&uuid);
	uuid_format(&uuid, boundary);
	bounce_format(&report->text, &bounce);
}

/* A report that is too large for the journal has its file, as such mail. */
static int
write_report_file(struct report *report)
{
	struct body_file *file = body_file_new(
	    report->send->dir, report->send->bodies, report->id);
	int result;

	file->waiting = report->text;
	report->text = (struct buf)BUF_INIT;
	file->is_whole = true;
	body_file_run(file);
	if (file->result == QQ_OK) {
		body_file_free(&file);
		return 0;
	}
	result = error_set(
	    &report->err, "cannot write a bounce: %s", file->err.text);
	body_file_discard(&file);
	return result;
}

static int
make_report(struct report *report)
{
	AUTO(buf_release) struct buf original = BUF_INIT;
	bool is_cut;
	int result = 0;

	if (report->reads_notes)
		result = find_notes(report);
	if (result == -1 || !report->has_notes || report->discarded != NULL)
		return result;
	result = read_original(report, &original, &is_cut);
	if (result == 0)
		format_report(report, &original, is_cut);
	report->size_bytes = report->text.length;
	report->has_file = report->size_bytes > report->send->body_max_bytes;
	return result == 0 && report->has_file ? write_report_file(report)
					       : result;
}

static void
run_report(struct work *work)
{
	struct report *report = (struct report *)work;

	report->error = make_report(report);
}

/* -- in the event loop */

static void
end_report(struct report *report, bool is_over)
{
	report->done(report->message, is_over);
	buf_release(&report->sender);
	buf_release(&report->to);
	buf_release(&report->notes);
	buf_release(&report->text);
	free(report->host);
	free(report->from);
	free(report->subject);
	free(report);
}

static void
report_queued(
    struct intake_message *intake, int result, uint64_t id, const char *text)
{
	struct report *report = intake->context;

	report->send->jobs_running--;
	if (result != QQ_OK)
		log_line("warning: cannot inject a bounce: %s; will try again",
		    text);
	if (report->has_file && (result != QQ_OK || id != report->id))
		settle_forget(report->send, report->id);
	buf_release(&intake->record);
	buf_release(&intake->body);
	free(intake);
	end_report(report, result == QQ_OK);
}

static void
submit_report(struct report *report)
{
	const char *to = report->to.data;
	struct intake_message *intake = xcalloc(1, sizeof(*intake));
	struct envelope envelope = { .uid = getuid(),
		.qp = (unsigned long)getpid(),
		.has_size = true,
		.size_bytes = report->size_bytes,
		.sender = report->sender.data,
		.header = "",
		.notes = "",
		.recipients = &to,
		.recipient_count = 1 };

	/*
	 * The same for the same message: a report that was queued, and is asked
	 * for again because its message's end was not noted, is queued once.
	 */
	if (uuid_is_none(&report->message->uuid))
		uuid_make(&envelope.uuid);
	else {
		envelope.uuid = report->message->uuid;
		uuid_bind(&envelope.uuid, (uid_t)-1); /* no user's */
	}
	envelope_format(&intake->record, &envelope);
	intake->uuid = envelope.uuid;
	intake->uid = getuid();
	intake->qp = envelope.qp;
	intake->size_bytes = report->size_bytes;
	intake->has_file = report->has_file;
	intake->id = report->id;
	if (!report->has_file) {
		intake->body = report->text;
		report->text = (struct buf)BUF_INIT;
	}
	intake->done = report_queued;
	intake->context = report;
	report->send->jobs_running++;
	message_submit(report->send, intake, report->message->id);
}

static void
report_made(struct work *work)
{
	struct report *report = (struct report *)work;

	report->send->jobs_running--;
	if (report->error == -1) {
		log_line("alert: %s; will try again", report->err.text);
		end_report(report, false);
	} else if (!report->has_notes)
		end_report(report, true); /* nothing has failed */
	else if (report->discarded != NULL) {
		log_line("%s: discarding bounce/%" PRIu64, report->discarded,
		    report->message->id);
		end_report(report, true);
	} else
		submit_report(report);
}

void
bounce_send(struct message *message, const struct buf *notes,
    void (*done)(struct message *message, bool is_over))
{
	struct report *report = xcalloc(1, sizeof(*report));
	struct send *send = message->send;

	report->send = send;
	report->message = message;
	report->done = done;
	report->reads_notes = notes == NULL;
	if (notes != NULL) {
		buf_add(&report->notes, notes->data, notes->length);
		report->has_notes = true;
	}
	address_report(report);
	copy_settings(report);
	report->id = intake_next_id(send);
	send->jobs_running++;
	work_pool_post(send->helpers, &report->work, run_report, report_made);
}
