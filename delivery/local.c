/* SPDX-License-Identifier: ISC */
/* Does what the lines of a .qmail file say. */
#include "delivery/local.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/strlist.h"
#include "delivery/local_private.h"
#include "delivery/run_program.h"
#include "delivery/trace.h"

enum { PROGRAM_GRACE_MS = 2000 };

void
local_result_set(struct local_result *result, enum job_outcome outcome,
    const char *format, ...)
{
	size_t length;
	va_list args;

	result->outcome = outcome;
	va_start(args, format);
	vsnprintf(result->text, sizeof(result->text) - 1, format, args);
	va_end(args);
	length = strlen(result->text);
	for (size_t i = 0; i < length; i++) {
		unsigned char c = (unsigned char)result->text[i];

		if (c != '\n' && (c < ' ' || c == 127))
			result->text[i] = '?';
	}
	if (length > 0 && result->text[length - 1] == '\n')
		return;
	result->text[length] = '\n';
	result->text[length + 1] = '\0';
}

void
local_result_did(struct local_result *result)
{
	local_result_set(result, JOB_DELIVERED, "did %u+%u+%u", result->files,
	    result->forwards, result->programs);
}

char *
local_new_sender(const char *sender, const char *name, const char *host,
    bool has_owner, bool has_owner_default)
{
	if (!has_owner || *sender == '\0' || strcmp(sender, "#@[]") == 0)
		return xstrdup(sender);
	return has_owner_default ? xasprintf("%s-owner-@%s-@[]", name, host)
				 : xasprintf("%s-owner@%s", name, host);
}

/* -- programs */

/* The exit codes of qmail-command(8), and those of sysexits.h that it knows. */
static enum job_outcome
outcome_of_exit(int code)
{
	switch (code) {
	case 0:
	case 99:
		return JOB_DELIVERED;
	case 100:
	case 64:
	case 65:
	case 70:
	case 76:
	case 77:
	case 78:
	case 112:
		return JOB_PERMFAIL;
	}
	return JOB_TEMPFAIL;
}

/* True when the program said that no further line counts. */
static bool
take_end(const struct run_program *run, struct local_result *result)
{
	int code = WIFEXITED(run->status) ? WEXITSTATUS(run->status) : 111;

	if (run->was_stopped)
		local_result_set(result, JOB_TEMPFAIL,
		    "A program of the .qmail file took too long and was "
		    "stopped. (#4.3.0)");
	else if (WIFSIGNALED(run->status))
		local_result_set(
		    result, JOB_TEMPFAIL, "Aack, child crashed. (#4.3.0)");
	else if (outcome_of_exit(code) == JOB_DELIVERED)
		result->outcome = JOB_DELIVERED;
	else if (run->output[0] != '\0')
		local_result_set(
		    result, outcome_of_exit(code), "%s", run->output);
	else
		local_result_set(result, outcome_of_exit(code),
		    "A program of the .qmail file exited with %d. (#%d.3.0)",
		    code, outcome_of_exit(code) == JOB_PERMFAIL ? 5 : 4);
	return result->outcome == JOB_DELIVERED && code == 99;
}

static bool
run_command(const struct local_delivery *delivery, const char *command,
    struct local_result *result)
{
	AUTO(vars_release) struct vars vars = VARS_INIT;
	char *copy = xstrdup(command), sh[] = "sh", c[] = "-c";
	char *const argv[] = { sh, c, copy, NULL };
	struct run_program run = { .program = "/bin/sh",
		.argv = argv,
		.fd = delivery->fd,
		.timeout_ms = delivery->program_timeout_ms,
		.grace_ms = PROGRAM_GRACE_MS,
		.is_stopping = delivery->is_stopping };
	char **environment;
	struct error err;
	bool is_last = false;

	local_set_variables(delivery, &vars);
	environment = vars_make_environment(&vars);
	run.environment = environment;
	result->programs++;
	if (lseek(delivery->fd, 0, SEEK_SET) == -1) {
		error_sys(&err, "cannot read the message");
		local_result_set(
		    result, JOB_TEMPFAIL, "%s. (#4.3.0)", err.text);
	} else if (run_program(&run, &err) == -1)
		local_result_set(result, JOB_TEMPFAIL,
		    "Unable to run: %s. (#4.3.0)", err.text);
	else
		is_last = take_end(&run, result);
	vars_free_environment(environment);
	free(copy);
	return is_last;
}

static bool
go_home(const struct local_delivery *delivery, struct local_result *result)
{
	if (chdir(delivery->home) == 0)
		return true;
	local_result_set(result, JOB_TEMPFAIL,
	    "Unable to switch to %.300s: %s. (#4.3.0)", delivery->home,
	    strerror(errno));
	return false;
}

void
local_run_program(const struct local_delivery *delivery, const char *command,
    struct local_result *result_out)
{
	*result_out = (struct local_result){ .outcome = JOB_DELIVERED };
	if (!go_home(delivery, result_out))
		return;
	run_command(delivery, command, result_out);
	if (result_out->outcome == JOB_DELIVERED)
		local_result_did(result_out);
}

