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

static void leave(int code, const char *text) __attribute__((noreturn));
static void leave_reason(int code, const char *reason)
    __attribute__((noreturn));

/* Says why on fd 1, where qmail-local takes the text of its report from. */
static void
leave(int code, const char *text)
{
	if (*text != '\0' &&
	    file_write_all(STDOUT_FILENO, text, strlen(text)) == -1)
		code = EXIT_TEMPFAIL;
	exit(code);
}

static void
leave_reason(int code, const char *reason)
{
	leave(code, xasprintf("vdelivermail: %s\n", reason));
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

/* A copy, in a file without a name, of a message that comes by a pipe. */
static int
copy_to_file(int from)
{
	FILE *file = tmpfile();
	char chunk[65536];
	ssize_t n;

	if (file == NULL)
		return -1;
	while ((n = read(from, chunk, sizeof(chunk))) != 0) {
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1 ||
		    file_write_all(fileno(file), chunk, (size_t)n) == -1)
			return -1;
	}
	return fileno(file); /* open until we exit */
}

static int
open_message(void)
{
	struct stat st;
	int fd = STDIN_FILENO;

	if (fstat(fd, &st) == -1)
		leave_reason(EXIT_TEMPFAIL, "cannot read descriptor 0");
	if (!S_ISREG(st.st_mode))
		fd = copy_to_file(fd);
	if (fd == -1)
		leave_reason(EXIT_TEMPFAIL,
		    "cannot copy the message to a temporary file");
	return fd;
}

static void
make_job(struct job *job, struct home *home)
{
	job->extension = need("EXT");
	job->user = need("HOST");
	job->sender = need("SENDER");
	job->recipient = getenv("RECIPIENT");
	if (job->recipient == NULL)
		job->recipient = xasprintf("%s@%s", job->extension, job->user);
	/* The command line says what to do: no .qmail file is read. */
	job->home = xasprintf("%s/%s", home->domains, job->user);
	job->dash = "-";
	job->header = "";
}

int
main(int argc, char **argv)
{
	struct absent_rule rule = ABSENT_RULE_INIT;
	struct vdeliver_item item = { .rule = &rule };
	struct vdeliver_options options;
	struct vdeliver *vdeliver;
	struct sync_pool *pool;
	struct store *store;
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
	make_job(&item.job, home);
	item.fd = open_message();
	if (vdeliver_read_options(&options, &err) == -1)
		leave_reason(EXIT_TEMPFAIL, err.text);
	store = store_open_cdb(home->root, &err);
	if (store == NULL)
		leave_reason(EXIT_TEMPFAIL, err.text);
	pool = sync_pool_new(0);
	vdeliver = vdeliver_new(store, home->domains, pool, 1, &options, &err);
	if (vdeliver == NULL)
		leave_reason(EXIT_TEMPFAIL, err.text);
	vdeliver_run(vdeliver, &item, 1);
	vdeliver_free(&vdeliver);
	sync_pool_free(&pool);
	store_free(&store);
	home_free(&home);
	dotqmail_release(&rule);
	switch (item.outcome) {
	case JOB_DELIVERED:
		leave(EXIT_DELIVERED, "");
	case JOB_PERMFAIL:
		leave(EXIT_PERMFAIL, item.text);
	case JOB_TEMPFAIL:
	case JOB_GENERAL: /* forwarding: see BUGS in vdelivermail(8) */
		leave(EXIT_TEMPFAIL, item.text);
	}
	abort(); /* every outcome has left */
}
