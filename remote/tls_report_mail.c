/* SPDX-License-Identifier: ISC */
/* A report on TLS as it is sent. */
#include "remote/tls_report_mail.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <gsasl.h>
#include <zlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mailbox_text.h"
#include "base/mem.h"
#include "control/json_text.h"

enum {
	BASE64_LINE = 57, /* bytes; 76 characters */
	MAILBOX_MAX = 256 /* RFC 5321 4.5.3.1.3 */
};

/* -- the record */

static int
hex_value(char c)
{
	return isdigit((unsigned char)c) ? c - '0'
					 : tolower((unsigned char)c) - 'a' + 10;
}

/*
 * Adds a mailbox of printable ASCII, its escapes undone; a header behind it
 * ("?subject=") does not count.  False: it is none.
 */
static bool
put_mailbox(const char *uri, size_t length, struct buf *target)
{
	size_t i, before = target->length;
	const char *mailbox, *at;

	for (i = 0; i < length && uri[i] != '?'; i++) {
		char c = uri[i];

		if (c == '%') {
			if (length - i < 3 ||
			    !isxdigit((unsigned char)uri[i + 1]) ||
			    !isxdigit((unsigned char)uri[i + 2]))
				return false;
			c = (char)(hex_value(uri[i + 1]) * 16 +
			    hex_value(uri[i + 2]));
			i += 2;
		}
		if (c <= ' ' || c > '~' || strchr("<>\"\\,;:()[]", c) != NULL)
			return false;
		buf_addc(target, c);
	}
	if (target->length == before || target->length - before > MAILBOX_MAX)
		return false;
	mailbox = target->data + before;
	at = strrchr(mailbox, '@');
	return at != NULL && at != mailbox && at[1] != '\0';
}

static void
add_target(const char *uri, size_t length, struct strlist *targets)
{
	static const char mailto[] = "mailto:", https[] = "https://";
	AUTO(buf_release) struct buf target = BUF_INIT;
	size_t i;

	if (targets->count >= TLS_REPORT_TARGETS_MAX)
		return;
	if (length > sizeof(mailto) - 1 &&
	    strncasecmp(uri, mailto, sizeof(mailto) - 1) == 0) {
		buf_adds(&target, mailto);
		if (!put_mailbox(uri + sizeof(mailto) - 1,
			length - (sizeof(mailto) - 1), &target))
			return;
	} else if (length > sizeof(https) - 1 &&
	    strncasecmp(uri, https, sizeof(https) - 1) == 0) {
		for (i = 0; i < length; i++)
			if (uri[i] <= ' ' || uri[i] > '~')
				return;
		buf_add(&target, uri, length);
	} else
		return;
	if (!strlist_has(targets, target.data))
		strlist_add(targets, target.data);
}

/* tlsrpt-uri *(*WSP "," *WSP tlsrpt-uri) */
static void
add_targets(const char *text, size_t length, struct strlist *targets)
{
	const char *end = text + length;

	while (text < end) {
		size_t part, word;

		text += strspn(text, " \t,");
		if (text >= end)
			return;
		part = strcspn(text, ",");
		if (part > (size_t)(end - text))
			part = (size_t)(end - text);
		word = part;
		while (word > 0 && strchr(" \t", text[word - 1]) != NULL)
			word--;
		add_target(text, word, targets);
		text += part;
	}
}

/* tlsrpt-version 1*(*WSP ";" *WSP tlsrpt-field) [*WSP ";" *WSP] */
bool
tls_report_read_record(const char *text, struct strlist *targets)
{
	static const char version[] = "v=TLSRPTv1";
	size_t before = targets->count;

	if (strncmp(text, version, sizeof(version) - 1) != 0)
		return false;
	text += sizeof(version) - 1;
	while (*text != '\0') {
		size_t length;

		text += strspn(text, " \t");
		if (*text != ';')
			break;
		text++;
		text += strspn(text, " \t");
		length = strcspn(text, ";");
		if (strncmp(text, "rua=", 4) == 0 && length > 4)
			add_targets(text + 4, length - 4, targets);
		text += length;
	}
	return targets->count > before;
}

