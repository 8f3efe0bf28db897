/* SPDX-License-Identifier: ISC */
/* smtproutes, qmtproutes, their compiled files, and remote_auth.cdb. */
#include "control/smtproutes.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/scan.h"
#include "base/utf8.h"
#include "control/cdb_text.h"
#include "control/cdbmap.h"
#include "control/identity.h"
#include "control/network.h"

enum {
	TEXT_MAX_BYTES = 256 * 1024 * 1024,
	ADDRESS_MAX = 900,
	SMTP_PORT = 25,
	LMTP_PORT = 24,
	SMTPS_PORT = 465,
	QMTP_PORT = 209,
	QMTPS_PORT = 6209
};

static const char bounce_key[] = "!@";

struct row {
	char *key;
	struct smtproute route;
};

struct table {
	struct row *rows; /* sorted by key; of one key the first counts */
	size_t count;
};

struct smtproutes {
	struct table qmtp, smtp;
	const char *smtp_source, *qmtp_source; /* for people */
	char *cdb_paths[2];                    /* NULL: do not count */
	char *auth_path;
};

static const char *const cdb_names[] = { "smtproutes.cdb",
	"moresmtproutes.cdb" };

struct smtproute
smtproute_standard(void)
{
	return (struct smtproute){ .port = SMTP_PORT,
		.penalty = SMTPROUTE_UNSAID,
		.tolerance_s = SMTPROUTE_UNSAID };
}

/* -- one line */

/* A mailbox in one spelling; case does not count in its local part either. */
static bool
mailbox_key(const char *mailbox, char key_out[SMTPROUTE_KEY_SIZE])
{
	const char *at = strrchr(mailbox, '@');
	size_t length = at == NULL ? 0 : (size_t)(at - mailbox) + 1;

	if (length < 2 || length + IDN_DOMAIN_SIZE > SMTPROUTE_KEY_SIZE)
		return false;
	ascii_lower(key_out, mailbox, length);
	return idn_domain_canonical(at + 1, key_out + length) &&
	    key_out[length] != '\0';
}

static int
read_key(const char *text, size_t length, char key_out[SMTPROUTE_KEY_SIZE],
    struct error *err)
{
	AUTO(mem_free) char *key = xstrndup(text, length);
	const char *at = strrchr(key, '@');
	const char *domain = at == NULL ? key : at + 1;

	if (strcmp(key, bounce_key) == 0) {
		memcpy(key_out, bounce_key, sizeof(bounce_key));
		return 0;
	}
	if (length > ADDRESS_MAX || key[strcspn(key, " \t<>\"")] != '\0' ||
	    domain[strcspn(domain, "()[]\\,;!")] != '\0' ||
	    (at == NULL ? !idn_domain_canonical(key, key_out)
			: *domain == '.' || !mailbox_key(key, key_out)))
		return error_set(err,
		    "'%.60s' is not a domain, nor a mailbox; write for example "
		    "example.org:relay.example.net",
		    key);
	return 0;
}

/* The word up to one of the ends, or "[...]" and what follows it up to there.
 */
static size_t
host_length(const char *text)
{
	const char *end = *text == '[' ? strchr(text, ']') : NULL;
	size_t skipped = end == NULL ? 0 : (size_t)(end - text);

	return skipped + strcspn(text + skipped, ": \t");
}

/* An address is kept as the system writes it, without brackets. */
static bool
read_address(const char *text, char host_out[IDN_DOMAIN_SIZE])
{
	struct network network;

	return strchr(text, '/') == NULL &&
	    network_read(text, strlen(text), &network) &&
	    inet_ntop(network.family, network.bytes, host_out,
		IDN_DOMAIN_SIZE) != NULL;
}

