/* SPDX-License-Identifier: ISC */
/*
 * Injects the report of what became of a message: into the same queue, unless
 * bouncequeue or a rule names another.  A helper reads the message, writes the
 * report if it is large, runs bounceprocessor, and hands it to another queue.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/program.h"
#include "base/vars.h"
#include "control/envrules.h"
#include "queue/bounce.h"
#include "queue/dsn.h"
#include "queue/exitcode.h"
#include "queue/send.h"
#include "queue/send_body.h"
#include "queue/sink_settings.h"

/* The sender of a double bounce, which is never bounced again. */
static const char double_sender[] = "#@[]";

enum {
	NOTES_READ_BYTES = 8 * 1024 * 1024, /* more than we write ourselves */
	HEADER_READ_BYTES = 256 * 1024,     /* when only that is returned */
	PROCESSOR_MS = 60000,               /* for all failures of one report */
	PROCESSOR_GRACE_MS = 1000,
	PROCESSOR_MESSAGE_FD = 3,
	PROCESSOR_TEXT_MAX = 64 * 1024, /* of an argument */
	SINK_TIMEOUT_MS = 30000
};

static const char delay_subject[] = "delay notice";
static const char success_subject[] = "delivery notice";

struct bounce_way {
	unsigned references; /* the loop's thread counts */
	struct envrules *rules;
	struct sink_pool *sinks;
	char *queue, *processor; /* "" for none */
};

struct report {
	struct work work;
	struct send *send;
	struct message *message; /* settling: nothing of it changes */
	void (*done)(struct message *message, bool is_over);
	struct buf sender, to;
	const char *discarded; /* "double bounce": nobody is to hear of it */
	/* copies: settings may be read again */
	char *host, *from, *subject, *explanation;
	uint64_t max_bytes;
	struct dsn_message dsn; /* of the message */
	bool is_delay;
	time_t expires_at;
	struct uuid uuid;
	struct bounce_way *way;
	/* the helper's */
	struct buf notes; /* of the caller, or read from bounce/ID */
	bool has_notes;   /* else there is no bounce/ID: nothing failed */
	bool reads_notes;
	uint64_t id; /* of the report's file, if it is large */
	bool has_file;
	struct buf text; /* else */
	uint64_t size_bytes;
	bool is_handed_on; /* to another queue or program */
	struct error err;
	int error; /* -1: could not be made, with err */
};

struct bounce_way *
bounce_way_new(
    const struct settings *settings, const struct home *home, struct error *err)
{
	const char *path = settings_text(settings, SETTING_bouncerules);
	struct bounce_way *way;
	struct envrules *rules;
	struct sink_options options;
	int found = envrules_load(path, &rules, err);

	if (found == -1)
		return NULL;
	if (found == 0 && settings_is_set(settings, SETTING_bouncerules)) {
		error_set(err, "%s: no file '%s'; make it, or name none",
		    settings_source(settings, SETTING_bouncerules), path);
		return NULL;
	}
	sink_options_set(&options, settings, home);
	options.timeout_ms = SINK_TIMEOUT_MS;
	way = xcalloc(1, sizeof(*way));
	way->references = 1;
	way->rules = rules;
	way->sinks = sink_pool_new(&options);
	way->queue = xstrdup(settings_text(settings, SETTING_bouncequeue));
	way->processor = xstrdup(
	    settings_text(settings, SETTING_bounceprocessor));
	return way;
}

void
bounce_way_release(struct bounce_way **way_in)
{
	struct bounce_way *way = *way_in;

	*way_in = NULL;
	if (way == NULL || --way->references > 0)
		return;
	envrules_free(&way->rules);
	sink_pool_free(&way->sinks);
	free(way->queue);
	free(way->processor);
	free(way);
}

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

/* The text of bouncemessage, NULL when there is none. */
static char *
join_lines(const struct strlist *lines)
{
	struct buf buf = BUF_INIT;
	size_t i;

	for (i = 0; i < lines->count; i++)
		buf_addf(&buf, "%s\n", lines->items[i]);
	return buf.data;
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
	report->explanation = join_lines(settings_list(settings,
	    is_double ? SETTING_doublebouncemessage : SETTING_bouncemessage));
	report->max_bytes = settings_number(settings, SETTING_bouncemaxbytes);
	report->expires_at = report->message->delays_until;
	report->way = report->send->bounce_way;
	report->way->references++;
}

/*
 * The same for the same message: a report that was queued, and is asked for
 * again because its message's end was not noted, is queued once.
 */
