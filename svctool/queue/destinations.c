/* SPDX-License-Identifier: ISC */
/*
 * svctool queue destinations: what qmail-rspawn knows of where mail goes; and
 * suspend, resume, rebind, reset, which change it.
 *
 * A suspension is a line of control/suspended; qmail-rspawn is told to look.
 */
#include "svctool/queue/destinations.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "control/json_text.h"
#include "control/layout.h"
#include "control/suspensions.h"
#include "svctool/make.h"
#include "svctool/queue/select.h"
#include "svctool/run/rests.h"
#include "svctool/run/rspawn.h"
#include "svctool/svctool.h"

enum { ANSWER_MS = 10 * 1000, SUSPENDED_MAX_BYTES = 16 * 1024 * 1024 };

static const struct {
	const char *verb;
	enum operate_action action;
} verbs[] = {
	{ "destinations", OPERATE_LIST },
	{ "suspend", OPERATE_SUSPENSIONS },
	{ "resume", OPERATE_SUSPENSIONS },
	{ "rebind", OPERATE_REBIND },
	{ "reset", OPERATE_RESET },
};
enum { VERB_COUNT = sizeof(verbs) / sizeof(verbs[0]) };

bool
destinations_has(const char *verb)
{
	for (size_t i = 0; i < VERB_COUNT; i++)
		if (strcmp(verb, verbs[i].verb) == 0)
			return true;
	return false;
}

/* -- destinations */

struct shown {
	const struct destination_options *options;
	json_t *rows; /* NULL: as text */
	size_t count;
};

static void
put_clean(const char *text)
{
	char *line = rests_clean(text);

	fputs(line, stdout);
	free(line);
}

static void
put_rest(uint32_t seconds)
{
	if (seconds == UINT32_MAX)
		printf(" until resume");
	else if (seconds > 0)
		printf(" for %" PRIu32 " s", seconds);
}

static void
print_numbers(const struct operate_destination *it)
{
	printf("\twindow %" PRIu32 " connections %" PRIu32 " (%" PRIu32
	       " busy, %" PRIu32 " opening) waiting %" PRIu32 " lanes %" PRIu32,
	    it->window, it->connections, it->busy, it->opening, it->waiting,
	    it->lanes);
	if (it->limit > 0)
		printf("; limit %" PRIu32, it->limit);
	if (it->rate_limit > 0)
		printf("; limit %" PRIu32 ".%03" PRIu32 " a second",
		    it->rate_limit / 1000, it->rate_limit % 1000);
	if (it->capped_s > 0) {
		printf("; capped");
		put_rest(it->capped_s);
	}
	if (it->rate > 0 && it->rate != it->rate_limit) {
		printf("; %" PRIu32 ".%03" PRIu32 " a second", it->rate / 1000,
		    it->rate % 1000);
		put_rest(it->rate_s);
	}
	printf("\n\tin %" PRIu32 " s: messages %" PRIu64
	       ", recipients delivered %" PRIu64 " deferred %" PRIu64
	       " failed %" PRIu64 "\n",
	    it->known_s, it->messages, it->delivered, it->deferred, it->failed);
	if (*it->tls != '\0') {
		printf("\ttls ");
		put_clean(it->tls);
		putchar('\n');
	}
	for (size_t i = 0; i < it->address_count; i++) {
		const struct operate_address *to = &it->addresses[i];

		printf("\thost ");
		put_clean(to->host);
		printf(" %s port %" PRIu32, to->ip, to->port);
		if (to->failures > 0)
			printf(" failures %" PRIu32, to->failures);
		if (to->rests_s > 0) {
			printf(" rests");
			put_rest(to->rests_s);
		}
		putchar('\n');
	}
	if (it->has_more_addresses)
		printf("\tand more hosts\n");
	if (*it->reply != '\0') {
		printf("\tlast reply: ");
		put_clean(it->reply);
		putchar('\n');
	}
}

static void
print_destination(const struct operate_destination *it)
{
	for (size_t i = 0; i < it->domain_count; i++) {
		if (i > 0)
			putchar(' ');
		put_clean(it->domains[i]);
	}
	printf("%s: %s%s", it->has_more_domains ? " and more" : "",
	    operate_state_name(it->state), it->is_retired ? ", ends" : "");
	put_rest(it->rests_s);
	if (*it->reason != '\0') {
		printf(": ");
		put_clean(it->reason);
	}
	putchar('\n');
	if (it->state <= OPERATE_IDLE)
		print_numbers(it);
}