/* -- forwards */

/* By one message, from this sender.  False, with the outcome, if it failed. */
static bool
forward_as(const struct local_delivery *delivery, const char *sender,
    const char *const *recipients, size_t count, struct local_result *result)
{
	AUTO(buf_release) struct buf front = BUF_INIT;
	struct forward forward = { .of = &delivery->uuid,
		.for_whom = delivery->recipient,
		.purpose = "forward",
		.sender = sender,
		.recipients = recipients,
		.recipient_count = count,
		.fd = delivery->fd,
		.size_bytes = delivery->size_bytes };
	struct error err;

	trace_put_delivered_to(&front, delivery->recipient);
	forward.front = front.data;
	if (forward_commit(delivery->forwarder, &forward, &err) == -1) {
		local_result_set(result, JOB_TEMPFAIL,
		    "Unable to forward message: %s. (#4.3.0)", err.text);
		return false;
	}
	result->forwards += (unsigned)count;
	return true;
}

char *
local_verp_sender(const char *sender, const char *recipient)
{
	static const char end[] = "-@[]";
	size_t length = strlen(sender), end_length = sizeof(end) - 1;
	OWN_TEXT name = NULL;
	const char *at = strrchr(recipient, '@');
	char *host;

	if (length <= end_length ||
	    strcmp(sender + length - end_length, end) != 0)
		return NULL;
	name = xstrndup(sender, length - end_length);
	host = strrchr(name, '@');
	if (host == NULL)
		return NULL;
	*host++ = '\0';
	return xasprintf("%s%.*s=%s@%s", name,
	    (int)(at != NULL ? (size_t)(at - recipient) : strlen(recipient)),
	    recipient, at != NULL ? at + 1 : "", host);
}

/* With VERP each recipient has a message of his own. */
static void
forward_to(const struct local_delivery *delivery, const char *const *recipients,
    size_t count, struct local_result *result)
{
	bool is_done = true;

	for (size_t i = 0; i < count && is_done; i++) {
		OWN_TEXT sender = local_verp_sender(
		    delivery->forward_sender, recipients[i]);

		if (sender == NULL) {
			forward_as(delivery, delivery->forward_sender,
			    recipients, count, result);
			return;
		}
		is_done = forward_as(
		    delivery, sender, &recipients[i], 1, result);
	}
}

void
local_forward(const struct local_delivery *delivery,
    const char *const *recipients, size_t count,
    struct local_result *result_out)
{
	*result_out = (struct local_result){ .outcome = JOB_DELIVERED };
	forward_to(delivery, recipients, count, result_out);
	if (result_out->outcome == JOB_DELIVERED)
		local_result_did(result_out);
}

/* -- lines */

/* True when no further line counts. */
static bool
follow_line(const struct local_delivery *delivery,
    const struct dotqmail_line *line, struct strlist *forwards,
    struct local_result *result)
{
	switch (line->kind) {
	case DOTQMAIL_PROGRAM:
		return run_command(delivery, line->text, result);
	case DOTQMAIL_MAILDIR:
		local_to_maildir(delivery, line->text, result);
		break;
	case DOTQMAIL_MBOX:
		local_to_mbox(delivery, line->text, result);
		break;
	case DOTQMAIL_FORWARD:
		strlist_add(forwards, line->text);
		break;
	}
	return false;
}

static bool
may_follow(const struct dotqmail_lines *lines, struct local_result *result)
{
	for (size_t i = 0; lines->is_list && i < lines->count; i++)
		if (lines->items[i].kind != DOTQMAIL_FORWARD) {
			local_result_set(result, JOB_TEMPFAIL,
			    "Uh-oh: .qmail has %s delivery but is marked as a "
			    "list, or has its x bit set. (#4.7.0)",
			    lines->items[i].kind == DOTQMAIL_PROGRAM ? "prog"
								     : "file");
			return false;
		}
	return true;
}

void
local_run(const struct local_delivery *delivery,
    const struct dotqmail_lines *lines, struct local_result *result_out)
{
	AUTO(strlist_release) struct strlist forwards = { .count = 0 };
	const char *const *recipients;
	bool is_over = false;

	*result_out = (struct local_result){ .outcome = JOB_DELIVERED };
	if (!may_follow(lines, result_out))
		return;
	if (!go_home(delivery, result_out))
		return;
	for (size_t i = 0; i < lines->count && !is_over &&
	     result_out->outcome == JOB_DELIVERED;
	     i++)
		is_over = follow_line(
		    delivery, &lines->items[i], &forwards, result_out);
	memcpy(&recipients, &forwards.items, sizeof(recipients));
	if (result_out->outcome == JOB_DELIVERED && forwards.count > 0)
		forward_to(delivery, recipients, forwards.count, result_out);
	if (result_out->outcome == JOB_DELIVERED)
		local_result_did(result_out);
}