/* HOST[/s|/l] */
static int
read_host(
    const char *text, size_t length, struct smtproute *route, struct error *err)
{
	AUTO(mem_free) char *host = xstrndup(text, length);
	char *slash = strrchr(host, '/');

	if (slash != NULL && strcmp(slash, "/s") == 0)
		route->has_tls_first = true;
	else if (slash != NULL && strcmp(slash, "/l") == 0 &&
	    route->transport == SMTPROUTE_SMTP)
		route->transport = SMTPROUTE_LMTP;
	else if (slash != NULL)
		return error_set(err,
		    "'%.60s' has no kind behind its host; write /s (TLS from "
		    "the first byte) or /l (LMTP, not for QMTP)",
		    host);
	if (slash != NULL)
		*slash = '\0';
	if (read_address(host, route->host)) {
		route->is_address = true;
		return 0;
	}
	if (host[strcspn(host, "@<>()[]\\,;\"!/")] != '\0' || *host == '.' ||
	    !idn_domain_canonical(host, route->host))
		return error_set(err,
		    "'%.60s' is not a host; write for example "
		    "relay.example.net, 192.0.2.1 or [2001:db8::1]",
		    host);
	return 0;
}

/* A number between two ':', or nothing: then *value stays. */
static int
read_field(const char **at, uint64_t max, const char *what, int *value,
    struct error *err)
{
	size_t length;
	uint64_t number;

	if (**at != ':')
		return 0;
	length = strcspn(*at + 1, ": \t");
	if (length > 0 && !scan_u64n(*at + 1, length, max, &number))
		return error_set(err,
		    "'%.*s' is not a %s; write a number of at most %llu",
		    length > 60 ? 60 : (int)length, *at + 1, what,
		    (unsigned long long)max);
	if (length > 0)
		*value = (int)number;
	*at += length + 1;
	return 0;
}

/* -- variables of a route */

/* Reads a number like a field of the line. */
static int
take_number(const char *text, uint64_t max, int *value)
{
	uint64_t number;

	if (!scan_u64(text, max, &number))
		return -1;
	*value = (int)number;
	return 0;
}

static int
take_mechanism(const char *value, struct smtproute *route)
{
	static const char *const names[] = { "SCRAM-SHA-256", "CRAM-MD5",
		"PLAIN", "LOGIN", "XOAUTH2" };

	if (*value == '\0' || strcmp(value, "1") == 0)
		return 0; /* the best that the host has */
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcasecmp(value, names[i]) == 0) {
			memcpy(
			    route->mechanism, names[i], strlen(names[i]) + 1);
			return 0;
		}
	return -1;
}

static int
take_secure_auth(const char *value, struct smtproute *route)
{
	route->needs_tls_for_auth = strcmp(value, "0") != 0;
	return 0;
}

static int
take_source(const char *value, struct smtproute *route)
{
	struct network network;

	return strchr(value, '/') == NULL &&
		network_read(value, strlen(value), &network) &&
		inet_ntop(network.family, network.bytes, route->source,
		    sizeof(route->source)) != NULL
	    ? 0
	    : -1;
}

static int
take_penalty(const char *value, struct smtproute *route)
{
	return take_number(value, SMTPROUTE_PENALTY_MAX, &route->penalty);
}

static int
take_tolerance(const char *value, struct smtproute *route)
{
	return take_number(
	    value, SMTPROUTE_TOLERANCE_MAX_S, &route->tolerance_s);
}

static const struct {
	const char *name;
	int (*take)(const char *value, struct smtproute *route);
	const char *remedy;
} variables[] = {
	{ "AUTH_SMTP", take_mechanism,
	    "write SCRAM-SHA-256, CRAM-MD5, PLAIN, LOGIN or XOAUTH2" },
	{ "SECURE_AUTH", take_secure_auth, "write 1" },
	{ "OUTGOINGIP", take_source, "write an IP address" },
	{ "MIN_PENALTY", take_penalty, "write a number" },
	{ "MAX_TOLERANCE", take_tolerance, "write a number of seconds" },
};

/* NAME=VALUE.  Its value may be of a password that was meant elsewhere. */
static int
take_variable(const char *word, struct smtproute *route, struct error *err)
{
	size_t length = strcspn(word, "=");

	for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++) {
		if (strlen(variables[i].name) != length ||
		    strncmp(word, variables[i].name, length) != 0)
			continue;
		if (word[length] == '=' &&
		    variables[i].take(word + length + 1, route) == 0)
			return 0;
		return error_set(err,
		    "the variable %s behind the password has a value that it "
		    "may not have; %s",
		    variables[i].name, variables[i].remedy);
	}
	return error_set(err,
	    "what stands behind the password is no variable of a route; write "
	    "AUTH_SMTP, SECURE_AUTH, OUTGOINGIP, MIN_PENALTY or MAX_TOLERANCE "
	    "with '=' and a value, ',' between them");
}

