/* SPDX-License-Identifier: ISC */
/* Access rules in a cdb made by tcprules. */
#include "control/access.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

/*
 * A rule's instructions, each ended by NUL: "D" denies, "+NAME=VALUE" sets a
 * variable.  tcpserver skips other letters, and so do we.
 */
static int
follow_access_rule(const char *key, struct buf *rule, struct vars *vars,
    bool *is_allowed_out, struct error *err)
{
	char *at = rule->data, *end = rule->data + rule->length;

	if (rule->length > 0 && end[-1] != '\0')
		return error_set(err,
		    "access rule '%s' is damaged; run "
		    "tcprules again",
		    key);
	for (; at < end; at += strlen(at) + 1) {
		char *equals;

		if (at[0] == 'D')
			*is_allowed_out = false;
		if (at[0] != '+')
			continue;
		equals = strchr(at, '=');
		if (equals == NULL || equals == at + 1)
			return error_set(err,
			    "access rule '%s' sets a "
			    "variable without a name; run tcprules again",
			    key);
		*equals = '\0';
		vars_set(vars, at + 1, equals + 1);
		at = equals + 1;
	}
	return 1;
}

/* What one search shares. */
struct search {
	const struct cdbmap *map;
	struct vars *vars;
	bool *is_allowed_out;
	struct error *err;
	struct buf key, rule;
};

/* Follows the rule for search->key.  1, 0 when there is none, -1. */
static int
try_key(struct search *search)
{
	int found;

	found = cdbmap_get(search->map, search->key.data, search->key.length,
	    &search->rule, search->err);
	if (found != 1)
		return found;
	return follow_access_rule(search->key.data, &search->rule, search->vars,
	    search->is_allowed_out, search->err);
}

static int
try_host(struct search *search, const char *host)
{
	buf_reset(&search->key);
	buf_addc(&search->key, '=');
	buf_adds(&search->key, host);
	return try_key(search);
}

static int
try_prefixes(struct search *search, const char *ip)
{
	size_t length;
	int found = 0;

	for (length = strlen(ip); length > 0 && found == 0; length--)
		if (ip[length - 1] == '.' || ip[length - 1] == ':') {
			buf_reset(&search->key);
			buf_add(&search->key, ip, length);
			found = try_key(search);
		}
	return found;
}

/* ".example.org" of mail.example.org, ".org", and then any host at all. */
static int
try_suffixes(struct search *search, const char *host)
{
	const char *dot = host;
	int found = 0;

	while (found == 0 && (dot = strchr(dot, '.')) != NULL)
		found = try_host(search, dot++);
	return found != 0 ? found : try_host(search, "");
}

static int
try_all(struct search *search, const char *ip, const char *host)
{
	int found;

	buf_adds(&search->key, ip);
	found = try_key(search);
	if (found == 0 && host != NULL)
		found = try_host(search, host);
	if (found == 0)
		found = try_prefixes(search, ip);
	if (found == 0 && host != NULL)
		found = try_suffixes(search, host);
	if (found == 0) {
		buf_reset(&search->key);
		found = try_key(search);
	}
	return found;
}

int
access_check(const struct cdbmap *map, const char *ip, const char *host,
    struct vars *vars, bool *is_allowed_out, struct error *err)
{
	struct search search = { map, vars, is_allowed_out, err, BUF_INIT,
		BUF_INIT };
	int found;

	*is_allowed_out = true;
	found = try_all(&search, ip, host);
	buf_release(&search.key);
	buf_release(&search.rule);
	return found;
}

/* The text that access_check() gets of an address. */
static bool
is_as_printed(const char *text, const char *prefix)
{
	unsigned char binary[16];
	char printed[INET6_ADDRSTRLEN];
	int family = strchr(text, ':') != NULL ? AF_INET6 : AF_INET;

	return inet_pton(family, text, binary) == 1 &&
	    inet_ntop(family, binary, printed, sizeof(printed)) != NULL &&
	    strncmp(printed, prefix, strlen(prefix)) == 0;
}

enum access_key
access_judge_key(const char *key)
{
	size_t length = strlen(key);
	char text[2 * INET6_ADDRSTRLEN];
	char last = length > 0 ? key[length - 1] : '.';

	if (*key == '=' || strchr(key, '@') != NULL)
		return ACCESS_KEY_NAME;
	if (length == 0 ||
	    (length < INET6_ADDRSTRLEN && is_as_printed(key, key)))
		return ACCESS_KEY_ADDRESS;
	if (length >= INET6_ADDRSTRLEN || (last != '.' && last != ':'))
		return ACCESS_KEY_NONE;
	/* Is there any address that begins so? */
	snprintf(text, sizeof(text), "%s1", key);
	while (strlen(text) + 2 < sizeof(text)) {
		if (is_as_printed(text, key))
			return ACCESS_KEY_ADDRESS;
		snprintf(text + strlen(text), sizeof(text) - strlen(text),
		    "%c1", last);
	}
	return ACCESS_KEY_NONE;
}
