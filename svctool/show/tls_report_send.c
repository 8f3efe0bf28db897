/* SPDX-License-Identifier: ISC */
/* Sends the reports on TLS of a day. */
#include "svctool/show/tls_report_send.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/test_time.h"
#include "control/settings.h"
#include "queue/exitcode.h"
#include "queue/sink.h"
#include "queue/sink_settings.h"
#include "remote/https.h"
#include "remote/tls_report_mail.h"

enum {
	DNS_TIMEOUT_MS = 30 * 1000,
	HTTPS_TIMEOUT_MS = 60 * 1000,
	QUEUE_TIMEOUT_MS = 60 * 1000,
	MARKS_MAX = 64 * 1024 * 1024,
	ANSWER_MAX = 64 * 1024
};

struct sending {
	struct settings *settings;
	struct dns_client *dns;
	struct sink_pool *sinks;
	char *marks_path;
	int marks_fd;
	json_t *marks; /* "DOMAIN TARGET": true, or false when it failed */
	struct tls_report_facts facts;
	struct buf gzip; /* the domain's report */
	int failures;
};

/* -- marks: a file of lines "+ DOMAIN TARGET" and "- DOMAIN TARGET" */

static void
read_mark(struct sending *sending, const char *line)
{
	if ((line[0] == '+' || line[0] == '-') && line[1] == ' ')
		json_object_set_new(
		    sending->marks, line + 2, json_boolean(line[0] == '+'));
}

static int
read_marks(struct sending *sending, struct error *err)
{
	AUTO(buf_release) struct buf text = BUF_INIT;
	char *at, *line;

	if (file_read(sending->marks_path, MARKS_MAX, &text, err) == -1)
		return -1;
	buf_adds(&text, "");
	at = text.data;
	while ((line = strsep(&at, "\n")) != NULL)
		if (at != NULL) /* a crash may have cut the last short */
			read_mark(sending, line);
	/* What follows it is a line of its own. */
	if (text.length > 0 && text.data[text.length - 1] != '\0' &&
	    text.data[text.length - 1] != '\n' &&
	    file_write_all(sending->marks_fd, "\n", 1) == -1)
		return error_sys(err, "cannot write '%s'", sending->marks_path);
	return 0;
}

