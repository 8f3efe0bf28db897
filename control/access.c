/* SPDX-License-Identifier: ISC */
/* Access rules in a cdb made by tcprules. */
#include "control/access.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/strlist.h"
#include "control/cdb_records.h"

enum { SOURCE_MAX = 16 * 1024 * 1024 };

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
	OWN_TEXT key = xasprintf("=%s", host);

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

/* One cdb, and the text that it was made from. */
struct walk {
	const struct access_visitor *visitor;
	const char *cdb, *source;
	struct buf text; /* of the source */
};

/* The line of the source that begins with the key; 0: it is not known. */
static unsigned
find_line(const struct buf *text, const char *key)
{
	size_t length = strlen(key);
	const char *at = text->data;

	for (unsigned line = 1; at != NULL; line++) {
		if (strncmp(at, key, length) == 0 && at[length] == ':')
			return line;
		at = strchr(at, '\n');
		if (at != NULL)
			at++;
	}
	return 0;
}

/* Why no listener finds the rule.  False when one may. */
static bool
judge_use(const char *key, enum access_key kind, struct error *err)
{
	if (kind == ACCESS_KEY_NAME)
		error_set(err,
		    "rule '%.100s' is for a name, which listeners do not look "
		    "up, so it never counts; write an address, then run "
		    "tcprules, or set clientnames to 1 for hosts' names",
		    key);
	else if (kind == ACCESS_KEY_ADDRESS)
		return false;
	else
		error_set(err,
		    "rule '%.100s' is for no address that there can be, so it "
		    "never counts; write an address in full, or its begin with "
		    "a dot behind it ('10.'), then run tcprules",
		    key);
	return true;
}

static void
visit(const struct walk *walk, const struct cdb_record *record)
{
	const struct access_visitor *visitor = walk->visitor;
	OWN_TEXT key = xstrndup(record->key, record->key_length);
	AUTO(buf_release) struct buf rule = BUF_INIT;
	AUTO(vars_release) struct vars vars = VARS_INIT;
	enum access_key kind = access_judge_key(key);
	unsigned line = find_line(&walk->text, key);
	const char *file = line > 0 ? walk->source : walk->cdb;
	struct error err;
	bool is_allowed;

	buf_add(&rule, record->value, record->value_length);
	if (follow_access_rule(key, &rule, &vars, &is_allowed, &err) == -1)
		visitor->fault(file, line, false, err.text, visitor->context);
	else
		visitor->rule(file, line, key, &vars, visitor->context);
	if (!(visitor->has_names && *key == '=') &&
	    judge_use(key, kind, &err))
		visitor->fault(file, line, kind == ACCESS_KEY_NAME, err.text,
		    visitor->context);
}

int
access_walk(const char *cdb_path, const struct access_visitor *visitor,
    struct error *err)
{
	size_t length = strlen(cdb_path);
	bool has_source = length > 4 &&
	    strcmp(cdb_path + length - 4, ".cdb") == 0;
	OWN_TEXT source = xstrndup(cdb_path, has_source ? length - 4 : 0);
	AUTO(cdb_records_release) struct cdb_records records = { .count = 0 };
	struct walk walk = { visitor, cdb_path, source, BUF_INIT };
	struct cdb_record record;
	int result = cdb_records_read(cdb_path, &records, err);

	if (has_source)
		file_read(source, SOURCE_MAX, &walk.text, NULL);
	while (cdb_records_next(&records, &record))
		visit(&walk, &record);
	buf_release(&walk.text);
	return result;
}
