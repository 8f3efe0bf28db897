/* SPDX-License-Identifier: ISC */
/* Access rules in a cdb made by tcprules. */
#include "control/access.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/strlist.h"

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

static void
add_host_key(struct strlist *keys, const char *host)
{
	AUTO(mem_free) char *key = xasprintf("=%s", host);

	strlist_add(keys, key);
}

/* The keys in tcpserver's order. */
static void
add_keys(struct strlist *keys, const char *ip, const char *host)
{
	strlist_add(keys, ip);
	if (host != NULL)
		add_host_key(keys, host);
	for (size_t length = strlen(ip); length > 0; length--)
		if (ip[length - 1] == '.' || ip[length - 1] == ':')
			strlist_addn(keys, ip, length);
	if (host != NULL) {
		/* ".example.org" of mail.example.org, ".org", any host */
		for (; (host = strchr(host, '.')) != NULL; host++)
			add_host_key(keys, host);
		add_host_key(keys, "");
	}
	strlist_add(keys, "");
}

int
access_check(const struct cdbmap *map, const char *ip, const char *host,
    struct vars *vars, bool *is_allowed_out, struct error *err)
{
	AUTO(strlist_release) struct strlist keys = { .items = NULL };
	AUTO(buf_release) struct buf rule = BUF_INIT;
	int found = 0;

	*is_allowed_out = true;
	add_keys(&keys, ip, host);
	for (size_t i = 0; i < keys.count && found == 0; i++) {
		const char *key = keys.items[i];

		found = cdbmap_get(map, key, strlen(key), &rule, err);
		if (found == 1)
			found = follow_access_rule(
			    key, &rule, vars, is_allowed_out, err);
	}
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
