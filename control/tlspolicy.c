/* SPDX-License-Identifier: ISC */
/* What the operator wants of TLS with the hosts that mail goes to. */
#include "control/tlspolicy.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/scan.h"

#define RIGHT "; write for example example.org:verify:mx.example.org"

struct tlspolicies {
	struct tlspolicy *rows; /* sorted by key */
	size_t count;
	struct tlspolicy standard;
	struct strlist no_tls; /* sorted */
};

static const char *const words[] = {
	[TLSPOLICY_NONE] = "none",
	[TLSPOLICY_MAY] = "may",
	[TLSPOLICY_ENCRYPT] = "encrypt",
	[TLSPOLICY_VERIFY] = "verify",
	[TLSPOLICY_DANE] = "dane",
	[TLSPOLICY_DANE_ONLY] = "dane-only",
	[TLSPOLICY_MTA_STS] = "mta-sts",
};

const char *
tlspolicy_word_name(enum tlspolicy_word word)
{
	return words[word];
}

static bool
find_word(const char *text, enum tlspolicy_word *word_out)
{
	size_t i;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(words[i], text) == 0) {
			*word_out = (enum tlspolicy_word)i;
			return true;
		}
	return false;
}

/* With a dot in front, too. */
static bool
read_domain(const char *text, char canonical_out[IDN_DOMAIN_SIZE])
{
	const char *name = *text == '.' ? text + 1 : text;

	return *name != '\0' &&
	    name[strcspn(name, " \t@/<>()[]\\,;:\"*")] == '\0' &&
	    idn_domain_canonical(text, canonical_out);
}

static int
read_names(char *text, struct tlspolicy *policy, struct error *err)
{
	char name[IDN_DOMAIN_SIZE], *word;

	if (text == NULL)
		return 0;
	if (policy->word != TLSPOLICY_VERIFY)
		return error_set(err, "only 'verify' has names, not '%s'" RIGHT,
		    words[policy->word]);
	while ((word = strsep(&text, ",")) != NULL) {
		if (*word == '.' || !read_domain(word, name))
			return error_set(
			    err, "'%.60s' is not a host name" RIGHT, word);
		strlist_add(&policy->names, name);
	}
	return 0;
}

static int
read_parts(char *text, struct tlspolicy *policy, struct error *err)
{
	char *key = strsep(&text, ":"), *word = strsep(&text, ":");

	if (strcmp(key, "*") == 0)
		memcpy(policy->key, "*", 2);
	else if (!read_domain(key, policy->key))
		return error_set(
		    err, "'%.60s' is not a domain, .suffix or *" RIGHT, key);
	if (word == NULL || !find_word(word, &policy->word))
		return error_set(err,
		    "'%.60s' is not a TLS policy; write DOMAIN:WORD with none, "
		    "may, encrypt, verify, dane, dane-only or mta-sts",
		    word == NULL ? key : word);
	return read_names(text, policy, err);
}

int
tlspolicy_read(
    const char *line, struct tlspolicy *policy_out, struct error *err)
{
	AUTO(mem_free) char *text = xstrdup(line);

	*policy_out = (struct tlspolicy){ .word = TLSPOLICY_DANE };
	if (read_parts(text, policy_out, err) == 0)
		return 0;
	tlspolicy_release(policy_out);
	return -1;
}

void
tlspolicy_release(struct tlspolicy *policy)
{
	strlist_release(&policy->names);
}

int
tlsadomain_judge(const char *line, struct error *err)
{
	AUTO(mem_free) char *text = xstrdup(line);
	char domain[IDN_DOMAIN_SIZE], *rest = text, *key;
	uint64_t port;

	key = strsep(&rest, ":");
	if (!read_domain(key, domain) ||
	    (rest != NULL && (!scan_u64(rest, UINT16_MAX, &port) || port == 0)))
		return error_set(err,
		    "'%.60s' is not a domain with or without a port; write for "
		    "example example.org:25",
		    line);
	return 0;
}

/* -- all lines */

static int
compare_policies(const void *a, const void *b)
{
	return strcmp(((const struct tlspolicy *)a)->key,
	    ((const struct tlspolicy *)b)->key);
}

static int
compare_key(const void *key, const void *policy)
{
	return strcmp(key, ((const struct tlspolicy *)policy)->key);
}

static const struct tlspolicy *
find_key(const struct tlspolicies *policies, const char *key)
{
	return policies->count == 0
	    ? NULL
	    : bsearch(key, policies->rows, policies->count,
		  sizeof(*policies->rows), compare_key);
}

static void
sort_policies(struct tlspolicies *policies)
{
	if (policies->count > 0)
		qsort(policies->rows, policies->count, sizeof(*policies->rows),
		    compare_policies);
}

/* Of equal keys the last line counts, as nobody else orders them. */
static void
add_line(struct tlspolicies *policies, const char *line)
{
	struct tlspolicy policy;
	struct error err;
	size_t i;

	/* The settings' loader has judged it. */
	if (tlspolicy_read(line, &policy, &err) == -1)
		return;
	for (i = 0; i < policies->count; i++)
		if (strcmp(policies->rows[i].key, policy.key) == 0) {
			tlspolicy_release(&policies->rows[i]);
			policies->rows[i] = policy;
			return;
		}
	policies->rows = mem_room(
	    policies->rows, policies->count, sizeof(*policies->rows));
	policies->rows[policies->count++] = policy;
}

struct tlspolicies *
tlspolicies_new(const struct settings *settings)
{
	struct tlspolicies *policies = xcalloc(1, sizeof(*policies));
	const struct strlist *list = settings_list(
	    settings, SETTING_tlsadomains);
	size_t i;

	policies->standard.word = TLSPOLICY_DANE;
	for (i = 0; i < list->count; i++) {
		AUTO(mem_free)
		char *line = xasprintf("%.*s:dane",
		    (int)strcspn(list->items[i], ":"), list->items[i]);

		add_line(policies, line);
	}
	list = settings_list(settings, SETTING_tlspolicy);
	for (i = 0; i < list->count; i++)
		add_line(policies, list->items[i]);
	sort_policies(policies);
	list = settings_list(settings, SETTING_notlshosts);
	for (i = 0; i < list->count; i++) {
		char name[IDN_DOMAIN_SIZE];

		idn_domain_canonical(list->items[i], name);
		strlist_add(&policies->no_tls, name);
	}
	strlist_sort(&policies->no_tls);
	return policies;
}

void
tlspolicies_free(struct tlspolicies **policies_in)
{
	struct tlspolicies *policies = *policies_in;
	size_t i;

	if (policies == NULL)
		return;
	for (i = 0; i < policies->count; i++)
		tlspolicy_release(&policies->rows[i]);
	free(policies->rows);
	strlist_release(&policies->no_tls);
	free(policies);
	*policies_in = NULL;
}

const struct tlspolicy *
tlspolicies_find(const struct tlspolicies *policies, const char *domain)
{
	const struct tlspolicy *found = find_key(policies, domain);
	const char *dot = domain;

	while (found == NULL && (dot = strchr(dot, '.')) != NULL)
		found = find_key(policies, dot++);
	if (found == NULL)
		found = find_key(policies, "*");
	return found == NULL ? &policies->standard : found;
}

bool
tlspolicies_has_no_tls(const struct tlspolicies *policies, const char *host)
{
	char name[IDN_DOMAIN_SIZE];
	const char *dot = name;

	idn_domain_canonical(host, name);
	if (strlist_find(&policies->no_tls, name))
		return true;
	while ((dot = strchr(dot, '.')) != NULL)
		if (strlist_find(&policies->no_tls, dot++))
			return true;
	return false;
}