static json_t *
destination_json(const struct operate_destination *it)
{
	json_t *domains = json_array(), *addresses = json_array(), *row;

	for (size_t i = 0; i < it->domain_count; i++)
		json_array_append_new(domains, json_text(it->domains[i]));
	for (size_t i = 0; i < it->address_count; i++) {
		const struct operate_address *to = &it->addresses[i];

		json_array_append_new(addresses,
		    json_pack("{s:o, s:s, s:I, s:I, s:I}", "host",
			json_text(to->host), "ip", to->ip, "port",
			(json_int_t)to->port, "failures",
			(json_int_t)to->failures, "rests",
			(json_int_t)to->rests_s));
	}
	row = json_pack("{s:o, s:b, s:s, s:b, s:o, s:o}", "domains", domains,
	    "more_domains", it->has_more_domains, "state",
	    operate_state_name(it->state), "ends", it->is_retired, "rests",
	    it->rests_s == UINT32_MAX ? json_null()
				      : json_integer((json_int_t)it->rests_s),
	    "reason", json_text(it->reason));
	if (it->state > OPERATE_IDLE) {
		json_decref(addresses);
		return row;
	}
	json_object_update_new(row,
	    json_pack("{s:o, s:b, s:I, s:I, s:I, s:I, s:I, s:I}", "hosts",
		addresses, "more_hosts", it->has_more_addresses, "window",
		(json_int_t)it->window, "connections",
		(json_int_t)it->connections, "busy", (json_int_t)it->busy,
		"opening", (json_int_t)it->opening, "waiting",
		(json_int_t)it->waiting, "lanes", (json_int_t)it->lanes));
	json_object_update_new(row,
	    json_pack("{s:I, s:f}", "limit", (json_int_t)it->limit,
		"rate_limit", it->rate_limit / 1000.0));
	json_object_update_new(row,
	    json_pack("{s:I, s:f, s:I, s:o, s:o, s:I, s:I, s:I, s:I, s:I}",
		"capped", (json_int_t)it->capped_s, "rate", it->rate / 1000.0,
		"rate_for", (json_int_t)it->rate_s, "last_reply",
		json_text(it->reply), "tls", json_text(it->tls), "known",
		(json_int_t)it->known_s, "messages", (json_int_t)it->messages,
		"delivered", (json_int_t)it->delivered, "deferred",
		(json_int_t)it->deferred, "failed", (json_int_t)it->failed));
	return row;
}

static bool
is_shown(const struct shown *shown, const struct operate_destination *it)
{
	if (shown->options->pattern == NULL)
		return true;
	for (size_t i = 0; i < it->domain_count; i++)
		if (fnmatch(shown->options->pattern, it->domains[i],
			FNM_CASEFOLD) == 0)
			return true;
	return false;
}

static void
show_destination(const struct operate_destination *it, void *context)
{
	struct shown *shown = context;

	if (!is_shown(shown, it))
		return;
	shown->count++;
	if (shown->rows != NULL)
		json_array_append_new(shown->rows, destination_json(it));
	else
		print_destination(it);
}

static int
show_all(const struct node *node, const struct strlist *domains,
    const struct destination_options *options)
{
	struct shown shown = { .options = options };
	struct error err;
	AUTO(file_close) int connection = rspawn_connect(node, ANSWER_MS, &err);
	int code = EXIT_FINE;
	size_t i = 0;

	if (connection == -1)
		return complain(EXIT_TROUBLE, &err);
	if (options->is_json)
		shown.rows = json_array();
	do
		if (rspawn_ask(connection, OPERATE_LIST,
			domains->count == 0 ? "" : domains->items[i],
			show_destination, &shown, ANSWER_MS,
			&err) != OPERATE_DONE) {
			code = complain(EXIT_TROUBLE, &err);
			break;
		}
	while (++i < domains->count);
	if (shown.rows != NULL) {
		json_dumpf(
		    shown.rows, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII);
		putchar('\n');
		json_decref(shown.rows);
	}
	return code;
}

/* -- suspend, resume */

/* "until 2026-12-01 09:00:00: REASON" */
static void
put_suspension(struct buf *buf, const struct suspension *suspension)
{
	time_t until = (time_t)suspension->until_s;
	char date[32];
	struct tm tm;

	buf_reset(buf);
	if (until == 0)
		buf_adds(buf, "until it is resumed");
	else if (localtime_r(&until, &tm) != NULL &&
	    strftime(date, sizeof(date), "%Y-%m-%d %H:%M:%S", &tm) > 0)
		buf_addf(buf, "until %s", date);
	if (suspension->reason[0] != '\0')
		buf_addf(buf, ": %s", suspension->reason);
}

