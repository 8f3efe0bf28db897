/* SPDX-License-Identifier: ISC */
/*
 * maildiratrn: sends what Maildirs hold over the connection on descriptor 6,
 * for whom ATRN has made the server of it (RFC 2645).
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/usage.h"
#include "control/home.h"
#include "control/settings.h"
#include "remote/serial.h"
#include "remote/serial_maildir.h"
#include "remote/session_private.h"

/* What waits for two weeks bounces, as with maildirsmtp. */
enum { CONNECTION_FD = 6, LIFETIME_S = 14 * 86400 };

static const char usage[] =
    "usage: maildiratrn HELOHOST DIR PREFIX [DIR PREFIX]...";

/* One of them; what the session does not take stays.  False: it is over. */
static bool
send_maildir(struct session *session, const char *folder, const char *prefix,
    const struct settings *settings)
{
	const struct serial_options options = { .prefix = prefix,
		.bounces = true,
		.has_lifetime = true,
		.lifetime_s = LIFETIME_S };
	struct serial_maildir maildir;
	struct error err;

	if (serial_maildir_open(&maildir, folder, &options, settings, &err) ==
	    -1) {
		log_line("warning: %s", err.text);
		return true;
	}
	for (size_t i = 0;
	     i < maildir.count && session_is_usable(session); i++) {
		struct serial_file *file = &maildir.files[i];
		AUTO(buf_release) struct buf line = BUF_INIT;
		struct serial_message message;
		enum session_outcome outcome;
		int found = serial_message_read(
		    &message, file->name, prefix, &err);

		if (found == -1)
			log_line("warning: %s", err.text);
		if (found != 1)
			continue;
		outcome = serial_message_send(session, &message, &line);
		serial_message_release(&message);
		serial_maildir_settle(
		    &maildir, file, (char)outcome, line.data);
	}
	serial_maildir_release(&maildir);
	return session_is_usable(session);
}

/* An exit code. */
static int
run(char **argv, const struct settings *settings)
{
	struct sockaddr_storage peer = { .ss_family = AF_INET };
	socklen_t length = sizeof(peer);
	const struct session_options options = {
		.transport = SESSION_SMTP,
		.host = "",
		.address = (struct sockaddr *)&peer,
		.helo = argv[1],
		.remote_ms = (int)settings_number(
				 settings, SETTING_timeoutremote) *
		    1000,
	};
	struct session_result failure = { .text = NULL };
	struct session *session;
	bool goes_on;

	if (getpeername(CONNECTION_FD, (struct sockaddr *)&peer, &length) == -1)
		fatal(111, "descriptor 6 is no connection; ATRN gives it");
	session = session_attach(CONNECTION_FD, &options);
	goes_on = session_greet(session, &failure) == 0;
	if (!goes_on)
		log_line("%s", failure.text);
	for (char **at = argv + 2; *at != NULL && goes_on; at += 2)
		goes_on = send_maildir(session, at[0], at[1], settings);
	session_result_release(&failure);
	session_close(&session);
	return goes_on ? 0 : 111;
}

int
main(int argc, char **argv)
{
	struct settings *settings;
	struct home *home;
	struct error err;
	int result;

	signal(SIGPIPE, SIG_IGN);
	log_open("maildiratrn");
	usage_answer(argv, "maildiratrn", usage);
	if (argc < 4 || argc % 2 != 0 || strncmp(argv[1], "--", 2) == 0)
		fatal(100, "%s", usage);
	home = home_new();
	settings = settings_load(home->control, "maildirserial", NULL, &err);
	if (settings == NULL)
		fatal(111, "%s", err.text);
	result = run(argv, settings);
	settings_free(&settings);
	home_free(&home);
	return result;
}
