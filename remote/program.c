/* SPDX-License-Identifier: ISC */
/* A program that sends a message instead of us. */
#include "remote/program.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/vars.h"
#include "remote/output.h"

enum {
	MEMORY_MAX = 1024 * 1024, /* a larger message is copied to a file */
	/* of reports: for each recipient a long text, and the last one */
	OUTPUT_MAX = 1024 * 1024,
	TEXT_MAX = REPLY_TEXT_SIZE
};

/* -- results */

static void
fill_all(struct session_result *results, size_t count,
    enum session_outcome outcome, const char *text)
{
	for (size_t i = 0; i < count; i++)
		results[i] = (struct session_result){ .outcome = outcome,
			.stage = STAGE_OVER,
			.text = xstrdup(text) };
}

static void
fill_trouble(struct session_result *results, size_t count, const char *path,
    const char *what)
{
	char *text = xasprintf(
	    "The program %s that sends mail %s. (#4.3.0)\n", path, what);

	fill_all(results, count, SESSION_TEMPFAIL, text);
	free(text);
}

/* A report without its letter: printable lines, the last one with its end. */
static void
add_text(struct buf *text, const char *report)
{
	size_t left = text->length < TEXT_MAX ? TEXT_MAX - text->length : 0;

	for (; *report != '\0' && left > 0; report++, left--)
		buf_addc(text,
		    (*report >= ' ' && *report <= '~') || *report == '\n'
			? *report
			: ' ');
	if (text->length > 0 && text->data[text->length - 1] != '\n')
		buf_addc(text, '\n');
}

/* The texts of both reports, "" for one that says nothing. */
static struct session_result
make_result(enum session_outcome outcome, const char *first, const char *second)
{
	struct buf text = BUF_INIT;

	add_text(&text, first);
	add_text(&text, second);
	buf_addc(&text, '\0');
	return (struct session_result){
		.outcome = outcome, .stage = STAGE_OVER, .text = text.data
	};
}

/* report NULL: there is none of this recipient. */
static struct session_result
judge_recipient(const char *report, const char *verdict)
{
	if (report == NULL || *report == 'r')
		return make_result((enum session_outcome) * verdict,
		    report == NULL ? "" : report + 1, verdict + 1);
	return make_result(*report == 'h' ? SESSION_PERMFAIL : SESSION_TEMPFAIL,
	    report + 1, "");
}

/*
 * reports = *recipient verdict
 * recipient = ("r" / "h" / "s") text NUL
 * verdict = ("K" / "Z" / "D") text NUL
 *
 * The verdict is the last one.  There are as many of recipients as there are
 * recipients, or none: then it is the verdict that counts for all.
 */
void
remote_program_read(const char *path, const char *reports, size_t length,
    struct session_result *results_out, size_t count)
{
	const char *end = reports + length, *at = reports, *report;
	size_t found = 0, i;

	if (length == 0) {
		fill_trouble(results_out, count, path, "said nothing");
		return;
	}
	if (end[-1] != '\0') {
		fill_trouble(
		    results_out, count, path, "gave a report without its end");
		return;
	}
	while (*at == 'r' || *at == 'h' || *at == 's') {
		found++;
		at += strlen(at) + 1;
		if (at == end) {
			fill_trouble(results_out, count, path,
			    "did not say what became of the message");
			return;
		}
	}
	if ((*at != 'K' && *at != 'Z' && *at != 'D') ||
	    at + strlen(at) + 1 != end || (found != 0 && found != count)) {
		fill_trouble(results_out, count, path,
		    "gave reports that are not those of qmail-remote");
		return;
	}
	for (i = 0, report = reports; i < count; i++) {
		results_out[i] = judge_recipient(
		    found == 0 ? NULL : report, at);
		if (found > 0)
			report += strlen(report) + 1;
	}
}

/* -- the message */

/* 0, or -1 with errno. */
static int
copy_body(int to, const struct session_message *message)
{
	char chunk[65536];
	uint64_t at = 0;

	if (message->body != NULL)
		return file_write_all(to, message->body, message->size_bytes);
	while (at < message->size_bytes) {
		uint64_t left = message->size_bytes - at;
		ssize_t n = pread(message->fd, chunk,
		    left < sizeof(chunk) ? (size_t)left : sizeof(chunk),
		    (off_t)at);

		if (n == -1 && errno == EINTR)
			continue;
		if (n == 0)
			errno = EIO; /* less than was committed */
		if (n <= 0 || file_write_all(to, chunk, (size_t)n) == -1)
			return -1;
		at += (uint64_t)n;
	}
	return 0;
}

