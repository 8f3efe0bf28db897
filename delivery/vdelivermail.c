/* SPDX-License-Identifier: ISC */
/* vdelivermail: one message to a virtual user, as a command in .qmail. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/usage.h"
#include "control/home.h"
#include "delivery/vdeliver.h"

/* The exit codes of qmail-command(8). */
enum { EXIT_DELIVERED = 0, EXIT_PERMFAIL = 100, EXIT_TEMPFAIL = 111 };

static const char usage[] =
    "usage: | vdelivermail '' bounce-no-mailbox|delete|/FOLDER|USER@DOMAIN";

static void leave_with(int code, const char *text) __attribute__((noreturn));
static void leave_reason(int code, const char *reason)
    __attribute__((noreturn));

/* Says why on fd 1, where qmail-local takes the text of its report from. */
static void
leave_with(int code, const char *text)
{
	if (*text != '\0' &&
	    file_write_all(STDOUT_FILENO, text, strlen(text)) == -1)
		code = EXIT_TEMPFAIL;
	exit(code);
}

static void
leave_reason(int code, const char *reason)
{
	leave_with(code, xasprintf("vdelivermail: %s\n", reason));
}

static const char *
need(const char *variable)
{
	const char *value = getenv(variable);

	if (value == NULL)
		leave_reason(EXIT_TEMPFAIL,
		    xasprintf("variable %s is not set: vdelivermail is a "
			      "command for .qmail files",
			variable));
	return value;
}

static int
open_message(void)
{
	struct stat st;
	int fd = STDIN_FILENO;

	if (fstat(fd, &st) == -1)
		leave_reason(EXIT_TEMPFAIL, "cannot read descriptor 0");
	if (!S_ISREG(st.st_mode))
		fd = file_copy_unnamed(fd);
	if (fd == -1)
		leave_reason(EXIT_TEMPFAIL,
		    "cannot copy the message to a temporary file");
	return fd;
}

static void
fill_job(struct vdeliver_message *message, const struct home *home)
{
	struct job_recipient *to = &message->job.recipients[0];
	const char *uuid = getenv("MQMAIL_UUID");
	struct stat st;

	to->extension = need("EXT");
	to->user = need("HOST");
	to->recipient = getenv("RECIPIENT");
	if (to->recipient == NULL)
		to->recipient = xasprintf("%s@%s", to->extension, to->user);
	/* The command line says what to do: no .qmail file is read. */
	to->home = xasprintf("%s/%s", home->domains, to->user);
	to->dash = "-";
	message->job.sender = need("SENDER");
	message->job.header = "";
	if (uuid != NULL && strlen(uuid) == UUID_TEXT_SIZE - 1)
		uuid_parse(uuid, &message->job.uuid);
	message->fd = open_message();
	if (fstat(message->fd, &st) == -1)
		leave_reason(EXIT_TEMPFAIL, "cannot stat the message");
	message->job.size_bytes = (uint64_t)st.st_size;
}

struct answer {
	enum job_outcome outcome;
	char text[VDELIVER_TEXT_SIZE];
};

static void
keep_answer(const struct vdeliver_item *item, void *context)
{
	struct answer *answer = context;

	answer->outcome = item->outcome;
	memcpy(answer->text, item->text, sizeof(answer->text));
}

int
main(int argc, char **argv)
{
	struct absent_rule rule = ABSENT_RULE_INIT;
	struct answer answer;
	struct vdeliver_config config = { .cached_maildirs = 1,
		.answer = keep_answer,
		.context = &answer,
		.queue = "" };
	struct vdeliver_message *message;
	struct vdeliver *vdeliver;
	struct home *home;
	struct error err;

	log_open("vdelivermail");
	usage_answer(argv, "vdelivermail", usage);
	if (argc != 3 || *argv[1] != '\0' ||
	    !dotqmail_read_action(argv[2], strlen(argv[2]), &rule))
		leave_reason(EXIT_TEMPFAIL, usage);
	signal(SIGXFSZ, SIG_IGN);
	umask(077);
	home = home_new();
	message = vdeliver_message_new(1);
	message->rule = &rule;
	fill_job(message, home);
	if (vdeliver_read_options(&config.options, &err) == -1)
		leave_reason(EXIT_TEMPFAIL, err.text);
	config.store = store_open(home->root, &err);
	if (config.store == NULL)
		leave_reason(EXIT_TEMPFAIL, err.text);
	config.domains = home->domains;
	config.host = vdeliver_read_host(home->control, "vdelivermail");
	vdeliver = vdeliver_new(&config, &err);
	if (vdeliver == NULL)
		leave_reason(EXIT_TEMPFAIL, err.text);
	vdeliver_begin(vdeliver);
	vdeliver_deliver(vdeliver, message);
	vdeliver_free(&vdeliver); /* with an answer */
	store_free(&config.store);
	home_free(&home);
	dotqmail_release(&rule);
	switch (answer.outcome) {
	case JOB_DELIVERED:
		leave_with(EXIT_DELIVERED, "");
	case JOB_PERMFAIL:
		leave_with(EXIT_PERMFAIL, answer.text);
	case JOB_TEMPFAIL:
	case JOB_GENERAL: /* forwarding: see BUGS in vdelivermail(8) */
		leave_with(EXIT_TEMPFAIL, answer.text);
	}
	abort(); /* every outcome has left */
}