/* -- credentials */

static int
take_credentials(const char *user, const char *secret, struct smtproute *route,
    struct error *err)
{
	if (strlen(user) >= sizeof(route->user) ||
	    strlen(secret) >= sizeof(route->secret))
		return error_set(err,
		    "user or password has more than %d bytes; "
		    "write shorter ones",
		    SMTPROUTE_WORD_SIZE - 1);
	memcpy(route->user, user, strlen(user) + 1);
	memcpy(route->secret, secret, strlen(secret) + 1);
	return 0;
}

/* What is not USER PASSWORD: the words themselves may be a password. */
static int
not_credentials(struct error *err)
{
	return error_set(err,
	    "what stands behind the host is not USER PASSWORD; write these two "
	    "words, or /s for those of the sender, /r for those of the "
	    "recipient, or /user@example.org for those of that address in "
	    "remote_auth.cdb");
}

/* USER PASSWORD [VARIABLE=VALUE,...]; text is changed. */
static int
split_credentials(char *text, struct smtproute *route, struct error *err)
{
	char *rest = NULL;
	const char *user = strtok_r(text, " \t", &rest);
	const char *secret = strtok_r(NULL, " \t", &rest);
	const char *word;

	if (secret == NULL)
		return not_credentials(err);
	if (take_credentials(user, secret, route, err) == -1)
		return -1;
	while ((word = strtok_r(NULL, " \t,", &rest)) != NULL)
		if (take_variable(word, route, err) == -1)
			return -1;
	return 0;
}

static int
read_credentials(const char *text, struct smtproute *route, struct error *err)
{
	AUTO(mem_free) char *copy = NULL;
	size_t length;

	text += strspn(text, " \t");
	copy = xstrdup(text);
	for (length = strlen(copy); length > 0 &&
	     (copy[length - 1] == ' ' || copy[length - 1] == '\t');
	     length--)
		copy[length - 1] = '\0';
	if (length == 0)
		return 0;
	if (route->transport == SMTPROUTE_QMTP)
		return error_set(err,
		    "QMTP has no authentication; remove what stands behind the "
		    "host");
	if (*copy != '/')
		return split_credentials(copy, route, err);
	route->asks_sender = strcmp(copy, "/s") == 0;
	route->asks_recipient = strcmp(copy, "/r") == 0;
	if (route->asks_sender || route->asks_recipient)
		return 0;
	if (strchr(copy, '@') == NULL || length > sizeof(route->asks_for) ||
	    copy[strcspn(copy, " \t")] != '\0')
		return not_credentials(err);
	memcpy(route->asks_for, copy + 1, length);
	return 0;
}

/* -- behind the key */

static int
standard_port(const struct smtproute *route)
{
	switch (route->transport) {
	case SMTPROUTE_SMTP:
		return route->has_tls_first ? SMTPS_PORT : SMTP_PORT;
	case SMTPROUTE_LMTP:
		return LMTP_PORT;
	case SMTPROUTE_QMTP:
		break;
	}
	return route->has_tls_first ? QMTPS_PORT : QMTP_PORT;
}

/* What stands behind the key's ':'. */
static int
read_value(const char *text, bool is_qmtp, struct smtproute *route_out,
    struct error *err)
{
	struct smtproute route = smtproute_standard();
	size_t length = host_length(text);
	const char *at = text + length;
	int port = 0;

