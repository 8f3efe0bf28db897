/* SPDX-License-Identifier: ISC */
/* A Maildir whose messages are sent. */
#include "remote/serial_maildir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "queue/bounce.h"
#include "queue/exitcode.h"
#include "queue/sink.h"

enum { SINK_TIMEOUT_MS = 60 * 1000 };

/* -- which there are */

static void
add_file(struct serial_maildir *maildir, char *name)
{
	struct serial_message message;
	struct error err;
	struct stat st;
	int result = stat(name, &st) == 0 && S_ISREG(st.st_mode)
	    ? serial_message_read(&message, name, maildir->options.prefix, &err)
	    : 0;

	if (result != 1) {
		if (result == -1)
			log_line("warning: %s", err.text);
		maildir->is_left = maildir->is_left || result == -1;
		free(name);
		return;
	}
	serial_message_release(&message);
	maildir->files = xrealloc(
	    maildir->files, (maildir->count + 1) * sizeof(*maildir->files));
	maildir->files[maildir->count++] = (struct serial_file){ .name = name,
		.at = st.st_mtime };
}

static int
scan_part(struct serial_maildir *maildir, const char *part, struct error *err)
{
	DIR *folder = opendir(part);
	struct dirent *entry;

	if (folder == NULL)
		return error_sys(err, "cannot open '%s'", part);
	while ((entry = readdir(folder)) != NULL)
		if (entry->d_name[0] != '.')
			add_file(
			    maildir, xasprintf("%s/%s", part, entry->d_name));
	closedir(folder);
	return 0;
}

static int
compare_age(const void *a, const void *b)
{
	const struct serial_file *x = a, *y = b;

	if (x->at != y->at)
		return x->at < y->at ? -1 : 1;
	return strcmp(x->name, y->name);
}

int
serial_maildir_open(struct serial_maildir *maildir, const char *dir,
    const struct serial_options *options, const struct settings *settings,
    struct error *err)
{
	*maildir = (struct serial_maildir){
		.lock_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC),
		.options = *options,
		.settings = settings,
	};
	if (maildir->lock_fd == -1 || fchdir(maildir->lock_fd) == -1)
		return error_sys(err, "cannot work in '%s'", dir);
	/* Two who send the same message send it twice. */
	if (flock(maildir->lock_fd, LOCK_EX | LOCK_NB) == -1)
		return error_sys(err, "cannot lock '%s'", dir);
	if (scan_part(maildir, "new", err) == -1 ||
	    scan_part(maildir, "cur", err) == -1)
		return -1;
	if (maildir->count > 0)
		qsort(maildir->files, maildir->count, sizeof(*maildir->files),
		    compare_age);
	return 0;
}

void
serial_maildir_release(struct serial_maildir *maildir)
{
	for (size_t i = 0; i < maildir->count; i++)
		free(maildir->files[i].name);
	free(maildir->files);
	file_close(&maildir->lock_fd);
}

/* -- bounces */

static char *
address_of(const struct settings *settings, enum setting_id local,
    enum setting_id host)
{
	return xasprintf("%s@%s", settings_text(settings, local),
	    settings_text(settings, host));
}

/* The report's text; to as in its envelope. */
static void
format_report(const struct serial_maildir *maildir,
    const struct serial_message *message, const char *line, bool is_expired,
    const char *to, struct buf *text)
{
	const struct settings *settings = maildir->settings;
	AUTO(buf_release) struct buf notes = BUF_INIT;
	AUTO(mem_free)
	char *from = address_of(
	    settings, SETTING_bouncefrom, SETTING_bouncehost);
	char boundary[UUID_TEXT_SIZE];
	const struct bounce_note note = { .action = BOUNCE_FAILED,
		.address = message->recipient,
		.text = line,
		.is_expired = is_expired,
		.at = time(NULL) };
	struct uuid uuid;

	uuid_make(&uuid);
	uuid_format(&uuid, boundary);
	bounce_put_note(&notes, &note);
	bounce_format(text,
	    &(struct bounce){ .host = settings_text(settings, SETTING_me),
		.from = from,
		.to = to,
		.subject = "failure notice",
		.boundary = boundary,
		.notes = notes.data,
		.sender = message->sender,
		.is_double = message->sender[0] == '\0',
		.now = note.at,
		.arrived_at = note.at,
		.qp = (unsigned long)getpid(),
		.original = message->text.data + message->body_at,
		.original_length = message->text.length - message->body_at });
}

