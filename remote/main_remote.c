/* SPDX-License-Identifier: ISC */
/* qmail-remote: one message to one host (qmail-remote(8)). */
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
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
#include "control/settings.h"
#include "remote/session.h"

static const char usage[] = "usage: qmail-remote HOST SENDER RECIPIENT...";

static void report_message(const char *format, ...)
    __attribute__((format(printf, 1, 2)));

/* The last report, of the whole message: its letter and text. */
static void
report_message(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vprintf(format, ap);
	va_end(ap);
	putchar('\0');
}

/* -- the message */

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

/* argv: sender and recipients.  0, or -1 when it cannot be read. */
static int
fill_message(struct session_message *message,
    struct session_recipient *recipients, char **argv)
{
	const char *header = getenv("QQEH");
	struct stat st;
	size_t i;

	message->fd = STDIN_FILENO;
	if (fstat(message->fd, &st) == 0 && !S_ISREG(st.st_mode))
		message->fd = copy_to_file(STDIN_FILENO);
	if (message->fd == -1 || fstat(message->fd, &st) == -1)
		return -1;
	message->size_bytes = (uint64_t)st.st_size;
	message->sender = argv[0];
	message->dsn = "";
	message->header = header == NULL ? "" : header;
	for (i = 0; argv[i + 1] != NULL; i++)
		recipients[i] = (struct session_recipient){ argv[i + 1], "" };
	message->recipients = recipients;
	message->recipient_count = i;
	return 0;
}

/* -- where it goes */

struct target {
	enum session_transport transport;
	bool has_tls_first;
	struct sockaddr_storage address;
	struct session_credentials credentials; /* user NULL: none */
};

/* HOST is an address, in brackets or without; "IPv6:" as RFC 5321 4.1.3 has it.
 */
static bool
read_address(
    const char *text, size_t length, uint16_t port, struct target *target)
{
	struct sockaddr_in *in = (struct sockaddr_in *)&target->address;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&target->address;
	char host[INET6_ADDRSTRLEN];

	if (length >= 2 && text[0] == '[' && text[length - 1] == ']') {
		text++;
		length -= 2;
	}
	if (length > 5 && strncasecmp(text, "IPv6:", 5) == 0) {
		text += 5;
		length -= 5;
	}
	if (length >= sizeof(host))
		return false;
	memcpy(host, text, length);
	host[length] = '\0';
	if (inet_pton(AF_INET, host, &in->sin_addr) == 1) {
		in->sin_family = AF_INET;
		in->sin_port = htons(port);
		return true;
	}
	if (inet_pton(AF_INET6, host, &in6->sin6_addr) != 1)
		return false;
	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons(port);
	return true;
}

/* :HOST[/s|/l]:PORT[ USER PASSWORD] */
static bool
read_route(char *route, struct target *target)
{
	char *user = strchr(route, ' '), *end, *mark;
	uint64_t port;

	if (user != NULL) {
		*user++ = '\0';
		end = strchr(user, ' ');
		if (end == NULL)
			return false;
		*end = '\0';
		target->credentials.user = user;
		target->credentials.secret = end + 1;
	}
	end = strrchr(route, ':');
	if (*route != ':' || end == route ||
	    !scan_u64(end + 1, UINT16_MAX, &port))
		return false;
	*end = '\0';
	mark = strchr(route, '/');
	if (mark != NULL) {
		*mark = '\0';
		target->has_tls_first = mark[1] == 's';
		if (mark[1] == 'l')
			target->transport = SESSION_LMTP;
	}
	return read_address(
	    route + 1, strlen(route + 1), (uint16_t)port, target);
}

/* False when there is no such host.  *text_out: what target points into. */
static bool
find_target(const char *host, struct target *target, char **text_out)
{
	const char *smtp = getenv("SMTPROUTE"), *qmtp = getenv("QMTPROUTE");
	const char *route = qmtp != NULL ? qmtp : smtp;

	*target = (struct target){ .transport = qmtp != NULL ? SESSION_QMTP
							     : SESSION_SMTP };
	*text_out = xstrdup(route != NULL ? route : host);
	if (route != NULL)
		return read_route(*text_out, target);
	return *host == '[' && read_address(host, strlen(host), 25, target);
}

/* -- the session */

static struct tls_context *
make_tls(const struct home *home, struct error *err)
{
	char *path = xasprintf("%s/clientcert.pem", home->tls);
	struct tls_context *context = tls_client_context_new(err);

	if (context != NULL && access(path, F_OK) == 0 &&
	    tls_context_set_certificate(context, path, err) == -1)
		tls_context_free(&context);
	free(path);
	return context;
}

static int
seconds_ms(const struct settings *settings, enum setting_id id)
{
	return (int)settings_number(settings, id) * 1000;
}

