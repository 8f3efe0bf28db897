/* SPDX-License-Identifier: ISC */
/* svctool dns: asks the node's resolver, as its daemons do. */
#include <arpa/inet.h>
#include <jansson.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/log_text.h"
#include "base/mem.h"
#include "control/idn.h"
#include "control/json_text.h"
#include "resolver/dns_client.h"
#include "svctool/args.h"
#include "svctool/node.h"
#include "svctool/svctool.h"

enum { TIMEOUT_MS = 60 * 1000 };

static void
put_text_record(
    enum dns_type type, const struct dns_record *record, struct buf *text)
{
	char host[DNS_NAME_SIZE], address[INET6_ADDRSTRLEN];
	struct dns_tlsa tlsa;
	struct dns_mx mx;
	size_t i;

	switch (type) {
	case DNS_A:
	case DNS_AAAA:
		if (inet_ntop(type == DNS_A ? AF_INET : AF_INET6, record->data,
			address, sizeof(address)) != NULL)
			buf_adds(text, address);
		return;
	case DNS_PTR:
		if (dns_read_name(record, host))
			buf_adds(text, host);
		return;
	case DNS_MX:
		if (dns_read_mx(record, &mx))
			buf_addf(text, "%u %s", mx.preference,
			    mx.host[0] == '\0' ? "." : mx.host);
		return;
	case DNS_TXT:
		dns_read_text(record, text);
		return;
	case DNS_TLSA:
		if (!dns_read_tlsa(record, &tlsa))
			return;
		buf_addf(text, "%u %u %u ", tlsa.usage, tlsa.selector,
		    tlsa.matching);
		for (i = 0; i < tlsa.length; i++)
			buf_addf(text, "%02x", tlsa.data[i]);
		return;
	}
}

static const struct {
	const char *name;
	enum dns_type type;
} types[] = {
	{ "a", DNS_A },
	{ "aaaa", DNS_AAAA },
	{ "mx", DNS_MX },
	{ "ptr", DNS_PTR },
	{ "tlsa", DNS_TLSA },
	{ "txt", DNS_TXT },
};

/* Of a name: its ASCII form; PTR also takes an address.  The caller frees. */
static char *
query_name(enum dns_type type, const char *word, struct error *err)
{
	struct sockaddr_in ip4 = { .sin_family = AF_INET };
	struct sockaddr_in6 ip6 = { .sin6_family = AF_INET6 };
	char name[DNS_NAME_SIZE], domain[IDN_DOMAIN_SIZE];

	if (type != DNS_PTR) {
		if (idn_domain_canonical(word, domain) && domain[0] != '\0')
			return xstrdup(domain);
		error_set(err, "'%s' is not a domain", word);
		return NULL;
	}
	if (inet_pton(AF_INET, word, &ip4.sin_addr) == 1)
		dns_reverse_name((struct sockaddr *)&ip4, name);
	else if (inet_pton(AF_INET6, word, &ip6.sin6_addr) == 1)
		dns_reverse_name((struct sockaddr *)&ip6, name);
	else
		return xstrdup(word);
	return xstrdup(name);
}

static const char *
state_text(const struct dns_answer *answer)
{
	switch (answer->state) {
	case DNS_FOUND:
		return "found";
	case DNS_ABSENT:
		return "absent";
	case DNS_UNKNOWN:
		break;
	}
	return "unknown";
}

/* One record as text in which a peer's bytes cannot move the cursor. */
static void
record_text(
    enum dns_type type, const struct dns_record *record, struct buf *text)
{
	buf_reset(text);
	put_text_record(type, record, text);
	if (text->length > 0)
		text->length = log_clean(text->data, text->length);
	buf_addc(text, '\0');
}

static void
print_answer(enum dns_type type, const struct dns_answer *answer)
{
	AUTO(buf_release) struct buf text = BUF_INIT;
	size_t i;

	for (i = 0; i < answer->record_count; i++) {
		record_text(type, &answer->records[i], &text);
		puts(text.data);
	}
	if (answer->state == DNS_ABSENT)
		puts(answer->is_no_name
			? "absent: there is no such name"
			: "absent: the name has no such record");
	else if (answer->state == DNS_UNKNOWN)
		printf("unknown: %s\n", answer->reason);
	printf("%s; holds for %u s\n",
	    answer->is_secure ? "secure (DNSSEC)" : "not secured by DNSSEC",
	    answer->ttl_s);
}

static void
print_answer_json(enum dns_type type, const struct dns_answer *answer)
{
	json_t *records = json_array(), *object;
	AUTO(buf_release) struct buf text = BUF_INIT;
	size_t i;

	for (i = 0; i < answer->record_count; i++) {
		record_text(type, &answer->records[i], &text);
		json_array_append_new(records, json_text(text.data));
	}
	object = json_pack("{s:s, s:b, s:b, s:I, s:o, s:o, s:o}", "state",
	    state_text(answer), "secure", answer->is_secure, "no_name",
	    answer->is_no_name, "ttl_s", (json_int_t)answer->ttl_s, "name",
	    json_text(answer->name), "reason", json_text(answer->reason),
	    "records", records);
	json_dumpf(object, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(object);
}

static int
ask_resolver(
    const struct node *node, enum dns_type type, const char *name, bool is_json)
{
	OWN_TEXT path = xasprintf("%s/resolver", node->home->run);
	AUTO(dns_client_free) struct dns_client *client = dns_client_new(path);
	struct dns_answer answer;
	bool is_known;

	dns_client_ask(client, type, name, TIMEOUT_MS, &answer);
	if (is_json)
		print_answer_json(type, &answer);
	else
		print_answer(type, &answer);
	is_known = answer.state != DNS_UNKNOWN;
	dns_answer_release(&answer);
	return is_known ? EXIT_FINE : EXIT_TEMPORARY;
}

static bool
find_type(const char *word, enum dns_type *type_out)
{
	size_t i;

	for (i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (strcasecmp(types[i].name, word) == 0) {
			*type_out = types[i].type;
			return true;
		}
	return false;
}

int
cmd_dns(int argc, char **argv)
{
	const char *home = NULL;
	bool is_json = false;
	const struct arg_row rows[] = {
		{ "home", ARG_TEXT, &home },
		{ "json", ARG_FLAG, &is_json },
		{ NULL, ARG_FLAG, NULL },
	};
	enum dns_type type;
	struct error err;
	AUTO(node_free) struct node *node = NULL;
	OWN_TEXT name = NULL;
	int words;

	if (args_parse(rows, argc, argv, &words, &err) == -1)
		return complain(EXIT_USAGE, &err);
	if (words != 2 || !find_type(argv[0], &type))
		return EXIT_USAGE;
	name = query_name(type, argv[1], &err);
	if (name == NULL)
		return complain(EXIT_USAGE, &err);
	node = node_new(home, NULL, &err);
	if (node == NULL || !node_exists(node, &err))
		return complain(EXIT_TROUBLE, &err);
	return ask_resolver(node, type, name, is_json);
}
