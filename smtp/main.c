/* SPDX-License-Identifier: ISC */
/*
 * qmail-smtpd, qmail-qmtpd, qmail-qmqpd: one program, which receives mail by
 * the protocol of its name, or that of an option; see their manual pages.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/file.h"
#include "base/listen_socket.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/usage.h"
#include "smtp/listen.h"
#include "smtp/session.h"

enum { IP_SIZE = INET6_ADDRSTRLEN };

static const char listener_usage[] =
    "[--listen ADDRESS:PORT [--shared]] [--smtps]";
static const char smtpd_usage[] = " [--submission] [--odmr] [--node] [--lmtp] [--qmtp] [--qmqp]\n"
				 "                   [HOST CHECKPASSWORD "
				 "PROGRAM [ARGUMENT ...]]";

/* The address of fd 0's other or own end, when tcpserver did not say it. */
static const char *
socket_ip(bool is_own, char out[IP_SIZE], const char *standard)
{
	struct sockaddr_storage address;
	socklen_t length = sizeof(address);
	uint16_t port;
	int result = is_own
	    ? getsockname(0, (struct sockaddr *)&address, &length)
	    : getpeername(0, (struct sockaddr *)&address, &length);

	if (result == -1 ||
	    (address.ss_family != AF_INET && address.ss_family != AF_INET6))
		return standard;
	listen_socket_text(&address, out, IP_SIZE, &port);
	return out;
}

/* The connection on fd 0 and 1, made by tcpserver or inetd. */
static void
serve_one(const struct home *home, const struct smtp_options *options)
{
	static const char sorry[] =
	    "421 Sorry, I'm unable to read controls (#4.3.0)\r\n";
	char remote_ip[IP_SIZE], local_ip[IP_SIZE];
	struct smtp_peer peer = {
		.remote_ip = getenv("TCPREMOTEIP"),
		.remote_host = getenv("TCPREMOTEHOST"),
		.remote_info = getenv("TCPREMOTEINFO"),
		.local_ip = getenv("TCPLOCALIP"),
		.local_host = getenv("TCPLOCALHOST"),
		.id = (int)getpid(),
	};
	AUTO(vars_release) struct vars vars = VARS_INIT;
	struct smtp_server *server;
	struct error err;

	if (peer.remote_ip == NULL)
		peer.remote_ip = socket_ip(false, remote_ip, "unknown");
	if (peer.local_ip == NULL)
		peer.local_ip = socket_ip(true, local_ip, "");
	server = smtp_server_new(home, &options->kind, &err);
	if (server == NULL) {
		if (smtp_kind_greets(&options->kind))
			file_write_all(1, sorry, sizeof(sorry) - 1);
		fatal(111, "%s", err.text);
	}
	smtp_session_run(server, 0, 1, &peer, &vars);
	smtp_server_free(&server);
}

static bool
is_name_of(const char *program, const struct smtp_kind *kind)
{
	return strcmp(program, smtp_kind_program(kind)) == 0;
}

int
main(int argc, char **argv)
{
	static const struct smtp_kind qmtp = { .is_qmtp = true };
	static const struct smtp_kind qmqp = { .is_qmqp = true };
	const char *slash = strrchr(argv[0], '/');
	const char *name = slash == NULL ? argv[0] : slash + 1;
	bool is_qmtpd = is_name_of(name, &qmtp);
	bool is_qmqpd = is_name_of(name, &qmqp);
	const char *program = is_qmtpd || is_qmqpd ? name : "qmail-smtpd";
	char qmtp_word[] = "--qmtp", qmqp_word[] = "--qmqp";
	struct smtp_options options;
	AUTO(home_free) struct home *home = NULL;
	struct error err;
	char usage[300];
	int result = 0;

	(void)argc;
	signal(SIGPIPE, SIG_IGN);
	log_open(program);
	snprintf(usage, sizeof(usage), "usage: %s %s%s", program,
	    listener_usage, is_qmtpd || is_qmqpd ? "" : smtpd_usage);
	usage_answer(argv, program, usage);
	/* The name is an option, in its own place. */
	if (is_qmtpd || is_qmqpd)
		argv[0] = is_qmtpd ? qmtp_word : qmqp_word;
	else
		argv++;
	if (smtp_options_parse(&options, argv, getenv("SMTPS"), &err) == -1)
		fatal(100, "%s; %s", err.text, usage);
	home = home_new();
	log_open(NULL); /* session lines begin in ways of their own */
	if (options.is_listener)
		result = smtp_listen(home, &options, &err);
	else
		serve_one(home, &options);
	if (result != 0) {
		log_open(program);
		fatal(result, "%s", err.text);
	}
	return 0;
}
