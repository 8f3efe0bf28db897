/* SPDX-License-Identifier: ISC */
/* Injects the report of a message's failures, into the same queue. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "queue/bounce.h"
#include "queue/exitcode.h"
#include "queue/send.h"

/* The sender of a double bounce, which is never bounced again. */
static const char double_sender[] = "#@[]";

enum { BOUNDARY_SIZE = 40 };

struct report {
	struct send *send;
	struct message *message;
	void (*done)(struct send *send, struct message *message, bool is_over);
	struct buf record;
};

/* Who hears of it: from and to of the report; false when nobody. */
static bool
address_report(struct send *send, const struct message *message,
    struct buf *sender, struct buf *to)
{
	const char *original = message->sender;
	size_t length = strlen(original);

	if (strcmp(original, double_sender) == 0) {
		log_line(
		    "triple bounce: discarding bounce/%" PRIu64, message->id);
		return false;
	}
	if (length == 0) {
		const char *user = settings_text(
		    send->settings, SETTING_doublebounceto);

		if (user[0] == '\0') {
			log_line("double bounce: discarding bounce/%" PRIu64,
			    message->id);
			return false;
		}
		buf_adds(sender, double_sender);
		buf_adds(to, user);
		if (strchr(user, '@') == NULL)
			buf_addf(to, "@%s",
			    settings_text(
				send->settings, SETTING_doublebouncehost));
		return true;
	}
	/* VERP: list-@host-@[] stands for list-@host. */
	if (length > 4 && strcmp(original + length - 4, "-@[]") == 0)
		length -= 4;
	buf_adds(sender, "");
	buf_add(to, original, length);
	return true;
}

/* Reads the message that failed, or its first bytes. */
static int
read_original(struct send *send, const struct message *message,
    struct buf *original, bool *is_cut_out)
{
	uint64_t max = settings_number(send->settings, SETTING_bouncemaxbytes);
	int fd = queue_open_file(send->dir, QUEUE_MESS, message->id, O_RDONLY);
	struct stat st;
	size_t length;
	ssize_t n;

	if (fd == -1)
		return -1;
	if (fstat(fd, &st) == -1) {
		close(fd);
		return -1;
	}
	*is_cut_out = max > 0 && (uint64_t)st.st_size > max;
	length = *is_cut_out ? (size_t)max : (size_t)st.st_size;
	buf_reserve(original, length);
	n = pread(fd, original->data, length, 0);
	if (n > 0) {
		original->length = (size_t)n;
		original->data[n] = '\0';
	}
	close(fd);
	return n == -1 ? -1 : 0;
}

static void
make_boundary(char boundary[BOUNDARY_SIZE])
{
	unsigned char random[12];
	size_t i;

	if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
		memset(random, 0, sizeof(random));
	for (i = 0; i < sizeof(random); i++)
		snprintf(boundary + 2 * i, 3, "%02x", random[i]);
}

static void
format_report(struct send *send, const struct message *message,
    const struct buf *notes, const char *to, const struct buf *original,
    bool is_cut, struct buf *text)
{
	char boundary[BOUNDARY_SIZE];
	const struct settings *settings = send->settings;
	bool is_double = message->sender[0] == '\0';
	char *from = xasprintf("%s@%s",
	    settings_text(settings, SETTING_bouncefrom),
	    settings_text(settings, SETTING_bouncehost));
	struct bounce bounce = { .host = settings_text(settings, SETTING_me),
		.from = from,
		.to = to,
		.subject = settings_text(settings,
		    is_double ? SETTING_doublebouncesubject
			      : SETTING_bouncesubject),
		.boundary = boundary,
		.notes = notes->data,
		.unnoted = notes->length - strlen(notes->data),
		.sender = message->sender,
		.is_double = is_double,
		.arrived_at = message->birth,
		.now = time(NULL),
		.qp = (unsigned long)getpid(),
		.original = original->data,
		.original_length = original->length,
		.is_cut = is_cut };

	make_boundary(boundary);
	bounce_format(text, &bounce);
	free(from);
}

static void
report_done(struct commit_job *job, void *context)
{
	struct report *report = context;
	struct send *send = report->send;

	send->commits_running--;
	if (job->result == QQ_OK)
		message_new(send, job, &report->record, report->message->id);
	else
		log_line("warning: cannot inject a bounce: %s; will try again",
		    job->err.text);
	job->text[COMMIT_RECORD] = (struct buf)BUF_INIT; /* the report's */
	report->done(send, report->message, job->result == QQ_OK);
	buf_release(&report->record);
	free(report);
	commit_job_free(&job);
}

/* Writes the text into a spare file and has it committed.  0 or -1. */
static int
inject(struct report *report, const struct buf *text, const char *sender,
    const char *to, struct error *err)
{
	struct send *send = report->send;
	struct envelope envelope = { .uid = getuid(),
		.qp = (unsigned long)getpid(),
		.sender = sender,
		.header = "",
		.recipients = &to,
		.recipient_count = 1 };
	struct commit_job *job;
	struct spare spare;

	if (spare_take(send->spares, &spare, err) == -1)
		return -1;
	if (pwrite(spare.mess_fd, text->data, text->length, 0) !=
	    (ssize_t)text->length) {
		error_sys(err, "cannot write a bounce");
		spare_give(send->spares, &spare);
		return -1;
	}
	envelope_format(&report->record, &envelope);
	job = commit_job_new(COMMIT_NEW, spare.id);
	job->spare = spare;
	job->size_bytes = text->length;
	job->text[COMMIT_RECORD] = report->record; /* borrowed: only read */
	job->done = report_done;
	job->context = report;
	message_commit(send, job);
	return 0;
}

void
bounce_send(struct send *send, struct message *message, const struct buf *notes,
    void (*done)(struct send *send, struct message *message, bool is_over))
{
	struct buf sender = BUF_INIT, to = BUF_INIT, text = BUF_INIT;
	struct buf original = BUF_INIT;
	struct report *report = xcalloc(1, sizeof(*report));
	bool is_cut, is_posted = false, is_over = false;
	struct error err;

	*report = (struct report){
		.send = send, .message = message, .done = done
	};
	if (!address_report(send, message, &sender, &to))
		is_over = true;
	else if (read_original(send, message, &original, &is_cut) == -1)
		log_line("alert: cannot read mess/%" PRIu64
			 " for a bounce: %m; will try again",
		    message->id);
	else {
		format_report(
		    send, message, notes, to.data, &original, is_cut, &text);
		is_posted = inject(report, &text, sender.data, to.data, &err) ==
		    0;
		if (!is_posted)
			log_line("warning: %s; will try again", err.text);
	}
	buf_release(&sender);
	buf_release(&to);
	buf_release(&text);
	buf_release(&original);
	if (is_posted)
		return;
	free(report);
	done(send, message, is_over);
}
