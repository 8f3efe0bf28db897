/* SPDX-License-Identifier: ISC */
/* vdelivermail: one message to a virtual user, as a command in .qmail. */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/process.h"
#include "base/usage.h"
#include "control/home.h"
#include "delivery/general.h"
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

/* The environment of every command in a .qmail file says what and for whom. */
static void
read_environment(struct general *general, bool is_all, char **recipient_out,
    char **domain_dir_out)
{
	const char *uuid = getenv("MQMAIL_UUID");
	struct stat st;

	general->extension = need("EXT");
	general->domain = need("HOST");
	general->sender = need("SENDER");
	*recipient_out = getenv("RECIPIENT") != NULL
	    ? xstrdup(getenv("RECIPIENT"))
	    : xasprintf("%s@%s", general->extension, general->domain);
	general->recipient = *recipient_out;
	if (uuid != NULL && strlen(uuid) == UUID_TEXT_SIZE - 1)
		uuid_parse(uuid, &general->uuid);
	*domain_dir_out = is_all
	    ? xstrdup(need("HOME"))
	    : xasprintf("%s/%s", general->home->domains, general->domain);
	general->domain_dir = *domain_dir_out;
	general->fd = open_message();
	if (fstat(general->fd, &st) == -1)
		leave_reason(EXIT_TEMPFAIL, "cannot stat the message");
	general->size_bytes = (uint64_t)st.st_size;
}

/* As users/assign has it; else where domains are. */
static void
find_domain_dir(struct general *general, char **domain_dir)
{
	struct store_domain domain;

	if (store_find_domain(
		general->store, general->domain, &domain, NULL) != 1)
		return;
	free(*domain_dir);
	*domain_dir = xstrdup(domain.dir);
	general->domain_dir = *domain_dir;
	store_domain_release(&domain);
}

static atomic_bool is_stopping;

static void
stop(int signal_number)
{
	(void)signal_number;
	atomic_store(&is_stopping, true);
}

/* What it runs is ended with it. */
static void
catch_signals(void)
{
	struct sigaction action = { .sa_handler = stop };

	sigaction(SIGTERM, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
}

static int
exit_code(enum job_outcome outcome)
{
	switch (outcome) {
	case JOB_DELIVERED:
		return EXIT_DELIVERED;
	case JOB_PERMFAIL:
		return EXIT_PERMFAIL;
	case JOB_TEMPFAIL:
	case JOB_GENERAL:
		break;
	}
	return EXIT_TEMPFAIL;
}

int
main(int argc, char **argv)
{
	AUTO(dotqmail_release) struct absent_rule rule = ABSENT_RULE_INIT;
	AUTO(home_free) struct home *home = NULL;
	OWN_TEXT recipient = NULL;
	OWN_TEXT domain_dir = NULL;
	OWN_TEXT host = NULL;
	OWN_TEXT program_dir = file_program_dir();
	struct vdeliver_options options;
	struct general general = { .options = &options,
		.is_stopping = &is_stopping };
	struct local_result result;
	struct error err;
	bool is_all;

	log_open("vdelivermail");
	usage_answer(argv, "vdelivermail", usage);
	is_all = argc == 2 && strcmp(argv[1], "--dot-qmail") == 0;
	if (!is_all &&
	    (argc != 3 || *argv[1] != '\0' ||
		!dotqmail_read_action(argv[2], strlen(argv[2]), &rule)))
		leave_reason(EXIT_TEMPFAIL, usage);
	catch_signals();
	umask(077);
	home = home_new();
	general.home = home;
	read_environment(&general, is_all, &recipient, &domain_dir);
	if (is_all) /* a new worker does the same again */
		parent_end_with(getppid());
	if (vdeliver_read_options(&options, &err) == -1)
		leave_reason(EXIT_TEMPFAIL, err.text);
	general.store = store_open(home->root, &err);
	if (general.store == NULL)
		leave_reason(EXIT_TEMPFAIL, err.text);
	if (!is_all)
		find_domain_dir(&general, &domain_dir);
	host = vdeliver_read_settings(home->control, "vdelivermail", &options);
	general.host = host;
	general.program_dir = program_dir;
	general.forwarder = forwarder_new(home, getenv("QUEUEDIR"), &err);
	if (general.forwarder == NULL)
		leave_reason(EXIT_TEMPFAIL, err.text);
	general_deliver(&general, is_all ? NULL : &rule, &result);
	forwarder_free(&general.forwarder);
	store_free(&general.store);
	if ((is_all || result.outcome != JOB_DELIVERED) &&
	    file_write_all(STDOUT_FILENO, result.text, strlen(result.text)) ==
		-1)
		return EXIT_TEMPFAIL;
	return exit_code(result.outcome);
}