static void
name_report(struct report *report)
{
	const struct message *message = report->message;
	uid_t what = (uid_t)-1; /* no user's */

	if (report->is_delay)
		what -= message->has_delays[ROUTE_REMOTE] ? 2 : 1;
	if (uuid_is_none(&message->uuid))
		uuid_make(&report->uuid);
	else {
		report->uuid = message->uuid;
		uuid_bind(&report->uuid, what);
	}
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

/* RFC 3461 4.3, 6.1; and what needs TLS is not to be shown (RFC 8689 5). */
static bool
wants_header_only(const struct report *report)
{
	const char *notes = report->notes.data;

	return report->is_delay || report->dsn.is_headers_only ||
	    report->dsn.needs_tls ||
	    (!bounce_has_failure(notes) &&
		report->notes.length == strlen(notes));
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
	if (wants_header_only(report)) {
		*is_cut_out = true;
		if (size > HEADER_READ_BYTES)
			size = HEADER_READ_BYTES;
	}
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
		.subject = report->is_delay ? delay_subject
		    : wants_header_only(report) &&
			!bounce_has_failure(notes->data)
		    ? success_subject
		    : report->subject,
		.explanation = report->explanation,
		.envid = report->dsn.envid,
		.envid_length = report->dsn.envid_length,
		.expires_at = report->expires_at,
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

/* A run of bounceprocessor for each failure. */
struct processing {
	const struct report *report;
	const char *program;
	const struct vars *vars;
	int message_fd;
	int64_t end_ms;
};

static void
process_failure(const char *address, const char *text, void *context)
{
	const struct processing *processing = context;
	const struct report *report = processing->report;
	const struct program_fd fds[] = { { processing->message_fd,
	    PROCESSOR_MESSAGE_FD } };
	char message_path[32];
	char *argv[] = { xstrdup(processing->program), message_path,
		xstrndup(text, PROCESSOR_TEXT_MAX),
		xstrdup(report->sender.data), xstrdup(address),
		xstrdup(report->to.data), NULL };
	char **environment = vars_make_environment(processing->vars);
	int64_t left_ms = processing->end_ms - clock_ms();
	struct error err;
	int status = 0, ended = 0;
	size_t i;
	pid_t pid;

	snprintf(message_path, sizeof(message_path), "/dev/fd/%d",
	    PROCESSOR_MESSAGE_FD);
	pid = left_ms <= 0 ? -1
			   : program_start(processing->program, argv,
				 environment, fds, 1, &err);
	if (pid != -1)
		ended = program_wait(pid, (int)left_ms, &status);
	if (ended == 0 && pid != -1)
		program_stop(pid, PROCESSOR_GRACE_MS);
	if (left_ms <= 0 || (pid != -1 && ended == 0))
		log_line("warning: bounceprocessor takes too long for the "
			 "failures of message %" PRIu64,
		    report->message->id);
	else if (pid == -1)
		log_line("warning: cannot run bounceprocessor: %s", err.text);
	else if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		log_line("warning: bounceprocessor failed for message %" PRIu64
			 " (status %d)",
		    report->message->id, status);
	vars_free_environment(environment);
	free(argv[0]);
	for (i = 2; argv[i] != NULL; i++)
		free(argv[i]);
}

/* The message, for the program: mess/ID, or a copy in memory. */
static int
open_message(const struct report *report)
{
	const struct message *message = report->message;
	int fd;

	if (message->body.data == NULL)
		return queue_open_file(
		    report->send->dir, QUEUE_MESS, message->id, O_RDONLY);
	fd = memfd_create("message", MFD_CLOEXEC);
	if (fd != -1 &&
	    file_write_all(
		fd, message->body.data, (size_t)message->size_bytes) == 0 &&
	    lseek(fd, 0, SEEK_SET) == 0)
		return fd;
	if (fd != -1)
		close(fd);
	return -1;
}

static void
run_processor(const struct report *report, const struct vars *vars)
{
	struct processing processing = { .report = report,
		.program = vars_get(vars, "BOUNCEPROCESSOR"),
		.vars = vars,
		.end_ms = clock_ms() + PROCESSOR_MS };

	if (processing.program == NULL)
		processing.program = report->way->processor;
	if (processing.program[0] == '\0' || report->is_delay)
		return;
	processing.message_fd = open_message(report);
	if (processing.message_fd == -1) {
		log_line("warning: cannot read message %" PRIu64
			 " for bounceprocessor: %m",
		    report->message->id);
		return;
	}
	bounce_walk_failures(report->notes.data, process_failure, &processing);
	close(processing.message_fd);
}

/* -- to another queue */

static bool
is_folder(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/*
 * bouncequeue: the folder of a queue, or of several; or, as in the reference, a
 * program in place of qmail-queue.
 */
static void
take_queue(struct vars *vars, const char *queue)
{
	char *mess = xasprintf("%s/mess", queue);

	vars_set(vars,
	    is_folder(mess)        ? "QUEUEDIR"
		: is_folder(queue) ? "QUEUE_BASE"
				   : "QMAILQUEUE",
	    queue);
	free(mess);
}

/*
 * The variables for this report: the rules' over those that bouncequeue makes.
 * Of our own environment none chooses a queue.
 */
static void
choose_queue(const struct report *report, struct vars *vars)
{
	static const char *const names[] = { "QMAILQUEUE", "QUEUEDIR",
		"QUEUE_BASE", "NULLQUEUE", "QQEH" };
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		vars_set(vars, names[i], NULL);
	if (report->way->queue[0] != '\0')
		take_queue(vars, report->way->queue);
	envrules_apply(report->way->rules, report->to.data, vars);
}

static bool
is_elsewhere(const struct vars *vars)
{
	return vars_get(vars, "QMAILQUEUE") != NULL ||
	    vars_get(vars, "QUEUEDIR") != NULL ||
	    vars_get(vars, "QUEUE_BASE") != NULL ||
	    vars_get(vars, "NULLQUEUE") != NULL;
}

static int
hand_on(struct report *report, const struct vars *vars)
{
	const char *to = report->to.data;
	struct sink_envelope envelope = { .sender = report->sender.data,
		.recipients = &to,
		.recipient_count = 1,
		.dsn = report->dsn.needs_tls ? " REQUIRETLS" : NULL,
		.qp = (unsigned long)getpid() };
	struct sink_outcome outcome;
	struct sink *sink;
	int result = sink_open(report->way->sinks, vars, &report->uuid, &sink);

	if (result == QQ_OK) {
		sink_write(sink, report->text.data, report->text.length);
		result = sink_commit(&sink, &envelope, &outcome);
	}
	report->is_handed_on = true;
	return result == QQ_OK
	    ? 0
	    : error_set(&report->err,
		  "cannot hand a bounce to the queue for bounces: %s",
		  qq_text(result));
}

/* Where it goes, with its text made; to our own queue when nothing says. */
static int
send_text(struct report *report, const struct vars *vars)
{
	if (is_elsewhere(vars))
		return hand_on(report, vars);
	report->size_bytes = report->text.length;
	report->has_file = report->size_bytes > report->send->body_max_bytes;
	return report->has_file ? write_report_file(report) : 0;
}

static int
make_report(struct report *report)
{
	AUTO(buf_release) struct buf original = BUF_INIT;
	struct vars vars = VARS_INIT;
	bool is_cut;
	int result = 0;

	if (report->reads_notes)
		result = find_notes(report);
	if (result == -1 || !report->has_notes || report->discarded != NULL)
		return result;
	choose_queue(report, &vars);
	run_processor(report, &vars);
	result = read_original(report, &original, &is_cut);
	if (result == 0)
		format_report(report, &original, is_cut);
	if (result == 0)
		result = send_text(report, &vars);
	vars_release(&vars);
	return result;
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
	free(report->explanation);
	bounce_way_release(&report->way);
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
		.dsn = report->dsn.needs_tls ? " REQUIRETLS" : "",
		.notes = "",
		.uuid = report->uuid,
		.recipients = &to,
		.recipient_count = 1 };

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
	} else if (report->is_handed_on) {
		log_line("bounce msg %" PRIu64 " qp %lu", report->message->id,
		    (unsigned long)getpid());
		end_report(report, true);
	} else
		submit_report(report);
}

static struct report *
new_report(struct message *message,
    void (*done)(struct message *message, bool is_over))
{
	struct report *report = xcalloc(1, sizeof(*report));

	report->send = message->send;
	report->message = message;
	report->done = done;
	dsn_get_message(message->envelope.dsn, &report->dsn);
	return report;
}

static void
post_report(struct report *report)
{
	struct send *send = report->send;

	address_report(report);
	copy_settings(report);
	name_report(report);
	report->id = intake_next_id(send);
	send->jobs_running++;
	work_pool_post(send->helpers, &report->work, run_report, report_made);
}

void
bounce_send(struct message *message, const struct buf *notes,
    void (*done)(struct message *message, bool is_over))
{
	struct report *report = new_report(message, done);

	report->reads_notes = notes == NULL;
	if (notes != NULL) {
		buf_add(&report->notes, notes->data, notes->length);
		report->has_notes = true;
	}
	post_report(report);
}

void
bounce_send_delays(struct message *message,
    void (*done)(struct message *message, bool is_over))
{
	struct report *report = new_report(message, done);

	report->is_delay = report->has_notes = true;
	report->notes = message->delays;
	message->delays = (struct buf)BUF_INIT;
	post_report(report);
}