/* NULL, and why is reported. */
static struct session *
open_session(const char *host, const struct target *target,
    struct tls_context *tls, const struct settings *settings)
{
	struct session_options options = {
		.transport = target->transport,
		.host = host,
		.address = (const struct sockaddr *)&target->address,
		.helo = settings_text(settings, SETTING_helohost),
		.tls = { .level = TLS_MAY,
		    .is_wrapped = target->has_tls_first,
		    .context = tls },
		.credentials = target->credentials.user == NULL
		    ? NULL
		    : &target->credentials,
		.connect_ms = seconds_ms(settings, SETTING_timeoutconnect),
		.remote_ms = seconds_ms(settings, SETTING_timeoutremote),
	};
	struct session_result failure = { 0 };
	struct session *session = session_open(&options, &failure);

	if (session == NULL)
		report_message("%c%s", failure.outcome, failure.text);
	session_result_release(&failure);
	return session;
}

/* -- the report */

static bool
is_same(const struct session_result *a, const struct session_result *b)
{
	return a->outcome == b->outcome && strcmp(a->text, b->text) == 0;
}

/* A result that speaks for the message: a delivery, or what hit them all. */
static const struct session_result *
find_verdict(const struct session_result *results, size_t count)
{
	const struct session_result *verdict = NULL;
	size_t i;

	for (i = 0; i < count; i++) {
		if (results[i].outcome == SESSION_DELIVERED)
			return &results[i];
		if (verdict == NULL && results[i].stage != STAGE_RCPT)
			verdict = &results[i];
	}
	return verdict;
}

/* Nobody was asked about a recipient. */
static bool
is_before_recipients(const struct session_result *results, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (results[i].stage >= STAGE_RCPT ||
		    !is_same(&results[i], &results[0]))
			return false;
	return true;
}

static void
report_recipient(
    const struct session_result *each, const struct session_result *verdict)
{
	if (each->outcome == SESSION_DELIVERED ||
	    (verdict != NULL && is_same(each, verdict)))
		putchar('r');
	else
		printf("%c%s", each->outcome == SESSION_PERMFAIL ? 'h' : 's',
		    each->text);
	putchar('\0');
}

static void
report_results(
    const char *host, const struct session_result *results, size_t count)
{
	const struct session_result *verdict = find_verdict(results, count);
	char outcome = SESSION_PERMFAIL;
	size_t i;

	if (!is_before_recipients(results, count))
		for (i = 0; i < count; i++)
			report_recipient(&results[i], verdict);
	if (verdict != NULL) {
		report_message("%c%s", verdict->outcome, verdict->text);
		return;
	}
	for (i = 0; i < count; i++)
		if (results[i].outcome == SESSION_TEMPFAIL)
			outcome = SESSION_TEMPFAIL;
	report_message("%cGiving up on %s.\n", outcome, host);
}

static void
send_message(const char *host, struct session *session,
    const struct session_message *message)
{
	size_t count = message->recipient_count, i;
	struct session_result *results = xcalloc(count, sizeof(*results));

	session_send(session, message, results);
	session_close(&session);
	report_results(host, results, count);
	for (i = 0; i < count; i++)
		session_result_release(&results[i]);
	free(results);
}

/* Everything that argv asks for; what comes of it is reported. */
static void
run(char **argv, const struct home *home, const struct settings *settings)
{
	AUTO(tls_context_free) struct tls_context *tls = NULL;
	AUTO(mem_free) struct session_recipient *recipients = NULL;
	AUTO(mem_free) char *route = NULL;
	struct session_message message = { 0 };
	struct session *session;
	struct target target;
	struct error err;
	size_t count = 0;

	while (argv[count] != NULL)
		count++;
	recipients = xcalloc(count, sizeof(*recipients));
	if (fill_message(&message, recipients, argv + 2) == -1) {
		report_message("ZUnable to read message. (#4.3.0)\n");
		return;
	}
	if (!find_target(argv[1], &target, &route)) {
		report_message("DSorry, I couldn't find any host named %s. "
			       "(#5.1.2)\n",
		    argv[1]);
		return;
	}
	tls = make_tls(home, &err);
	if (tls == NULL) {
		report_message(
		    "ZTrouble with TLS here: %s. (#4.3.5)\n", err.text);
		return;
	}
	session = open_session(argv[1], &target, tls, settings);
	if (session != NULL)
		send_message(argv[1], session, &message);
}

int
main(int argc, char **argv)
{
	struct settings *settings;
	struct home *home;
	struct error err;

	log_open("qmail-remote");
	usage_answer(argv, "qmail-remote", usage);
	if (argc < 4) {
		report_message(
		    "DI (qmail-remote) was invoked improperly. (#5.3.5)\n");
		fflush(stdout);
		fatal(100, "%s", usage);
	}
	signal(SIGPIPE, SIG_IGN);
	home = home_new();
	settings = settings_load(home->control, "qmail-remote", NULL, &err);
	if (settings != NULL)
		run(argv, home, settings);
	else
		report_message(
		    "ZUnable to read control files: %s. (#4.3.0)\n", err.text);
	settings_free(&settings);
	home_free(&home);
	return fflush(stdout) == 0 ? 0 : 111;
}
