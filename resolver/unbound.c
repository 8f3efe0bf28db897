/* SPDX-License-Identifier: ISC */
/* The DNS resolver, libunbound. */
#include "resolver/unbound.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unbound.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/packet.h"

enum {
	CLASS_IN = 1,
	RCODE_NOERROR = 0,
	RCODE_NXDOMAIN = 3,
	/* What an answer may have so that it goes into a packet. */
	RECORD_BYTES_MAX = PACKET_MAX - 2 * DNS_NAME_SIZE - 1024
};

/* A question whose answer is awaited. */
struct question {
	LIST_ENTRY(question) in_unbound;
	unbound_answered *answered;
	void *context;
};

struct unbound {
	struct ub_ctx *context;
	LIST_HEAD(, question) questions;
};

static int
set_option(struct unbound *unbound, const char *name, const char *value,
    struct error *err)
{
	int result = ub_ctx_set_option(unbound->context, name, value);

	if (result != 0)
		return error_set(err, "libunbound does not take '%s %s': %s",
		    name, value, ub_strerror(result));
	return 0;
}

/* The messages' part of the cache, the records', the keys'. */
static int
set_cache(struct unbound *unbound, uint64_t bytes, struct error *err)
{
	static const struct {
		const char *option;
		unsigned percent;
	} parts[] = {
		{ "msg-cache-size:", 30 },
		{ "rrset-cache-size:", 60 },
		{ "key-cache-size:", 6 },
		{ "neg-cache-size:", 4 },
	};
	size_t i;

	for (i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		char text[24];

		snprintf(text, sizeof(text), "%" PRIu64,
		    bytes / 100 * parts[i].percent);
		if (set_option(unbound, parts[i].option, text, err) == -1)
			return -1;
	}
	return 0;
}