/* By the program that QMAILQUEUE names, or the qmail-queue beside us. */
static int
queue_report(const char *sender, const char *to, const struct buf *text,
    struct sink_outcome *outcome)
{
	const struct sink_options options = { .queue_base = "",
		.queue_count = 1,
		.timeout_ms = SINK_TIMEOUT_MS };
	const struct sink_envelope envelope = { .sender = sender,
		.recipients = &to,
		.recipient_count = 1,
		.qp = (unsigned long)getpid() };
	struct sink_pool *pool = sink_pool_new(&options);
	struct vars vars = VARS_INIT;
	const char *named = getenv("QMAILQUEUE");
	AUTO(mem_free) char *folder = file_program_dir();
	AUTO(mem_free) char *program = xasprintf("%s/qmail-queue", folder);
	struct sink *sink = NULL;
	int result;

	if (named == NULL || *named == '\0')
		vars_set(&vars, "QMAILQUEUE", program);
	outcome->text[0] = '\0';
	result = sink_open(pool, &vars, NULL, &sink);
	if (result == QQ_OK)
		result = sink_write(sink, text->data, text->length);
	if (result == QQ_OK)
		result = sink_commit(&sink, &envelope, outcome);
	sink_abort(&sink);
	sink_pool_free(&pool);
	vars_release(&vars);
	return result;
}

/* 0: the sender will hear of it, or nobody is to; -1. */
static int
bounce_file(const struct serial_maildir *maildir, const char *name,
    const char *line, bool is_expired)
{
	AUTO(buf_release) struct buf text = BUF_INIT;
	AUTO(mem_free)
	char *postmaster = address_of(maildir->settings, SETTING_doublebounceto,
	    SETTING_doublebouncehost);
	struct serial_message message;
	struct sink_outcome outcome;
	struct error err = { .text = "it has changed" };
	bool is_double;
	const char *to;
	int result;

	if (serial_message_read(
		&message, name, maildir->options.prefix, &err) != 1) {
		log_line("warning: cannot bounce %s: %s", name, err.text);
		return -1;
	}
	is_double = message.sender[0] == '\0';
	to = is_double ? postmaster : message.sender;
	if (strcmp(message.sender, "#@[]") == 0 ||
	    (is_double && postmaster[0] == '@')) {
		log_line("info: discarding %s: triple bounce", name);
		result = QQ_OK;
	} else {
		format_report(maildir, &message, line, is_expired, to, &text);
		result = queue_report(
		    is_double ? "#@[]" : "", to, &text, &outcome);
		if (result != QQ_OK)
			log_line("warning: cannot bounce %s: %s", name,
			    outcome.text[0] != '\0' ? outcome.text
						    : qq_text(result));
	}
	serial_message_release(&message);
	return result == QQ_OK ? 0 : -1;
}

/* -- what becomes of them */

static void
remove_file(struct serial_maildir *maildir, const char *name, const char *what)
{
	if (unlink(name) == 0)
		return;
	log_line("warning: %s, but cannot be removed: %s: %s", what, name,
	    strerror(errno));
	maildir->is_left = true;
}

void
serial_maildir_settle(struct serial_maildir *maildir, struct serial_file *file,
    char outcome, const char *line)
{
	const struct serial_options *options = &maildir->options;
	bool is_expired = outcome == SESSION_TEMPFAIL &&
	    options->has_lifetime &&
	    time(NULL) - file->at > (time_t)options->lifetime_s;
	bool has_failed = outcome == SESSION_PERMFAIL || is_expired;

	file->is_settled = true;
	log_line("info: %s %s: %s", file->name,
	    outcome == SESSION_DELIVERED ? "succeeded"
		: !has_failed            ? "failed temporarily"
		: options->bounces       ? "bounced"
					 : "failed",
	    line);
	if (outcome == SESSION_DELIVERED)
		remove_file(maildir, file->name, "it was delivered");
	else if (has_failed && options->bounces &&
	    bounce_file(maildir, file->name, line, is_expired) == 0)
		remove_file(maildir, file->name, "it was bounced");
	else
		maildir->is_left = true;
}