/*
 * All lines but that of the domain, and those that are over.  former gets what
 * stood behind the domain, if that is not over.
 */
static bool
keep_lines(const char *text, const char *domain, struct buf *kept,
    struct buf *former)
{
	bool was_there = false;

	while (*text != '\0') {
		size_t length = strcspn(text, "\n");
		char *line = xstrndup(text, length);
		struct suspension suspension;
		struct error unused;
		bool is_line = suspension_read(line, &suspension, &unused) == 0;
		bool is_its = is_line && strcmp(suspension.domain, domain) == 0;
		bool is_over = is_line && suspension.until_s != 0 &&
		    suspension.until_s <= time(NULL);

		if (!is_its && !is_over)
			buf_addf(kept, "%s\n", line);
		if (is_its && !is_over)
			put_suspension(former, &suspension);
		was_there |= is_its;
		free(line);
		text += length + (text[length] == '\n');
	}
	return was_there;
}

/*
 * added: the new line, or NULL.  1; 0 when there was none to take away; -1.
 * former gets how long, and why, it was suspended until now.
 */
static int
change_suspended(const struct node *node, const char *domain, const char *added,
    bool is_dry_run, struct buf *former, struct error *err)
{
	AUTO(mem_free)
	char *path = xasprintf("%s/suspended", node->home->control);
	/* Of two that change it the second waits. */
	AUTO(file_close)
	int lock = open(node->home->control, O_RDONLY | O_CLOEXEC);
	AUTO(buf_release) struct buf text = BUF_INIT;
	AUTO(buf_release) struct buf kept = BUF_INIT;
	bool was_there;

	buf_init(&text);
	buf_init(&kept);
	if (lock == -1 || flock(lock, LOCK_EX) == -1)
		return error_sys(err, "cannot lock '%s'", node->home->control);
	if (file_read(path, SUSPENDED_MAX_BYTES, &text, err) == -1)
		return -1;
	was_there = keep_lines(text.data, domain, &kept, former);
	if (added != NULL)
		buf_addf(&kept, "%s\n", added);
	else if (!was_there)
		return 0;
	if (is_dry_run)
		return 1;
	return file_replace(path, kept.data, kept.length,
		   layout_rows[LAYOUT_setting].mode, err) == -1
	    ? -1
	    : 1;
}

/* It counts from the next start on where nobody runs. */
static int
tell_suspensions(const struct node *node, struct error *err)
{
	AUTO(file_close) int connection = rspawn_connect(node, ANSWER_MS, err);

	if (connection == -1 && (errno == ENOENT || errno == ECONNREFUSED)) {
		make_say("note",
		    "qmail-rspawn does not run: this counts from its next "
		    "start on");
		return 0;
	}
	return connection != -1 &&
		rspawn_ask(connection, OPERATE_SUSPENSIONS, "", NULL, NULL,
		    ANSWER_MS, err) == OPERATE_DONE
	    ? 0
	    : error_context(err,
		  "control/suspended was written, but qmail-rspawn was not "
		  "told ('svc -h' for remote does that)");
}

static char *
suspended_line(const char *domain, const struct destination_options *options,
    uint64_t span_s)
{
	const char *reason = options->reason == NULL ? "" : options->reason;

	return options->span == NULL
	    ? xasprintf("%s - %s", domain, reason)
	    : xasprintf("%s %" PRId64 " %s", domain,
		  (int64_t)time(NULL) + (int64_t)span_s, reason);
}

static int
change_suspensions(const struct node *node, const char *verb,
    const struct strlist *domains, const struct destination_options *options,
    uint64_t span_s)
{
	bool is_suspend = strcmp(verb, "suspend") == 0;
	int code = EXIT_FINE;
	struct error err;

	for (size_t i = 0; i < domains->count; i++) {
		const char *domain = domains->items[i];
		AUTO(mem_free)
		char *line = is_suspend
		    ? suspended_line(domain, options, span_s)
		    : NULL;
		AUTO(buf_release) struct buf former = BUF_INIT;
		int result = change_suspended(
		    node, domain, line, options->is_dry_run, &former, &err);

		if (result == 0)
			error_set(&err, "'%s' is not suspended", domain);
		if (result != 1)
			code = complain(EXIT_TROUBLE, &err);
		else
			make_say(options->is_dry_run ? "would be it"
				: is_suspend         ? "suspended"
						     : "resumed",
			    "%s", domain);
		if (result == 1 && is_suspend && former.length > 0)
			make_say("note",
			    "this takes the place of what %s was suspended "
			    "for, %s",
			    domain, former.data);
	}
	if (!options->is_dry_run && tell_suspensions(node, &err) == -1)
		code = complain(EXIT_TROUBLE, &err);
	return code;
}