static int
set_options(struct unbound *unbound, struct error *err)
{
	static const char *const options[][2] = {
		/* Forwarders and stubs may be on this host. */
		{ "do-not-query-localhost:", "no" },
		/* Each is a socket: several thousand questions at once. */
		{ "outgoing-range:", "950" },
		{ "num-queries-per-thread:", "4096" },
	};
	size_t i;

	for (i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		if (set_option(unbound, options[i][0], options[i][1], err) ==
		    -1)
			return -1;
	return 0;
}

/* Of "ZONE:ADDRESS[@PORT]", as settings.c has checked it.  The caller frees. */
static char *
stub_zone(const char *line, const char **server_out)
{
	const char *colon = strchr(line, ':');

	*server_out = colon + 1;
	return xstrndup(line, (size_t)(colon - line));
}

/* This server is asked about this zone, whose keys are nowhere else. */
static int
add_stub(struct unbound *unbound, const char *line, struct error *err)
{
	const char *server;
	char *zone = stub_zone(line, &server);
	int result = ub_ctx_set_stub(unbound->context, zone, server, 0);

	if (result == 0)
		result = ub_ctx_set_option(
		    unbound->context, "domain-insecure:", zone);
	free(zone);
	if (result != 0)
		return error_set(
		    err, "dnsstub: '%s': %s", line, ub_strerror(result));
	return 0;
}

/*
 * Zones such as "test" are nowhere by RFC 6761, but for those that a stub
 * names.  All other options are set by then.
 */
static int
open_stub_zones(
    struct unbound *unbound, const struct settings *settings, struct error *err)
{
	const struct strlist *stubs = settings_list(settings, SETTING_dnsstub);
	size_t i;

	for (i = 0; i < stubs->count; i++) {
		const char *server;
		char *zone = stub_zone(stubs->items[i], &server);
		int result = ub_ctx_zone_add(
		    unbound->context, zone, "transparent");

		free(zone);
		if (result != 0)
			return error_set(err, "dnsstub: '%s': %s",
			    stubs->items[i], ub_strerror(result));
	}
	return 0;
}

static int
set_servers(
    struct unbound *unbound, const struct settings *settings, struct error *err)
{
	const struct strlist *forward = settings_list(
	    settings, SETTING_dnsforward);
	const struct strlist *stubs = settings_list(settings, SETTING_dnsstub);
	size_t i;

	for (i = 0; i < forward->count; i++) {
		int result = ub_ctx_set_fwd(
		    unbound->context, forward->items[i]);

		if (result != 0)
			return error_set(err, "dnsforward: '%s': %s",
			    forward->items[i], ub_strerror(result));
	}
	for (i = 0; i < stubs->count; i++)
		if (add_stub(unbound, stubs->items[i], err) == -1)
			return -1;
	return 0;
}

static int
set_anchor(struct unbound *unbound, const char *path, struct error *err)
{
	int result;

	if (path[0] == '\0')
		return set_option(unbound, "module-config:", "iterator", err);
	if (access(path, R_OK) == -1)
		return error_sys(err,
		    "cannot read dnsanchor '%s' (Debian's package "
		    "dns-root-data has one; an empty dnsanchor means no DNSSEC)",
		    path);
	result = ub_ctx_add_ta_file(unbound->context, path);
	if (result != 0)
		return error_set(
		    err, "dnsanchor '%s': %s", path, ub_strerror(result));
	return 0;
}

/* libunbound reads its files with the first question. */
static int
read_files(struct unbound *unbound, struct error *err)
{
	struct ub_result *unused = NULL;
	int result = ub_resolve(
	    unbound->context, "localhost", DNS_A, CLASS_IN, &unused);

	if (result != 0)
		return error_set(
		    err, "libunbound does not start: %s", ub_strerror(result));
	ub_resolve_free(unused);
	return 0;
}

/* The question's end. */
static void
answer_question(struct question *question, struct dns_answer *answer)
{
	LIST_REMOVE(question, in_unbound);
	question->answered(answer, question->context);
	dns_answer_release(answer);
	free(question);
}

void
unbound_free(struct unbound **unbound_in)
{
	struct unbound *unbound = *unbound_in;
	struct question *question;
	struct dns_answer answer;

	if (unbound == NULL)
		return;
	ub_ctx_delete(unbound->context);
	while ((question = LIST_FIRST(&unbound->questions)) != NULL) {
		dns_answer_unknown(&answer, "the resolver is ending");
		answer_question(question, &answer);
	}
	free(unbound);
	*unbound_in = NULL;
}

struct unbound *
unbound_new(const struct settings *settings, struct error *err)
{
	struct unbound *unbound = xcalloc(1, sizeof(*unbound));

	LIST_INIT(&unbound->questions);
	unbound->context = ub_ctx_create();
	if (unbound->context == NULL) {
		error_set(err, "libunbound does not start");
		free(unbound);
		return NULL;
	}
	/* A thread, not a process. */
	if (ub_ctx_async(unbound->context, 1) != 0)
		error_set(err, "libunbound has no threads");
	else if (set_options(unbound, err) == 0 &&
	    set_cache(unbound, settings_number(settings, SETTING_dnscache),
		err) == 0 &&
	    set_servers(unbound, settings, err) == 0 &&
	    set_anchor(unbound, settings_text(settings, SETTING_dnsanchor),
		err) == 0 &&
	    open_stub_zones(unbound, settings, err) == 0 &&
	    read_files(unbound, err) == 0)
		return unbound;
	unbound_free(&unbound);
	return NULL;
}

static void
ignore(void *context, int error, struct ub_result *result)
{
	(void)context;
	(void)error;
	ub_resolve_free(result);
}

int
unbound_start(struct unbound *unbound, struct error *err)
{
	int result = ub_resolve_async(
	    unbound->context, "localhost", DNS_A, CLASS_IN, NULL, ignore, NULL);

	if (result == 0)
		result = ub_wait(unbound->context);
	if (result != 0)
		return error_set(
		    err, "libunbound does not start: %s", ub_strerror(result));
	return 0;
}

int
unbound_fd(const struct unbound *unbound)
{
	return ub_fd(unbound->context);
}

void
unbound_process(struct unbound *unbound)
{
	ub_process(unbound->context);
}

static size_t
count_records(const struct ub_result *result, size_t *bytes_out)
{
	size_t count = 0;

	*bytes_out = 0;
	for (; result->data[count] != NULL; count++)
		*bytes_out += (size_t)result->len[count] + 4;
	return count;
}

/* A name as libunbound tells it has a dot at its end. */
static void
put_canonical_name(struct dns_answer *answer, const struct ub_result *result)
{
	const char *name = result->canonname != NULL ? result->canonname
						     : result->qname;
	size_t length = strlen(name);

	while (length > 0 && name[length - 1] == '.')
		length--;
	buf_reset(&answer->storage);
	buf_add(&answer->storage, name, length);
	buf_addc(&answer->storage, '\0');
	answer->name = answer->storage.data;
}

static void
put_records(struct dns_answer *answer, const struct ub_result *result)
{
	size_t bytes, i;

	answer->record_count = count_records(result, &bytes);
	answer->records = xcalloc(
	    answer->record_count + 1, sizeof(*answer->records));
	for (i = 0; i < answer->record_count; i++)
		answer->records[i] = (struct dns_record){
			(const unsigned char *)result->data[i],
			(size_t)result->len[i]
		};
}

/* The records stay libunbound's. */
static void
read_result(const struct ub_result *result, struct dns_answer *answer)
{
	size_t bytes;

	if (result->bogus) {
		dns_answer_unknown(answer,
		    result->why_bogus != NULL ? result->why_bogus
					      : "DNSSEC refutes the answer");
		return;
	}
	if (result->rcode != RCODE_NOERROR && result->rcode != RCODE_NXDOMAIN) {
		dns_answer_unknown(answer,
		    result->rcode == 2
			? "no name server gave an answer (SERVFAIL)"
			: "the name servers refuse to answer");
		return;
	}
	if (result->havedata &&
	    (count_records(result, &bytes) > DNS_RECORDS_MAX ||
		bytes > RECORD_BYTES_MAX)) {
		dns_answer_unknown(answer, "the answer has too many records");
		return;
	}
	*answer = (struct dns_answer){
		.state = result->havedata ? DNS_FOUND : DNS_ABSENT,
		.is_secure = result->secure != 0,
		.is_no_name = result->nxdomain != 0,
		.ttl_s = result->ttl > 0 ? (uint32_t)result->ttl : 0,
		.reason = "",
	};
	buf_init(&answer->storage);
	put_canonical_name(answer, result);
	if (result->havedata)
		put_records(answer, result);
}

static void
question_answered(void *context, int error, struct ub_result *result)
{
	struct question *question = context;
	struct dns_answer answer;

	if (error != 0)
		dns_answer_unknown(&answer, ub_strerror(error));
	else
		read_result(result, &answer);
	answer_question(question, &answer);
	if (error == 0)
		ub_resolve_free(result);
}

void
unbound_ask(struct unbound *unbound, enum dns_type type, const char *name,
    unbound_answered *answered, void *context)
{
	struct question *question = xmalloc(sizeof(*question));
	struct dns_answer answer;
	int result;

	question->answered = answered;
	question->context = context;
	LIST_INSERT_HEAD(&unbound->questions, question, in_unbound);
	result = ub_resolve_async(unbound->context, name, (int)type, CLASS_IN,
	    question, question_answered, NULL);
	if (result == 0)
		return;
	dns_answer_unknown(&answer, ub_strerror(result));
	/* A name that cannot be one in the DNS is in nobody's zone. */
	if (result == UB_SYNTAX) {
		answer.state = DNS_ABSENT;
		answer.is_no_name = true;
	}
	answer_question(question, &answer);
}