	route.transport = is_qmtp ? SMTPROUTE_QMTP : SMTPROUTE_SMTP;
	if (length > 0 && read_host(text, length, &route, err) == -1)
		return -1;
	if (read_field(&at, UINT16_MAX, "port", &port, err) == -1 ||
	    read_field(&at, SMTPROUTE_PENALTY_MAX, "penalty", &route.penalty,
		err) == -1 ||
	    read_field(&at, SMTPROUTE_TOLERANCE_MAX_S, "tolerance",
		&route.tolerance_s, err) == -1)
		return -1;
	if (*at != '\0' && *at != ' ' && *at != '\t')
		return error_set(err,
		    "there are too many ':'; write "
		    "HOST:PORT:PENALTY:TOLERANCE, and an IPv6 address in [ ]");
	if (port == 0)
		port = standard_port(&route);
	else if ((!is_qmtp && port == SMTPS_PORT) ||
	    (is_qmtp && port == QMTPS_PORT))
		route.has_tls_first = true;
	route.port = (uint16_t)port;
	if (read_credentials(at, &route, err) == -1)
		return -1;
	*route_out = route;
	return 0;
}

int
smtproute_read(const char *line, bool is_qmtp, char key_out[SMTPROUTE_KEY_SIZE],
    struct smtproute *route_out, struct error *err)
{
	const char *colon = strchr(line, ':');

	if (colon == NULL)
		return error_set(err,
		    "'%.*s' has no ':'; write for example "
		    "example.org:relay.example.net",
		    (int)strcspn(line, " \t") > 60 ? 60
						   : (int)strcspn(line, " \t"),
		    line);
	return read_key(line, (size_t)(colon - line), key_out, err) == -1
	    ? -1
	    : read_value(colon + 1, is_qmtp, route_out, err);
}

int
routes_judge(const char *value, struct error *err)
{
	if (strcmp(value, "static") == 0)
		return 0;
	if (strcmp(value, "smtp") == 0 || strcmp(value, "qmtp") == 0 ||
	    strcmp(value, "dynamic") == 0)
		return error_set(err,
		    "'%s' has mail go to the host where its user is placed, "
		    "which this version does not know; write static, and routes "
		    "to smtproutes",
		    value);
	return error_set(
	    err, "'%.60s' is no kind of routes; write static", value);
}

/* -- tables */

static int
compare_rows(const void *a, const void *b)
{
	return strcmp(
	    ((const struct row *)a)->key, ((const struct row *)b)->key);
}

static void
add_row(struct table *table, const char *key, const struct smtproute *route)
{
	table->rows = mem_room(table->rows, table->count, sizeof(*table->rows));
	table->rows[table->count++] = (struct row){ xstrdup(key), *route };
}

/*
 * A mailbox has a second row, "@DOMAIN", which no line has: there are routes
 * for recipients of that domain.
 */
static const char *
domain_mark(const char *key)
{
	return strcmp(key, bounce_key) == 0 ? NULL : strrchr(key, '@');
}

static int
add_line(struct table *table, const char *line, bool is_qmtp, struct error *err)
{
	struct smtproute route, mark = smtproute_standard();
	char key[SMTPROUTE_KEY_SIZE];

	if (smtproute_read(line, is_qmtp, key, &route, err) == -1)
		return -1;
	add_row(table, key, &route);
	if (domain_mark(key) != NULL)
		add_row(table, domain_mark(key), &mark);
	return 0;
}

static void
sort_table(struct table *table)
{
	/* glibc's is stable: a merge sort. */
	if (table->count > 1)
		qsort(table->rows, table->count, sizeof(*table->rows),
		    compare_rows);
}

static void
read_table(
    const struct settings *settings, enum setting_id id, struct table *table)
{
	const struct strlist *list = settings_list(settings, id);

	/* The settings were checked by the same function. */
	for (size_t i = 0; i < list->count; i++)
		add_line(table, list->items[i], id == SETTING_qmtproutes, NULL);
	sort_table(table);
}

static void
table_release(struct table *table)
{
	for (size_t i = 0; i < table->count; i++)
		free(table->rows[i].key);
	free(table->rows);
}

