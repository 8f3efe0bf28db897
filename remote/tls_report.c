/* SPDX-License-Identifier: ISC */
/* Counts for reports on TLS. */
#include "remote/tls_report.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "control/json_text.h"

enum {
	APPEND_S = 60,
	COUNTERS_MAX = 10000 /* then they are appended at once */
};

/* Sessions that were alike. */
struct counter {
	char *key; /* all of the session's texts */
	char *domain, *policy_text, *host, *ip;
	struct tls_report_session session;
	uint64_t sessions;
};

struct tls_report {
	char *folder;
	char day[TLS_REPORT_DAY_SIZE]; /* of the counters */
	time_t appended_at;
	void *table; /* of search.h, by key */
	size_t count;
	struct buf lines; /* while it is appended */
};

void
tls_report_day(time_t when, char day_out[TLS_REPORT_DAY_SIZE])
{
	struct tm tm;

	gmtime_r(&when, &tm);
	strftime(day_out, TLS_REPORT_DAY_SIZE, "%Y-%m-%d", &tm);
}

bool
tls_report_is_day(const char *text)
{
	static const char form[] = "dddd-dd-dd";
	size_t i;

	for (i = 0; i < sizeof(form); i++)
		if (form[i] == 'd' ? strchr("0123456789", text[i]) == NULL ||
			    text[i] == '\0'
				   : text[i] != form[i])
			return false;
	return true;
}

struct tls_report *
tls_report_new(const char *folder)
{
	struct tls_report *report = xcalloc(1, sizeof(*report));

	report->folder = xstrdup(folder);
	return report;
}

static int
compare_counters(const void *a, const void *b)
{
	return strcmp(
	    ((const struct counter *)a)->key, ((const struct counter *)b)->key);
}

static void
free_counter(void *data)
{
	struct counter *counter = data;

	free(counter->key);
	free(counter->domain);
	free(counter->policy_text);
	free(counter->host);
	free(counter->ip);
	free(counter);
}

/* -- appending */

static void
put_counter(const void *node, VISIT visit, void *closure)
{
	const struct counter *counter = *(struct counter *const *)node;
	struct buf *lines = closure;
	json_t *object;
	char *text;

	if (visit != postorder && visit != leaf)
		return;
	object = json_pack("{s:o, s:s, s:s, s:o, s:s, s:s, s:I}", "domain",
	    json_text(counter->session.domain), "policy",
	    counter->session.policy, "policy_text",
	    counter->session.policy_text, "host",
	    json_text(counter->session.host), "ip", counter->session.ip,
	    "result", counter->session.result, "sessions",
	    (json_int_t)counter->sessions);
	text = json_dumps(object, JSON_COMPACT);
	buf_addf(lines, "%s\n", text);
	free(text);
	json_decref(object);
}

/* "2026-11-30", or "2026-11-30.sent" */
static bool
is_of_a_day(const char *name)
{
	char day[TLS_REPORT_DAY_SIZE];

	snprintf(day, sizeof(day), "%.10s", name);
	return tls_report_is_day(day) &&
	    (name[sizeof(day) - 1] == '\0' ||
		strcmp(name + sizeof(day) - 1, ".sent") == 0);
}

/* Of the days that are over for long. */
static void
remove_old(const struct tls_report *report, time_t now)
{
	DIR *folder = opendir(report->folder);
	const struct dirent *entry;
	char oldest[TLS_REPORT_DAY_SIZE];

	tls_report_day(now - TLS_REPORT_DAYS * 86400, oldest);
	while (folder != NULL && (entry = readdir(folder)) != NULL)
		if (is_of_a_day(entry->d_name) &&
		    strncmp(entry->d_name, oldest, sizeof(oldest) - 1) < 0)
			unlinkat(dirfd(folder), entry->d_name, 0);
	if (folder != NULL)
		closedir(folder);
}

static void
append(struct tls_report *report)
{
	AUTO(mem_free)
	char *path = xasprintf("%s/%s", report->folder, report->day);
	AUTO(file_close) int fd = -1;

	if (report->count == 0)
		return;
	twalk_r(report->table, put_counter, &report->lines);
	tdestroy(report->table, free_counter);
	report->table = NULL;
	report->count = 0;
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	if ((fd == -1 && errno != ENOENT) ||
	    (fd != -1 &&
		file_write_all(fd, report->lines.data, report->lines.length) ==
		    -1))
		log_line("warning: cannot write '%s': %m", path);
	buf_reset(&report->lines);
}

void
tls_report_tick(struct tls_report *report, time_t now)
{
	char day[TLS_REPORT_DAY_SIZE];

	tls_report_day(now, day);
	if (strcmp(day, report->day) != 0) {
		append(report);
		memcpy(report->day, day, sizeof(day));
		remove_old(report, now);
	}
	if (now - report->appended_at < APPEND_S &&
	    report->count < COUNTERS_MAX)
		return;
	report->appended_at = now;
	append(report);
}

void
tls_report_free(struct tls_report **report)
{
	if (*report == NULL)
		return;
	append(*report);
	buf_release(&(*report)->lines);
	free((*report)->folder);
	free(*report);
	*report = NULL;
}

/* -- counting */

static struct counter *
find_counter(
    struct tls_report *report, const struct tls_report_session *session)
{
	struct counter *counter = xcalloc(1, sizeof(*counter)), **found;

	counter->key = xasprintf("%s %s %s %s %s %s", session->domain,
	    session->policy, session->host, session->ip, session->result,
	    session->policy_text);
	found = tsearch(counter, &report->table, compare_counters);
	if (found == NULL)
		fatal(111, "out of memory");
	if (*found != counter) {
		free_counter(counter);
		return *found;
	}
	counter->domain = xstrdup(session->domain);
	counter->policy_text = xstrdup(session->policy_text);
	counter->host = xstrdup(session->host);
	counter->ip = xstrdup(session->ip);
	counter->session = (struct tls_report_session){
		.domain = counter->domain,
		.policy = session->policy,
		.policy_text = counter->policy_text,
		.host = counter->host,
		.ip = counter->ip,
		.result = session->result
	};
	report->count++;
	return counter;
}

void
tls_report_count(struct tls_report *report,
    const struct tls_report_session *session, time_t now)
{
	tls_report_tick(report, now);
	find_counter(report, session)->sessions++;
}