/* -- rebind, reset */

static int
change_each(const struct node *node, const char *verb,
    enum operate_action action, const struct strlist *domains,
    const struct destination_options *options)
{
	struct error err;
	AUTO(file_close) int connection = rspawn_connect(node, ANSWER_MS, &err);
	int code = EXIT_FINE;

	if (connection == -1)
		return complain(EXIT_TROUBLE, &err);
	for (size_t i = 0; i < domains->count; i++) {
		struct shown shown = { .options = options };

		if (options->is_dry_run) {
			if (rspawn_ask(connection, OPERATE_LIST,
				domains->items[i], show_destination, &shown,
				ANSWER_MS, &err) != OPERATE_DONE)
				return complain(EXIT_TROUBLE, &err);
			continue;
		}
		if (rspawn_ask(connection, action, domains->items[i], NULL,
			NULL, ANSWER_MS, &err) == OPERATE_DONE)
			make_say(verb, "%s", domains->items[i]);
		else
			code = complain(EXIT_TROUBLE, &err);
	}
	return code;
}

/* -- all of them */

static int
read_domains(const char *verb, int words, char *const *argv,
    struct strlist *domains, struct error *err)
{
	char canonical[IDN_DOMAIN_SIZE];

	for (int i = 0; i < words; i++) {
		if (argv[i][strcspn(argv[i], " \t\n/@")] != '\0' ||
		    !idn_domain_canonical(argv[i], canonical) ||
		    *canonical == '\0')
			return error_set(err, "'%s' is not a domain", argv[i]);
		strlist_add(domains, canonical);
	}
	return words > 0 || strcmp(verb, "destinations") == 0
	    ? 0
	    : error_set(err, "queue %s needs a domain", verb);
}

static int
check_options(const char *verb, const struct destination_options *options,
    uint64_t *span_s_out, struct error *err)
{
	bool is_suspend = strcmp(verb, "suspend") == 0;

	if (!is_suspend && (options->reason != NULL || options->span != NULL))
		return error_set(
		    err, "queue %s has neither --reason nor --for", verb);
	if (options->pattern != NULL && strcmp(verb, "destinations") != 0)
		return error_set(
		    err, "queue %s has no --domain: give its name", verb);
	if (options->reason != NULL && strlen(options->reason) > 500)
		return error_set(err, "--reason takes at most 500 bytes");
	for (const char *c = options->reason; c != NULL && *c != '\0'; c++)
		if ((unsigned char)*c < ' ' || *c == 127)
			return error_set(
			    err, "--reason takes one line of text");
	if (options->span != NULL &&
	    (!scan_time(options->span, span_s_out) || *span_s_out == 0 ||
		*span_s_out > INT32_MAX))
		return error_set(
		    err, "--for takes a time, like 90s, 10m, 3h, 2d or 1w");
	return 0;
}

int
destinations_run(const char *verb, int words, char *const *argv,
    const struct destination_options *options)
{
	struct strlist domains = { .count = 0 };
	struct node *node = NULL;
	uint64_t span_s = 0;
	struct error err;
	int code;
	size_t i = 0;

	while (strcmp(verb, verbs[i].verb) != 0)
		i++;
	if (read_domains(verb, words, argv, &domains, &err) == -1 ||
	    check_options(verb, options, &span_s, &err) == -1)
		code = complain(EXIT_USAGE, &err);
	else {
		node = node_new(options->home, NULL, &err);
		code = node == NULL || !node_exists(node, &err) ||
			!node_is_ours(node, &err)
		    ? complain(EXIT_TROUBLE, &err)
		    : verbs[i].action == OPERATE_LIST
		    ? show_all(node, &domains, options)
		    : verbs[i].action == OPERATE_SUSPENSIONS
		    ? change_suspensions(node, verb, &domains, options, span_s)
		    : change_each(
			  node, verb, verbs[i].action, &domains, options);
	}
	node_free(&node);
	strlist_release(&domains);
	return code;
}