/*
 * The body in a file of its own, at its beginning: others read what we have,
 * too, and would share the position.
 */
static int
make_input(const struct session_message *message)
{
	int fd = message->size_bytes <= MEMORY_MAX
	    ? memfd_create("message", MFD_CLOEXEC)
	    : open(P_tmpdir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd == -1 ||
	    (copy_body(fd, message) == 0 && lseek(fd, 0, SEEK_SET) == 0))
		return fd;
	close(fd);
	return -1;
}

/* -- running it */

static char **
make_environment(const struct remote_program *program, const char *header)
{
	AUTO(vars_release) struct vars vars = VARS_INIT;
	char uuid[UUID_TEXT_SIZE];

	uuid_format(program->uuid, uuid);
	vars_set(&vars, "QQEH", *header == '\0' ? NULL : header);
	vars_set(&vars, "MQMAIL_UUID", uuid);
	vars_set(&vars, "QMAILREMOTE", NULL); /* it may run us again */
	vars_set(&vars, "QMAILLOCAL", NULL);
	return vars_make_environment(&vars);
}

static char **
make_arguments(
    const struct remote_program *program, const struct session_message *message)
{
	char **argv = xcalloc(message->recipient_count + 4, sizeof(*argv));

	argv[0] = xstrdup(program->path);
	argv[1] = xstrdup(program->domain);
	argv[2] = xstrdup(message->sender);
	for (size_t i = 0; i < message->recipient_count; i++)
		argv[3 + i] = xstrdup(message->recipients[i].address);
	return argv;
}

static void
run_program(const struct remote_program *program,
    const struct session_message *message, int input_fd,
    struct session_result *results)
{
	char **environment = make_environment(program, message->header);
	char **argv = make_arguments(program, message);
	AUTO(buf_release) struct buf output = BUF_INIT;
	const struct output_run run = { .argv = argv,
		.environment = environment,
		.input_fd = input_fd,
		.output_max = OUTPUT_MAX,
		.timeout_ms = program->timeout_ms };
	struct error err;

	if (output_of(&run, &output, &err) == 0)
		remote_program_read(program->path, output.data, output.length,
		    results, message->recipient_count);
	else {
		log_line("warning: QMAILREMOTE: %s", err.text);
		fill_trouble(results, message->recipient_count, program->path,
		    "failed, see the log of remote");
	}
	vars_free_environment(environment);
	vars_free_environment(argv); /* made alike */
}

/* Who reads them may be a shell's script. */
static bool
has_control(const char *address)
{
	for (; *address != '\0'; address++)
		if ((unsigned char)*address < ' ' || *address == 127)
			return true;
	return false;
}

static bool
is_fit(const struct session_message *message)
{
	bool is_bad = has_control(message->sender);

	for (size_t i = 0; i < message->recipient_count; i++)
		is_bad |= has_control(message->recipients[i].address);
	return !is_bad;
}

void
remote_program_send(const struct remote_program *program,
    const struct session_message *message, struct session_result *results_out)
{
	size_t count = message->recipient_count;
	AUTO(file_close) int input_fd = -1;

	if (!is_fit(message)) {
		fill_all(results_out, count, SESSION_PERMFAIL,
		    "Sorry, an address has a control character. (#5.1.3)\n");
		return;
	}
	/* RFC 8689 4.2.1: nobody knows what the program does */
	if (message->requires_tls) {
		fill_all(results_out, count, SESSION_PERMFAIL,
		    "Sorry, the message may only go to a host that is verified "
		    "by TLS and knows REQUIRETLS. (#5.7.30)\n");
		return;
	}
	input_fd = make_input(message);
	if (input_fd == -1) {
		fill_all(results_out, count, SESSION_TEMPFAIL,
		    "Unable to read message. (#4.3.0)\n");
		return;
	}
	run_program(program, message, input_fd, results_out);
}