/* -- the JSON */

static const char *
row_text(json_t *row, const char *key)
{
	const char *text = json_string_value(json_object_get(row, key));

	return text == NULL ? "" : text;
}

static json_int_t
row_sessions(json_t *row)
{
	return json_integer_value(json_object_get(row, "sessions"));
}

static void
add_count(json_t *object, const char *key, json_int_t more)
{
	json_object_set_new(object, key,
	    json_integer(
		json_integer_value(json_object_get(object, key)) + more));
}

/* RFC 8460 4.4: the policy that sessions were under. */
static json_t *
make_policy(const struct tls_report_facts *facts, json_t *row)
{
	static const char mx_key[] = "mx: ";
	json_t *policy = json_pack("{s:o, s:o}", "policy-type",
	    json_text(row_text(row, "policy")), "policy-domain",
	    json_text(facts->domain));
	json_t *lines = json_array(), *hosts = json_array();
	const char *text = row_text(row, "policy_text");

	while (*text != '\0') {
		size_t length = strcspn(text, "\n");
		AUTO(mem_free) char *line = xstrndup(text, length);

		json_array_append_new(lines, json_text(line));
		if (strncmp(line, mx_key, sizeof(mx_key) - 1) == 0)
			json_array_append_new(
			    hosts, json_text(line + sizeof(mx_key) - 1));
		text += length + (text[length] != '\0');
	}
	if (json_array_size(lines) > 0)
		json_object_set(policy, "policy-string", lines);
	if (json_array_size(hosts) > 0)
		json_object_set(policy, "mx-host", hosts);
	json_decref(lines);
	json_decref(hosts);
	return policy;
}

static json_t *
find_policy(const struct tls_report_facts *facts, json_t *policies, json_t *row)
{
	json_t *policy = make_policy(facts, row), *found;
	size_t i;

	json_array_foreach(policies, i,
	    found) if (json_equal(json_object_get(found, "policy"), policy))
	{
		json_decref(policy);
		return found;
	}
	found = json_pack("{s:o, s:{s:i, s:i}}", "policy", policy, "summary",
	    "total-successful-session-count", 0, "total-failure-session-count",
	    0);
	json_array_append_new(policies, found);
	return found;
}

static void
add_failure(json_t *policy, json_t *row)
{
	json_t *details = json_object_get(policy, "failure-details");
	json_t *detail = json_pack("{s:o, s:o, s:I}", "result-type",
	    json_text(row_text(row, "result")), "receiving-mx-hostname",
	    json_text(row_text(row, "host")), "failed-session-count",
	    row_sessions(row));

	if (*row_text(row, "ip") != '\0')
		json_object_set_new(
		    detail, "receiving-ip", json_text(row_text(row, "ip")));
	if (details == NULL) {
		details = json_array();
		json_object_set_new(policy, "failure-details", details);
	}
	json_array_append_new(details, detail);
}

char *
tls_report_id(const struct tls_report_facts *facts)
{
	return xasprintf(
	    "%s.%s@%s", facts->day, facts->domain, facts->submitter);
}

static json_t *
make_json(const struct tls_report_facts *facts, json_t *rows)
{
	AUTO(mem_free) char *id = tls_report_id(facts);
	AUTO(mem_free) char *start = xasprintf("%sT00:00:00Z", facts->day);
	AUTO(mem_free) char *end = xasprintf("%sT23:59:59Z", facts->day);
	json_t *policies = json_array(), *row;
	size_t i;

	json_array_foreach(rows, i, row)
	{
		json_t *policy = find_policy(facts, policies, row);
		json_t *summary = json_object_get(policy, "summary");

		if (*row_text(row, "result") == '\0') {
			add_count(summary, "total-successful-session-count",
			    row_sessions(row));
			continue;
		}
		add_count(
		    summary, "total-failure-session-count", row_sessions(row));
		add_failure(policy, row);
	}
	return json_pack("{s:o, s:{s:s, s:s}, s:o, s:o, s:o}",
	    "organization-name", json_text(facts->organization), "date-range",
	    "start-datetime", start, "end-datetime", end, "contact-info",
	    json_text(facts->contact), "report-id", json_text(id), "policies",
	    policies);
}

