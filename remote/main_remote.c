/* SPDX-License-Identifier: ISC */
/* qmail-remote: one message to one host (qmail-remote(8)). */
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
#include "base/usage.h"
#include "control/home.h"
#include "remote/elsewhere.h"
#include "remote/rules.h"
#include "remote/tls_required.h"

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
		message->fd = file_copy_unnamed(STDIN_FILENO);
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

/* To the first address that greets.  NULL, and why is reported. */
static struct session *
open_session(const struct rules *rules, const struct plan *plan,
    struct way *way, size_t *address_out)
{
	const struct exchange *exchange = &plan->exchange;
	struct session_result failure = { 0 };
	struct session *session = NULL;
	size_t i;

	if (exchange->state != EXCHANGE_FOUND) {
		report_message("%c%s",
		    exchange->state == EXCHANGE_NONE ? 'D' : 'Z',
		    exchange->text);
		return NULL;
	}
	for (i = 0; session == NULL && i < exchange->address_count; i++) {
		session_result_release(&failure);
		session = plan_open(rules, plan, i, way, &failure);
		*address_out = i;
	}
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
send_message(const char *host, const struct rules *rules,
    const struct plan *plan, size_t address, struct session *session,
    const struct session_message *message)
{
	size_t count = message->recipient_count, i;
	struct session_result *results = xcalloc(count, sizeof(*results));

	session_send(session, message, results);
	session_close(&session);
	elsewhere_send(rules, plan, address, message, results);
	report_results(host, results, count);
	for (i = 0; i < count; i++)
		session_result_release(&results[i]);
	free(results);
}

/* Everything that argv asks for; what comes of it is reported. */
static void
run(char **argv, const struct rules *rules)
{
	AUTO(mem_free) struct session_recipient *recipients = NULL;
	struct session_message message = { 0 };
	struct session *session;
	struct plan plan;
	struct way way;
	const char *recipient;
	size_t count = 0, address = 0;

	while (argv[count] != NULL)
		count++;
	recipients = xcalloc(count, sizeof(*recipients));
	if (fill_message(&message, recipients, argv + 2) == -1) {
		report_message("ZUnable to read message. (#4.3.0)\n");
		return;
	}
	/* As in IndiMail the first recipient's route is that of all. */
	recipient = message.recipients[0].address;
	if (tls_required_examine(&message) == 1)
		plan_make_without_tls_policy(
		    rules, argv[1], message.sender, recipient, &plan);
	else
		plan_make(rules, argv[1], message.sender, recipient, &plan);
	session = open_session(rules, &plan, &way, &address);
	if (session != NULL)
		send_message(
		    argv[1], rules, &plan, address, session, &message);
	plan_release(&plan);
}

int
main(int argc, char **argv)
{
	struct rules *rules;
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
	rules = rules_new(home, "qmail-remote", &err);
	if (rules != NULL)
		run(argv, rules);
	else
		report_message(
		    "ZUnable to read control files: %s. (#4.3.0)\n", err.text);
	rules_free(&rules);
	home_free(&home);
	return fflush(stdout) == 0 ? 0 : 111;
}