static const struct row *
table_find(const struct table *table, const char *key)
{
	size_t low = 0, high = table->count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (strcmp(table->rows[middle].key, key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low < table->count && strcmp(table->rows[low].key, key) == 0
	    ? &table->rows[low]
	    : NULL;
}

/* A damaged file is told at the start, not at the first message. */
static int
try_cdb(const char *path, struct error *err)
{
	AUTO(cdbmap_free) struct cdbmap *map = NULL;

	return path == NULL || cdbmap_open(path, &map, err) != -1 ? 0 : -1;
}

static bool
is_variable(const struct settings *settings, enum setting_id id)
{
	return strncmp(settings_source(settings, id), "variable", 8) == 0;
}

/* The lines of the variable SMTPROUTES. */
static int
read_lines(const char *text, struct table *table, struct error *err)
{
	AUTO(mem_free) char *copy = xstrdup(text);
	char *rest = NULL, *line = strtok_r(copy, "\n", &rest);

	for (; line != NULL; line = strtok_r(NULL, "\n", &rest))
		if (add_line(table, line, false, err) == -1)
			return error_context(err, "variable SMTPROUTES");
	sort_table(table);
	return 0;
}

/* smtproutes, by the variables or the file.  0, or -1. */
static int
read_smtp(struct smtproutes *routes, const char *control_dir,
    const struct settings *settings, struct error *err)
{
	const char *lines = getenv("SMTPROUTES");

	if (is_variable(settings, SETTING_smtproutes)) {
		routes->smtp_source = "variable SMTPROUTE";
		read_table(settings, SETTING_smtproutes, &routes->smtp);
		return 0;
	}
	if (lines != NULL) {
		routes->smtp_source = "variable SMTPROUTES";
		return read_lines(lines, &routes->smtp, err);
	}
	routes->smtp_source = "smtproutes";
	read_table(settings, SETTING_smtproutes, &routes->smtp);
	for (size_t i = 0; i < 2; i++)
		routes->cdb_paths[i] = xasprintf(
		    "%s/%s", control_dir, cdb_names[i]);
	return 0;
}

struct smtproutes *
smtproutes_new(
    const char *control_dir, const struct settings *settings, struct error *err)
{
	struct smtproutes *routes = xcalloc(1, sizeof(*routes));

	routes->qmtp_source = is_variable(settings, SETTING_qmtproutes)
	    ? "variable QMTPROUTE"
	    : "qmtproutes";
	read_table(settings, SETTING_qmtproutes, &routes->qmtp);
	routes->auth_path = xasprintf("%s/remote_auth.cdb", control_dir);
	if (read_smtp(routes, control_dir, settings, err) == -1 ||
	    try_cdb(routes->cdb_paths[0], err) == -1 ||
	    try_cdb(routes->cdb_paths[1], err) == -1 ||
	    try_cdb(routes->auth_path, err) == -1)
		smtproutes_free(&routes);
	return routes;
}

void
smtproutes_free(struct smtproutes **routes_in)
{
	struct smtproutes *routes = *routes_in;

	if (routes == NULL)
		return;
	table_release(&routes->qmtp);
	table_release(&routes->smtp);
	free(routes->cdb_paths[0]);
	free(routes->cdb_paths[1]);
	free(routes->auth_path);
	free(routes);
	*routes_in = NULL;
}

/* -- looking up */

/* The files that one question opens, so that a new one counts at once. */
struct look {
	const struct smtproutes *routes;
	struct cdbmap *maps[2];
};

static int
open_maps(struct look *look, struct error *err)
{
	for (size_t i = 0; i < 2; i++)
		if (look->routes->cdb_paths[i] != NULL &&
		    cdbmap_open(
			look->routes->cdb_paths[i], &look->maps[i], err) == -1)
			return -1;
	return 0;
}

static void
note_found(struct smtproute *route, const char *where, const char *key)
{
	snprintf(route->found_in, sizeof(route->found_in), "%s, line for '%s'",
	    where, key);
}

static int
find_in_map(const struct look *look, size_t i, const char *key,
    struct smtproute *route_out, struct error *err)
{
	AUTO(buf_release) struct buf value = BUF_INIT;
	int found = look->maps[i] == NULL
	    ? 0
	    : cdbmap_get(look->maps[i], key, strlen(key), &value, err);

	if (found != 1)
		return found;
	buf_addc(&value, '\0');
	if (read_value(value.data, false, route_out, err) == -1)
		return error_context(
		    err, "%s, key '%s'", look->routes->cdb_paths[i], key);
	note_found(route_out, cdb_names[i], key);
	return 1;
}

/* 1, 0, or -1. */
static int
find_key(const struct look *look, const char *key, struct smtproute *route_out,
    struct error *err)
{
	const struct row *row = table_find(&look->routes->qmtp, key);
	const char *where = look->routes->qmtp_source;
	int found = 0;

	if (row == NULL) {
		row = table_find(&look->routes->smtp, key);
		where = look->routes->smtp_source;
	}
	if (row != NULL) {
		*route_out = row->route;
		note_found(route_out, where, key);
		return 1;
	}
	for (size_t i = 0; i < 2 && found == 0; i++)
		found = find_in_map(look, i, key, route_out, err);
	return found;
}

/* Itself, each ".suffix", and "". */
static int
find_domain(const struct look *look, const char *domain,
    struct smtproute *route_out, struct error *err)
{
	int found = 0;

	while (found == 0) {
		found = find_key(look, domain, route_out, err);
		if (*domain == '\0')
			break;
		domain++;
		domain += strcspn(domain, ".");
	}
	return found;
}

/* Keys are "=address" and "+prefix", the longest first; in small letters. */
static int
find_secret(struct cdbmap *map, const char *address, struct buf *value,
    struct error *err)
{
	AUTO(mem_free) char *key = xasprintf("=%s", address);
	size_t length = strlen(key);
	int found;

	ascii_lower(key, key, length);
	found = cdbmap_get(map, key, length, value, err);
	key[0] = '+';
	for (; found == 0 && length > 0; length--)
		found = cdbmap_get(map, key, length, value, err);
	return found;
}

static int
ask_credentials(const struct smtproutes *routes, const char *address,
    struct smtproute *route, struct error *err)
{
	AUTO(cdbmap_free) struct cdbmap *map = NULL;
	AUTO(buf_release) struct buf value = BUF_INIT;
	int found;

	if (strlen(address) > ADDRESS_MAX)
		return 0;
	found = cdbmap_open(routes->auth_path, &map, err);
	if (found == 1)
		found = find_secret(map, address, &value, err);
	if (found != 1)
		return found;
	buf_addc(&value, '\0');
	return split_credentials(value.data, route, err) == -1
	    ? error_context(err, "%s, what it has for '%.100s'",
		  routes->auth_path, address)
	    : 1;
}

/* "!@", the recipient, the domain. */
static int
find_route(const struct look *look, const char *domain, const char *sender,
    const char *recipient, struct smtproute *route_out, struct error *err)
{
	char key[SMTPROUTE_KEY_SIZE];
	int found = 0;

	if (sender != NULL && *sender == '\0')
		found = find_key(look, bounce_key, route_out, err);
	if (found == 0 && recipient != NULL && mailbox_key(recipient, key))
		found = find_key(look, key, route_out, err);
	if (found == 0)
		found = find_domain(look, domain, route_out, err);
	return found;
}

static void
close_maps(struct look *look)
{
	cdbmap_free(&look->maps[0]);
	cdbmap_free(&look->maps[1]);
}

int
smtproutes_find(const struct smtproutes *routes, const char *domain,
    const char *sender, const char *recipient, struct smtproute *route_out,
    struct error *err)
{
	struct look look = { routes, { NULL, NULL } };
	const char *address = NULL;
	int found = open_maps(&look, err);

	*route_out = smtproute_standard();
	if (found == 0)
		found = find_route(
		    &look, domain, sender, recipient, route_out, err);
	close_maps(&look);
	if (found == 1 && route_out->asks_for[0] != '\0')
		address = route_out->asks_for;
	else if (found == 1 && route_out->asks_sender)
		address = sender;
	else if (found == 1 && route_out->asks_recipient)
		address = recipient;
	if (address != NULL &&
	    ask_credentials(routes, address, route_out, err) == -1)
		found = -1;
	return found;
}

/* -- compiling */

static int
add_route(struct cdbmap_writer *writer, const char *line, struct error *err)
{
	const char *value = strchr(line, ':'), *mark;
	char key[SMTPROUTE_KEY_SIZE];
	struct smtproute route;

	if (smtproute_read(line, false, key, &route, err) == -1) {
		errno = EINVAL;
		return -1;
	}
	value++;
	mark = domain_mark(key);
	if (mark != NULL &&
	    cdbmap_writer_add(writer, mark, strlen(mark), "", 0, err) == -1)
		return -1;
	return cdbmap_writer_add(
	    writer, key, strlen(key), value, strlen(value), err);
}

/* ADDRESS USER PASSWORD [VARIABLE=VALUE,...] */
static int
add_secret(struct cdbmap_writer *writer, const char *line, struct error *err)
{
	size_t length = strcspn(line, " \t");
	const char *value = line + length + strspn(line + length, " \t");
	AUTO(mem_free) char *copy = xstrdup(value);
	AUTO(mem_free) char *key = NULL;
	struct smtproute route = smtproute_standard();
	bool is_prefix;

	if (length == 0 || split_credentials(copy, &route, err) == -1) {
		errno = EINVAL;
		return error_set(err,
		    "the line is not ADDRESS USER PASSWORD; write these three "
		    "words, and behind them variables of a route at most");
	}
	is_prefix = line[length - 1] == '*';
	key = xasprintf(
	    "%c%.*s", is_prefix ? '+' : '=', (int)length - is_prefix, line);
	ascii_lower(key, key, strlen(key));
	return cdbmap_writer_add(
	    writer, key, strlen(key), value, strlen(value), err);
}

/* Remote delivery reads it by its group; a new one is root's until then. */
static int
give_to_reader(const char *path, struct error *err)
{
	struct identity reader;

	if (geteuid() != 0 || identity_find(IDENTITY_REMOTE, &reader, err) != 1)
		return 0;
	return chown(path, (uid_t)-1, reader.gid) == -1
	    ? error_sys(err, "cannot give '%s' to the group of '%s'", path,
		  reader.name)
	    : 0;
}

int
smtproutes_compile(const char *control_dir, const char *name, struct error *err)
{
	const struct cdb_text kind = {
		.max_bytes = TEXT_MAX_BYTES,
		.mode = 0640, /* it has passwords */
		.content = "the lines in it",
		.add = strcmp(name, "remote_auth") == 0 ? add_secret
							: add_route,
	};
	OWN_TEXT path = xasprintf("%s/%s", control_dir, name);
	OWN_TEXT cdb_path = xasprintf("%s.cdb", path);

	return cdb_text_compile(path, &kind, err) == -1
	    ? -1
	    : give_to_reader(cdb_path, err);
}

/* -- who asks */

static bool
table_asks_sender(const struct table *table)
{
	for (size_t i = 0; i < table->count; i++)
		if (table->rows[i].route.asks_sender ||
		    strcmp(table->rows[i].key, bounce_key) == 0)
			return true;
	return false;
}

bool
smtproutes_ask_sender(const struct smtproutes *routes)
{
	for (size_t i = 0; i < 2; i++)
		if (routes->cdb_paths[i] != NULL &&
		    access(routes->cdb_paths[i], F_OK) == 0)
			return true; /* it may have such a route */
	return table_asks_sender(&routes->qmtp) ||
	    table_asks_sender(&routes->smtp);
}

/* 1, 0 or -1: is the route of that key, if there is one, one of "/r"? */
static int
key_asks_recipient(int found, const struct smtproute *route)
{
	return found == 1 ? route->asks_recipient : found;
}

int
smtproutes_ask_recipient(const struct smtproutes *routes, const char *domain)
{
	AUTO(mem_free) char *mark = xasprintf("@%s", domain);
	struct look look = { routes, { NULL, NULL } };
	struct smtproute route;
	struct error err;
	int asks = open_maps(&look, &err);

	if (asks == 0)
		asks = find_key(&look, mark, &route, &err);
	if (asks == 0)
		asks = key_asks_recipient(
		    find_key(&look, bounce_key, &route, &err), &route);
	if (asks == 0)
		asks = key_asks_recipient(
		    find_domain(&look, domain, &route, &err), &route);
	close_maps(&look);
	return asks;
}