static int
open_marks(struct sending *sending, struct error *err)
{
	sending->marks_fd = open(sending->marks_path,
	    O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (sending->marks_fd == -1)
		return error_sys(err, "cannot open '%s'", sending->marks_path);
	if (flock(sending->marks_fd, LOCK_EX | LOCK_NB) == -1)
		return error_set(err, "another svctool sends these reports");
	if (file_sync_parent(sending->marks_path, err) == -1)
		return -1;
	return read_marks(sending, err);
}

static int
put_mark(
    struct sending *sending, char sign, const char *target, struct error *err)
{
	AUTO(mem_free)
	char *line = xasprintf(
	    "%c %s %s\n", sign, sending->facts.domain, target);

	if (file_write_all(sending->marks_fd, line, strlen(line)) == -1 ||
	    fdatasync(sending->marks_fd) == -1)
		return error_sys(err, "cannot write '%s'", sending->marks_path);
	return 0;
}

static bool
is_sent(const struct sending *sending, const char *target)
{
	AUTO(mem_free)
	char *key = xasprintf("%s %s", sending->facts.domain, target);

	return json_is_true(json_object_get(sending->marks, key));
}

/* -- one report to one target */

static int
send_mail(struct sending *sending, const char *to, struct error *err)
{
	AUTO(buf_release) struct buf text = BUF_INIT;
	struct vars vars = VARS_INIT;
	const char *never = " NOTIFY=NEVER";
	const struct sink_envelope envelope = {
		.sender = sending->facts.contact,
		.recipients = &to,
		.recipient_count = 1,
		.recipient_dsn = &never,
		.qp = (unsigned long)getpid()
	};
	struct sink_outcome outcome;
	struct sink *sink;
	int result = sink_open(sending->sinks, &vars, NULL, &sink);

	if (result != QQ_OK)
		return error_set(err, "%s", qq_text(result));
	tls_report_put_mail(
	    &sending->facts, to, time(NULL), &sending->gzip, &text);
	sink_write(sink, text.data, text.length);
	result = sink_commit(&sink, &envelope, &outcome);
	return result == QQ_OK ? 0 : error_set(err, "%s", outcome.text);
}

/* RFC 8460 5.4: what is between 200 and 299 is success. */
static int
post_report(struct sending *sending, const char *url, struct error *err)
{
	const struct https_request request = { .dns = sending->dns,
		.ca_file = settings_text(sending->settings, SETTING_tlscafile),
		.timeout_ms = HTTPS_TIMEOUT_MS,
		.url = url,
		.post = &sending->gzip,
		.post_type = "application/tlsrpt+gzip",
		.answer_max = ANSWER_MAX };
	struct https_answer answer;
	int result = https_ask(&request, &answer, err);

	if (result == 0 && answer.code / 100 != 2)
		result = error_set(err, "it answers %ld", answer.code);
	buf_release(&answer.text);
	return result;
}

/* 0: it was sent, or had been; 1: it was not; -1 with the reason. */
static int
send_to(struct sending *sending, const char *target, struct error *err)
{
	static const char mailto[] = "mailto:";
	const char *domain = sending->facts.domain;
	struct error why;
	int result;

	if (is_sent(sending, target))
		return 0;
	if (put_mark(sending, '+', target, err) == -1)
		return -1;
	if (strncmp(target, mailto, sizeof(mailto) - 1) == 0)
		result = send_mail(sending, target + sizeof(mailto) - 1, &why);
	else
		result = post_report(sending, target, &why);
	if (result == 0) {
		printf("%s: sent to %s\n", domain, target);
		return 0;
	}
	printf("%s: not sent to %s: %s\n", domain, target, why.text);
	return put_mark(sending, '-', target, err) == -1 ? -1 : 1;
}

/* -- all of a domain, and all */

/* It becomes part of header fields. */
static bool
is_plain_domain(const char *domain)
{
	size_t i;

	for (i = 0; domain[i] != '\0'; i++)
		if (!isalnum((unsigned char)domain[i]) &&
		    strchr("-._", domain[i]) == NULL)
			return false;
	return i > 0 && i < DNS_NAME_SIZE;
}

/* Exactly one record, or there is none (RFC 8460 3).  1, 0, or -1. */
static int
find_targets(
    const struct sending *sending, const char *domain, struct strlist *targets)
{
	AUTO(mem_free) char *name = xasprintf("_smtp._tls.%s", domain);
	struct dns_answer answer;
	size_t i, count = 0;
	int result = 0;

	dns_client_ask(sending->dns, DNS_TXT, name,
	    (int)test_time_ms("REPORT_DNS_MS", DNS_TIMEOUT_MS), &answer);
	if (answer.state == DNS_UNKNOWN)
		result = -1;
	for (i = 0; i < answer.record_count; i++) {
		AUTO(buf_release) struct buf text = BUF_INIT;

		if (!dns_read_text(&answer.records[i], &text) ||
		    text.length == 0 ||
		    strncmp(text.data, "v=TLSRPTv1", 10) != 0)
			continue;
		count++;
		result = tls_report_read_record(text.data, targets);
	}
	dns_answer_release(&answer);
	return count > 1 ? 0 : result;
}

static int
send_domain(struct sending *sending, const char *domain, json_t *rows,
    struct error *err)
{
	struct strlist targets = { 0 };
	int result = 0;
	size_t i;

	sending->facts.domain = domain;
	if (!is_plain_domain(domain))
		return 0;
	switch (find_targets(sending, domain, &targets)) {
	case -1:
		printf("%s: its TXT record cannot be told\n", domain);
		sending->failures++;
		/* FALLTHROUGH */
	case 0:
		goto out;
	}
	buf_reset(&sending->gzip);
	tls_report_put_gzip(&sending->facts, rows, &sending->gzip);
	for (i = 0; i < targets.count && result != -1; i++) {
		result = send_to(sending, targets.items[i], err);
		if (result == 1)
			sending->failures++;
	}
out:
	strlist_release(&targets);
	return result == -1 ? -1 : 0;
}

/* {DOMAIN: [ROW, ...]} */
static json_t *
group_rows(json_t *rows)
{
	json_t *groups = json_object(), *row;
	size_t i;

	json_array_foreach(rows, i, row)
	{
		const char *domain = json_string_value(
		    json_object_get(row, "domain"));
		json_t *group;

		if (domain == NULL)
			continue;
		group = json_object_get(groups, domain);
		if (group == NULL) {
			group = json_array();
			json_object_set_new(groups, domain, group);
		}
		json_array_append(group, row);
	}
	return groups;
}

static int
begin(struct sending *sending, const struct node *node, const char *day,
    struct error *err)
{
	AUTO(mem_free)
	char *resolver = layout_path(node->home, LAYOUT_resolver);
	AUTO(mem_free)
	char *folder = layout_path(node->home, LAYOUT_tls_report);
	struct sink_options options;
	const char *name;

	sending->settings = settings_load(node->home->control, NULL, NULL, err);
	if (sending->settings == NULL)
		return -1;
	sending->facts = (struct tls_report_facts){
		.submitter = settings_text(sending->settings, SETTING_me),
		.contact = settings_text(
		    sending->settings, SETTING_tlsreportcontact),
		.day = day
	};
	name = settings_text(sending->settings, SETTING_tlsreportname);
	sending->facts.organization = *name == '\0' ? sending->facts.submitter
						    : name;
	if (strchr(sending->facts.contact, '@') == NULL)
		return error_set(err,
		    "no reports are sent without the setting "
		    "tlsreportcontact, a mailbox for questions about them");
	sink_options_set(&options, sending->settings, node->home);
	options.timeout_ms = QUEUE_TIMEOUT_MS;
	sending->sinks = sink_pool_new(&options);
	sending->dns = dns_client_new(resolver);
	sending->marks_path = xasprintf("%s/%s.sent", folder, day);
	return open_marks(sending, err);
}

static void
end(struct sending *sending)
{
	file_close(&sending->marks_fd);
	sink_pool_free(&sending->sinks);
	dns_client_free(&sending->dns);
	settings_free(&sending->settings);
	buf_release(&sending->gzip);
	json_decref(sending->marks);
	free(sending->marks_path);
}

int
tls_report_send(
    const struct node *node, const char *day, json_t *rows, struct error *err)
{
	struct sending sending = { .marks_fd = -1, .marks = json_object() };
	json_t *groups = group_rows(rows), *group;
	const char *domain;
	int result = begin(&sending, node, day, err);

	if (result == 0) {
		json_object_foreach(groups, domain, group)
		{
			result = send_domain(&sending, domain, group, err);
			if (result == -1)
				break;
		}
	}
	end(&sending);
	json_decref(groups);
	return result == -1 ? -1 : sending.failures;
}