void
tls_report_put_gzip(
    const struct tls_report_facts *facts, json_t *rows, struct buf *out)
{
	json_t *report = make_json(facts, rows);
	char *text = json_dumps(report, JSON_INDENT(1));
	size_t length = strlen(text);
	z_stream stream = { 0 };
	uLong room;

	/* 16: in gzip's form */
	if (length > UINT32_MAX ||
	    deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED,
		MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		fatal(111, "out of memory");
	room = deflateBound(&stream, length);
	buf_reserve(out, room);
	stream.next_in = (unsigned char *)text;
	stream.avail_in = (unsigned)length;
	stream.next_out = (unsigned char *)out->data + out->length;
	stream.avail_out = (unsigned)room;
	if (deflate(&stream, Z_FINISH) != Z_STREAM_END)
		fatal(111, "cannot compress a report");
	out->length += stream.total_out;
	deflateEnd(&stream);
	free(text);
	json_decref(report);
}

/* -- the mail */

/* RFC 8460 5.1: SUBMITTER!DOMAIN!BEGIN!END.json.gz */
static char *
make_file_name(const struct tls_report_facts *facts)
{
	struct tm tm = { 0 };
	long long begin;

	tm.tm_year = atoi(facts->day) - 1900;
	tm.tm_mon = atoi(facts->day + 5) - 1;
	tm.tm_mday = atoi(facts->day + 8);
	begin = (long long)timegm(&tm);
	return xasprintf("%s!%s!%lld!%lld.json.gz", facts->submitter,
	    facts->domain, begin, begin + 86399);
}

static void
put_base64(const struct buf *data, struct buf *out)
{
	size_t at, length;

	for (at = 0; at < data->length; at += length) {
		char *line;

		length = data->length - at;
		if (length > BASE64_LINE)
			length = BASE64_LINE;
		if (gsasl_base64_to(data->data + at, length, &line, NULL) !=
		    GSASL_OK)
			fatal(111, "out of memory");
		buf_addf(out, "%s\n", line);
		free(line);
	}
}

void
tls_report_put_mail(const struct tls_report_facts *facts, const char *to,
    time_t now, const struct buf *gzip, struct buf *out)
{
	AUTO(mem_free) char *id = tls_report_id(facts);
	AUTO(mem_free) char *name = make_file_name(facts);
	char date[CLOCK_DATE_SIZE];

	clock_date(now, date);
	buf_addf(out, "Date: %s\nFrom: <", date);
	mailbox_put_quoted(out, facts->contact);
	buf_adds(out, ">\nTo: <");
	mailbox_put_quoted(out, to);
	buf_addf(out,
	    ">\n"
	    "Subject: Report Domain: %s\n Submitter: %s\n Report-ID: <%s>\n"
	    "Message-ID: <tls-report.%s>\n"
	    "TLS-Report-Domain: %s\n"
	    "TLS-Report-Submitter: %s\n"
	    "TLS-Required: No\n" /* RFC 8460 3: though its TLS fails */
	    "Auto-Submitted: auto-generated\n"
	    "MIME-Version: 1.0\n"
	    "Content-Type: multipart/report; report-type=\"tlsrpt\";\n"
	    "\tboundary=\"tls-report-%s\"\n\n",
	    facts->domain, facts->submitter, id, id, facts->domain,
	    facts->submitter, facts->day);
	buf_addf(out,
	    "--tls-report-%s\n"
	    "Content-Type: text/plain; charset=us-ascii\n\n"
	    "This is a report on TLS with the hosts that take mail for %s,\n"
	    "on %s (UTC), as %s has seen it (RFC 8460).\n\n"
	    "--tls-report-%s\n"
	    "Content-Type: application/tlsrpt+gzip\n"
	    "Content-Transfer-Encoding: base64\n"
	    "Content-Disposition: attachment;\n\tfilename=\"%s\"\n\n",
	    facts->day, facts->domain, facts->day, facts->submitter, facts->day,
	    name);
	put_base64(gzip, out);
	buf_addf(out, "\n--tls-report-%s--\n", facts->day);
}
