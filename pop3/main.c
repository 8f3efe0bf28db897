/* SPDX-License-Identifier: ISC */
/*
 * qmail-pop3d and qmail-popup: one program, which serves POP3 as a listener, or
 * one connection on fd 0 and 1, before (qmail-popup) or after the login; see
 * their manual pages.
 */
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/usage.h"
#include "pop3/listen.h"
#include "pop3/options.h"
#include "pop3/popup.h"

static const char pop3d_usage[] =
    "usage: qmail-pop3d --listen ADDRESS:PORT [--shared] [--pop3s]\n"
    "       qmail-pop3d MAILDIR";
static const char popup_usage[] =
    "usage: qmail-popup HOST CHECKPASSWORD PROGRAM [ARGUMENT ...]";

/* The connection on fd 0 and 1, made by tcpserver or inetd. */
static void
serve_one_connection(const struct home *home, const struct pop3_kind *kind,
    const struct pop3_options *options)
{
	static const char sorry[] =
	    "-ERR [SYS/TEMP] sorry, I'm unable to read controls\r\n";
	const struct vars no_vars = VARS_INIT;
	struct pop3_peer peer = {
		.remote_ip = getenv("TCPREMOTEIP"),
		.local_ip = getenv("TCPLOCALIP"),
		.id = (int)getpid(),
		.vars = &no_vars,
	};
	struct pop3_server *server;
	struct error err;

	if (peer.remote_ip == NULL)
		peer.remote_ip = "unknown";
	if (peer.local_ip == NULL)
		peer.local_ip = "unknown";
	server = pop3_server_new(home, kind, &err);
	if (server == NULL) {
		if (write(1, sorry, sizeof(sorry) - 1) == -1)
			log_line("cannot tell the client");
		fatal(111, "%s", err.text);
	}
	pop3_session_run(server, 0, 1, &peer, options);
	pop3_server_free(&server);
}

static void
run_popup(const struct home *home, char **argv)
{
	static const struct pop3_kind kind = { .program = "qmail-popup",
		.has_tls = true };
	struct pop3_options options = { .let_in = pop3_let_in_program };

	if (argv[1] == NULL || argv[2] == NULL)
		fatal(100, "%s", popup_usage);
	options.host = argv[1];
	options.context = argv + 2;
	log_open(NULL);
	serve_one_connection(home, &kind, &options);
}

static void
run_pop3d(const struct home *home, char **argv)
{
	static const struct pop3_kind kind = { .program = "qmail-pop3d" };
	struct smtp_options listener;
	struct pop3_options options = { .host = "" };
	struct error err;
	int result;

	if (argv[1] == NULL || (argv[1][0] != '-' && argv[2] != NULL))
		fatal(100, "%s", pop3d_usage);
	if (argv[1][0] != '-') {
		options.maildir = argv[1];
		options.user = getenv("USER") != NULL ? getenv("USER") : "";
		log_open(NULL);
		serve_one_connection(home, &kind, &options);
		return;
	}
	if (pop3_options_parse(&listener, argv + 1, getenv("POP3S"), &err) ==
	    -1)
		fatal(100, "%s; %s", err.text, pop3d_usage);
	if (!listener.is_listener)
		fatal(100, "%s", pop3d_usage);
	log_open(NULL); /* session lines begin in ways of their own */
	result = pop3_listen(home, &listener, &err);
	if (result != 0) {
		log_open("qmail-pop3d");
		fatal(result, "%s", err.text);
	}
}

int
main(int argc, char **argv)
{
	const char *slash = strrchr(argv[0], '/');
	const char *name = slash == NULL ? argv[0] : slash + 1;
	bool is_popup = strcmp(name, "qmail-popup") == 0;
	const char *program = is_popup ? name : "qmail-pop3d";
	AUTO(home_free) struct home *home = NULL;

	(void)argc;
	signal(SIGPIPE, SIG_IGN);
	log_open(program);
	usage_answer(argv, program, is_popup ? popup_usage : pop3d_usage);
	home = home_new();
	if (is_popup)
		run_popup(home, argv);
	else
		run_pop3d(home, argv);
	return 0;
}
