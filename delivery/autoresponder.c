/* SPDX-License-Identifier: ISC */
/* autoresponder: answers a message, as a command in .qmail. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/scan.h"
#include "base/usage.h"
#include "control/home.h"
#include "delivery/autorespond.h"
#include "delivery/vdeliver.h"

/* The exit codes of qmail-command(8). */
enum { EXIT_DONE = 0, EXIT_TEMPFAIL = 111 };

enum { PERIOD_S = 3600 };

static const char usage[] =
    "usage: | autoresponder [-cq] [-n NUMBER] [-s PREFIX] [-t SECONDS] "
    "MESSAGE_FILE FOLDER";

static const char *
need(const char *variable)
{
	const char *value = getenv(variable);

	if (value == NULL)
		fatal(EXIT_TEMPFAIL,
		    "variable %s is not set: autoresponder is a command for "
		    ".qmail files",
		    variable);
	return value;
}

static uint64_t
read_option(char option, const char *text)
{
	uint64_t value;

	if (!scan_u64(text, INT64_MAX / 2, &value))
		fatal(EXIT_TEMPFAIL, "-%c '%s' is not a number\n%s", option,
		    text, usage);
	return value;
}

static bool
read_options(int argc, char **argv, struct autorespond *answer)
{
	bool is_quiet = false;
	int option;

	while ((option = getopt(argc, argv, "cqn:s:t:")) != -1)
		switch (option) {
		case 'c':
			answer->has_copy = true;
			break;
		case 'q':
			is_quiet = true;
			break;
		case 'n':
			answer->most = read_option('n', optarg);
			break;
		case 's':
			answer->subject_prefix = optarg;
			break;
		case 't':
			answer->period_s = read_option('t', optarg);
			break;
		default:
			fatal(EXIT_TEMPFAIL, "%s", usage);
		}
	if (argc - optind != 2)
		fatal(EXIT_TEMPFAIL, "%s", usage);
	answer->text_path = argv[optind];
	answer->folder = argv[optind + 1];
	return is_quiet;
}

static void
open_message(struct autorespond *answer)
{
	struct stat st;

	answer->fd = STDIN_FILENO;
	if (fstat(answer->fd, &st) == 0 && !S_ISREG(st.st_mode)) {
		answer->fd = file_copy_unnamed(answer->fd);
		if (fstat(answer->fd, &st) == -1)
			st.st_size = 0;
	}
	if (answer->fd == -1)
		fatal(EXIT_TEMPFAIL, "cannot copy the message: %m");
	answer->size_bytes = (uint64_t)st.st_size;
}

/* The user's address, without the front that virtualdomains gives it. */
static void
set_addresses(char *addresses[4])
{
	const char *at = strrchr(need("RECIPIENT"), '@');
	const char *name = need("EXT"), *part = getenv("DEFAULT");
	const char *domain = at != NULL ? at + 1 : need("HOST");
	size_t length = strlen(name);

	addresses[0] = xasprintf("%s@%s", name, domain);
	addresses[1] = xasprintf("%s@%s", name, need("HOST"));
	/* Without the extension. */
	if (part != NULL && strlen(part) + 1 < length)
		addresses[2] = xasprintf(
		    "%.*s@%s", (int)(length - strlen(part) - 1), name, domain);
}

int
main(int argc, char **argv)
{
	char *texts[4] = { NULL }, *host;
	const char *addresses[4];
	struct header header = { .text = BUF_INIT };
	struct autorespond answer = { .most = 1,
		.period_s = PERIOD_S,
		.subject_prefix = "Re: ",
		.addresses = addresses,
		.header = &header };
	struct vdeliver_options options;
	const char *uuid = getenv("MQMAIL_UUID"), *why_not;
	struct error err;
	struct home *home;
	bool is_quiet;

	log_open("autoresponder");
	usage_answer(argv, "autoresponder", usage);
	is_quiet = read_options(argc, argv, &answer);
	signal(SIGPIPE, SIG_IGN);
	umask(077);
	home = home_new();
	answer.sender = need("SENDER");
	answer.recipient = need("RECIPIENT");
	set_addresses(texts);
	memcpy(addresses, texts, sizeof(addresses));
	if (uuid != NULL && strlen(uuid) == UUID_TEXT_SIZE - 1)
		uuid_parse(uuid, &answer.uuid);
	open_message(&answer);
	host = vdeliver_read_settings(home->control, "vdelivermail", &options);
	answer.host = host;
	answer.forwarder = forwarder_new(home, getenv("QUEUEDIR"), &err);
	if (answer.forwarder == NULL ||
	    header_read_fd(&header, answer.fd, answer.size_bytes, &err) == -1 ||
	    autorespond(&answer, time(NULL), &why_not, &err) == -1)
		fatal(EXIT_TEMPFAIL, "%s", err.text);
	if (why_not != NULL && !is_quiet)
		printf("autoresponder: no answer: %s\n", why_not);
	forwarder_free(&answer.forwarder);
	for (size_t i = 0; i < 4; i++)
		free(texts[i]);
	free(host);
	header_release(&header);
	home_free(&home);
	return EXIT_DONE;
}
