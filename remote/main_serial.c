/* SPDX-License-Identifier: ISC */
/*
 * serialsmtp, serialqmtp: send messages over the connection on descriptor 6,
 * for maildirserial (maildirserial(1)).
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/usage.h"
#include "control/home.h"
#include "control/settings.h"
#include "remote/serial.h"
#include "remote/session_private.h"

enum { CONNECTION_FD = 6 };

/* "NAME\0" and the outcome's line; 0 or -1. */
static int
report(const char *name, char outcome, const char *line)
{
	fputs(name, stdout);
	putchar('\0');
	printf("%c%s\n", outcome, line);
	return fflush(stdout) == 0 ? 0 : -1;
}

/* The next name, which ends in NUL, on standard input.  0, or an exit code. */
static int
send_all(struct session *session, const char *prefix)
{
	AUTO(mem_free) char *name = NULL;
	size_t size = 0;

	while (getdelim(&name, &size, '\0', stdin) > 0) {
		AUTO(buf_release) struct buf line = BUF_INIT;
		struct serial_message message;
		struct error err;
		enum session_outcome outcome;
		int result = serial_message_read(&message, name, prefix, &err);

		if (result == -1)
			log_line("warning: %s", err.text);
		if (result != 1)
			continue;
		outcome = serial_message_send(session, &message, &line);
		serial_message_release(&message);
		if (report(name, (char)outcome, line.data) == -1)
			return 111;
		if (!session_is_usable(session))
			return 111; /* the others wait for another one */
	}
	return 0;
}

static int
run(const char *prefix, const char *helo, bool is_qmtp,
    const struct settings *settings)
{
	struct sockaddr_storage peer = { .ss_family = AF_INET };
	socklen_t length = sizeof(peer);
	const struct session_options options = {
		.transport = is_qmtp ? SESSION_QMTP : SESSION_SMTP,
		.host = "",
		.address = (struct sockaddr *)&peer,
		.helo = helo,
		.remote_ms = (int)settings_number(
				 settings, SETTING_timeoutremote) *
		    1000,
	};
	struct session_result failure = { .text = NULL };
	struct session *session;
	int result = 111;

	if (getpeername(CONNECTION_FD, (struct sockaddr *)&peer, &length) == -1)
		fatal(111, "descriptor 6 is no connection; tcpclient makes it");
	session = session_attach(CONNECTION_FD, &options);
	if (session_greet(session, &failure) == 0)
		result = send_all(session, prefix);
	else
		log_line("%s", failure.text);
	session_result_release(&failure);
	session_close(&session);
	return result;
}

int
main(int argc, char **argv)
{
	const char *slash = strrchr(argv[0], '/');
	const char *name = slash == NULL ? argv[0] : slash + 1;
	bool is_qmtp = strcmp(name, "serialqmtp") == 0;
	const char *program = is_qmtp ? "serialqmtp" : "serialsmtp";
	const char *usage = is_qmtp ? "usage: serialqmtp PREFIX"
				    : "usage: serialsmtp PREFIX HELOHOST";
	struct settings *settings;
	struct home *home;
	struct error err;
	int result;

	signal(SIGPIPE, SIG_IGN);
	log_open(program);
	usage_answer(argv, program, usage);
	if (argc != (is_qmtp ? 2 : 3) || strncmp(argv[1], "--", 2) == 0)
		fatal(100, "%s", usage);
	home = home_new();
	settings = settings_load(home->control, "maildirserial", NULL, &err);
	if (settings == NULL)
		fatal(111, "%s", err.text);
	result = run(argv[1], is_qmtp ? "" : argv[2], is_qmtp, settings);
	settings_free(&settings);
	home_free(&home);
	return result;
}
