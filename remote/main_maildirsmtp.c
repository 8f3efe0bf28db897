/* SPDX-License-Identifier: ISC */
/*
 * maildirsmtp, maildirqmtp: send what is in a Maildir to a host, over one
 * connection (maildirserial(1)).
 */
#include <netdb.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/usage.h"
#include "control/home.h"
#include "control/network.h"
#include "remote/serial_maildir.h"

/* serialmail's: what waits for two weeks bounces. */
enum { LIFETIME_S = 14 * 86400, SMTP_PORT = 25, QMTP_PORT = 209 };

/* HOST is an address, with a port or without, or a name.  0 or -1. */
static int
find_host(const char *host, unsigned short port,
    struct sockaddr_storage *address_out, struct error *err)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct addrinfo *found;
	char service[8];
	int code;

	if (network_read_endpoint(host, port, address_out))
		return 0;
	snprintf(service, sizeof(service), "%u", port);
	code = getaddrinfo(host, service, &hints, &found);
	if (code != 0)
		return error_set(
		    err, "cannot find '%s': %s", host, gai_strerror(code));
	memcpy(address_out, found->ai_addr, found->ai_addrlen);
	freeaddrinfo(found);
	return 0;
}

/* NULL, and it is in the log why. */
static struct session *
connect_to(const struct session_options *options)
{
	struct session_result failure = { .text = NULL };
	struct session *session = session_open(options, &failure);

	if (session == NULL)
		log_line("%s", failure.text);
	session_result_release(&failure);
	return session;
}

/* Stops at the first connection that does not come about. */
static void
send_all(struct serial_maildir *maildir, const struct session_options *options)
{
	struct session *session = NULL;

	for (size_t i = 0; i < maildir->count; i++) {
		struct serial_file *file = &maildir->files[i];
		AUTO(buf_release) struct buf line = BUF_INIT;
		struct serial_message message;
		struct error err;
		enum session_outcome outcome;

		if (session != NULL && !session_is_usable(session))
			session_close(&session);
		if (session == NULL)
			session = connect_to(options);
		if (session == NULL) {
			maildir->is_left = true;
			return;
		}
		if (serial_message_read(&message, file->name,
			maildir->options.prefix, &err) != 1) {
			maildir->is_left = true;
			continue;
		}
		outcome = serial_message_send(session, &message, &line);
		serial_message_release(&message);
		serial_maildir_settle(maildir, file, (char)outcome, line.data);
	}
	session_close(&session);
}

static int
seconds_ms(const struct settings *settings, enum setting_id id)
{
	return (int)settings_number(settings, id) * 1000;
}

/* argv: DIR PREFIX HOST [HELOHOST].  0, or -1 with the reason. */
static int
run(char **argv, bool is_qmtp, const struct settings *settings,
    bool *is_left_out, struct error *err)
{
	const struct serial_options options = { .prefix = argv[2],
		.bounces = true,
		.has_lifetime = true,
		.lifetime_s = LIFETIME_S };
	struct serial_maildir maildir;
	struct sockaddr_storage address;
	AUTO(tls_context_free)
	struct tls_context *tls = tls_client_context_new(err);
	struct session_options session = {
		.transport = is_qmtp ? SESSION_QMTP : SESSION_SMTP,
		.host = argv[3],
		.address = (struct sockaddr *)&address,
		.helo = is_qmtp ? "" : argv[4],
		.tls = { .level = is_qmtp ? TLS_NONE : TLS_MAY,
		    .context = tls },
		.connect_ms = seconds_ms(settings, SETTING_timeoutconnect),
		.remote_ms = seconds_ms(settings, SETTING_timeoutremote),
	};
	int result;

	if (tls == NULL ||
	    find_host(
		argv[3], is_qmtp ? QMTP_PORT : SMTP_PORT, &address, err) == -1)
		return -1;
	result = serial_maildir_open(
	    &maildir, argv[1], &options, settings, err);
	if (result == 0)
		send_all(&maildir, &session);
	*is_left_out = maildir.is_left;
	serial_maildir_release(&maildir);
	return result;
}

int
main(int argc, char **argv)
{
	const char *slash = strrchr(argv[0], '/');
	const char *name = slash == NULL ? argv[0] : slash + 1;
	bool is_qmtp = strcmp(name, "maildirqmtp") == 0;
	const char *program = is_qmtp ? "maildirqmtp" : "maildirsmtp";
	const char *usage = is_qmtp
	    ? "usage: maildirqmtp DIR PREFIX HOST[:PORT]"
	    : "usage: maildirsmtp DIR PREFIX HOST[:PORT] HELOHOST";
	struct settings *settings;
	struct home *home;
	struct error err;
	bool is_left = false;

	signal(SIGPIPE, SIG_IGN);
	log_open(program);
	usage_answer(argv, program, usage);
	if (argc != (is_qmtp ? 4 : 5))
		fatal(100, "%s", usage);
	home = home_new();
	settings = settings_load(home->control, "maildirserial", NULL, &err);
	if (settings == NULL ||
	    run(argv, is_qmtp, settings, &is_left, &err) == -1)
		fatal(111, "%s", err.text);
	settings_free(&settings);
	home_free(&home);
	return is_left ? 111 : 0;
}
