/* SPDX-License-Identifier: ISC */
/* Checks a setting's value against the type, unit and range of its row. */
#include "control/settings.h"

#include <arpa/inet.h>
#include <assert.h>
#include <string.h>

#include "base/scan.h"
#include "control/bindings.h"
#include "control/domain_lines.h"
#include "control/etrnhosts.h"
#include "control/network.h"
#include "control/smtproutes.h"
#include "control/suspensions.h"
#include "control/tlspolicy.h"

/* A bad value may be long, and then its begin tells enough. */
#define VALUE "'%.60s%s'"
#define VALUE_ARGS(value) (value), strlen(value) > 60 ? "..." : ""

static const char *
example_number(const struct setting_row *row)
{
	if (strcmp(row->standard, "0") != 0)
		return row->standard;
	return strcmp(row->unit, "bytes") == 0 ? "10485760" : "100";
}

static int
check_number(
    const struct setting_row *row, const char *value, struct error *err)
{
	bool has_unit = strcmp(row->unit, "number") != 0;
	uint64_t number;

	if (value[0] == '\0' || value[strspn(value, "0123456789")] != '\0')
		return error_set(err,
		    VALUE " is not a number%s%s; write a "
			  "whole number, for example %s",
		    VALUE_ARGS(value), has_unit ? " of " : "",
		    has_unit ? row->unit : "", example_number(row));
	if (!scan_u64(value, row->max, &number) || number < row->min)
		return error_set(err,
		    VALUE " is out of range; write a number "
			  "from %llu to %llu",
		    VALUE_ARGS(value), (unsigned long long)row->min,
		    (unsigned long long)row->max);
	return 0;
}

static int
check_flag(const char *value, struct error *err)
{
	if (strcmp(value, "0") != 0 && strcmp(value, "1") != 0)
		return error_set(err,
		    VALUE " is neither 0 nor 1; write 1 for "
			  "yes or 0 for no",
		    VALUE_ARGS(value));
	return 0;
}

/* Bytes that end a name in an address, a header or a reply. */
static bool
is_name(const char *value)
{
	return value[strcspn(value, " \t@<>()[]\\,;\"")] == '\0';
}

static bool
is_domain_value(const char *value)
{
	if (value[0] == '.')
		value++;
	return *value != '\0' && is_name(value);
}

static bool
is_mailbox(const char *value)
{
	const char *at = strrchr(value, '@');

	return at != NULL && at != value && at[1] != '\0' && is_name(at + 1) &&
	    value[strcspn(value, " \t<>")] == '\0';
}

static bool
is_virtual_domain(const char *value)
{
	return strchr(value, ':') != NULL &&
	    value[strcspn(value, " \t")] == '\0';
}

/* ADDRESS or ADDRESS@PORT. */
static bool
is_server(const char *value)
{
	const char *at = strchr(value, '@');
	size_t length = at == NULL ? strlen(value) : (size_t)(at - value);
	unsigned char bytes[sizeof(struct in6_addr)];
	char address[INET6_ADDRSTRLEN];
	uint64_t port;

	if (length >= sizeof(address) ||
	    (at != NULL && (!scan_u64(at + 1, UINT16_MAX, &port) || port == 0)))
		return false;
	memcpy(address, value, length);
	address[length] = '\0';
	return inet_pton(AF_INET, address, bytes) == 1 ||
	    inet_pton(AF_INET6, address, bytes) == 1;
}

static bool
is_zone_server(const char *value)
{
	const char *colon = strchr(value, ':');

	return colon != NULL && colon != value &&
	    strcspn(value, " \t@") > (size_t)(colon - value) &&
	    is_server(colon + 1);
}

/* Of a line KEY:VALUE (control/domain_lines.h) the VALUE, or NULL. */
static const char *
value_of_domain(const char *line)
{
	const char *colon = strchr(line, ':');

	return colon != NULL && colon != line &&
		!(colon == line + 1 && *line == '.') && is_domain_value(line)
	    ? colon + 1
	    : NULL;
}

static bool
is_retry_step(const char *value)
{
	const char *text = value_of_domain(value);
	uint64_t step;

	return text != NULL && scan_u64(text, 1000, &step) && step > 0;
}

static bool
is_domain_lifetime(const char *value)
{
	const char *text = value_of_domain(value);
	uint64_t seconds;

	return text != NULL && scan_u64(text, 31536000, &seconds);
}

static bool
is_destination_limit(const char *value)
{
	const char *text = value_of_domain(value);
	struct destination_limit limit;

	return text != NULL && destination_limit_read(text, &limit);
}

static bool
is_network(const char *value)
{
	struct network network;

	return network_read(value, strlen(value), &network);
}

static bool
is_address(const char *value)
{
	return strchr(value, '/') == NULL && is_network(value);
}

/* ADDRESS DOMAIN */
static bool
is_address_domain(const char *value)
{
	size_t length = strcspn(value, " \t");
	const char *domain = value + length + strspn(value + length, " \t");
	struct network network;

	return memchr(value, '/', length) == NULL &&
	    network_read(value, length, &network) && is_domain_value(domain);
}

static bool
is_endpoint(const char *value)
{
	struct sockaddr_storage unused;

	return network_read_endpoint(value, 1, &unused);
}

static int
judge_route(const char *value, bool is_qmtp, struct error *err)
{
	char key[SMTPROUTE_KEY_SIZE];
	struct smtproute route;

	return smtproute_read(value, is_qmtp, key, &route, err);
}

static int
judge_smtproute(const char *value, struct error *err)
{
	return judge_route(value, false, err);
}

static int
judge_qmtproute(const char *value, struct error *err)
{
	return judge_route(value, true, err);
}

static int
judge_bindroute(const char *value, struct error *err)
{
	return binding_judge(value, false, err);
}

static int
judge_domainbinding(const char *value, struct error *err)
{
	return binding_judge(value, true, err);
}

static int
judge_etrnhost(const char *value, struct error *err)
{
	struct etrnhost host;

	if (etrnhost_read(value, &host, err) == -1)
		return -1;
	if (!is_domain_value(host.domain))
		error_set(err,
		    VALUE " does not begin with a domain; write "
			  "DOMAIN NETWORK MAILDIR",
		    VALUE_ARGS(value));
	else {
		etrnhost_release(&host);
		return 0;
	}
	etrnhost_release(&host);
	return -1;
}

static int
judge_tlspolicy(const char *value, struct error *err)
{
	struct tlspolicy policy;

	if (tlspolicy_read(value, &policy, err) == -1)
		return -1;
	tlspolicy_release(&policy);
	return 0;
}

static int
judge_suspension(const char *value, struct error *err)
{
	struct suspension suspension;

	return suspension_read(value, &suspension, err);
}

/* Lines of several parts: who reads them says what is wrong. */
static const struct {
	const char *unit;
	int (*judge)(const char *value, struct error *err);
} judges[] = {
	{ "route", judge_smtproute },
	{ "kind of routes", routes_judge },
	{ "qmtproute", judge_qmtproute },
	{ "remote:address", judge_bindroute },
	{ "sender:address", judge_domainbinding },
	{ "address:host", binding_judge_helo },
	{ "node", judge_etrnhost },
	{ "domain:policy", judge_tlspolicy },
	{ "domain:port", tlsadomain_judge },
	{ "suspension", judge_suspension },
};

static bool
is_store(const char *value)
{
	return strcmp(value, "cdb") == 0 || strcmp(value, "pgsql") == 0;
}

/* ADDRESS:PORT /PATH */
static bool
is_keyed_endpoint(const char *value)
{
	size_t length = strcspn(value, " \t");
	const char *colon = memrchr(value, ':', length);
	const char *path = value + length + strspn(value + length, " \t");

	return colon != NULL && colon != value && *path == '/' &&
	    strspn(colon + 1, "0123456789") ==
	    (size_t)(value + length - colon - 1);
}

/* NAME KEY */
static bool
is_keyed_node(const char *value)
{
	size_t length = strcspn(value, " \t");

	return length > 0 &&
	    strlen(value + length + strspn(value + length, " \t")) == 40;
}

/* As mq.nodes has them. */
static bool
is_node_name(const char *value)
{
	size_t length = strlen(value);

	return length <= 64 &&
	    strspn(value, "abcdefghijklmnopqrstuvwxyz0123456789.-") ==
	    length &&
	    strchr(".-", value[0]) == NULL &&
	    strchr(".-", value[length - 1]) == NULL;
}

static bool
is_path(const char *value)
{
	return *value == '/';
}

/* The forms of texts and of list lines, by the unit of the row. */
static const struct {
	const char *unit;
	bool (*is_right)(const char *value);
	const char *remedy;
} forms[] = {
	{ "host", is_name,
	    "is not a host name; write for example mail.example.org" },
	{ "domain", is_domain_value,
	    "is not a domain; write for example example.org" },
	{ "domain:step", is_retry_step,
	    "is not a domain with a step; write for example example.org:20" },
	{ "domain:seconds", is_domain_lifetime,
	    "is not a domain with seconds, 31536000 at most; write for "
	    "example example.org:86400" },
	{ "domain:limit", is_destination_limit,
	    "is not a domain with a limit; write for example example.org:10 "
	    "or example.org:10:2.5" },
	{ "domain:prefix", is_virtual_domain,
	    "is not a virtual domain; write for example "
	    "example.org:example.org" },
	{ "address@port", is_server,
	    "is not an IP address with or without a port; write for example "
	    "192.0.2.53 or 127.0.0.1@5353" },
	{ "zone:address@port", is_zone_server,
	    "is not a zone with a name server; write for example "
	    "example.internal:192.0.2.53" },
	{ "address", is_address,
	    "is not an IP address; write for example 192.0.2.1" },
	{ "address domain", is_address_domain,
	    "is not an IP address and a domain; write for example 192.0.2.1 "
	    "example.org" },
	{ "address:port", is_endpoint,
	    "is not an IP address with or without a port; write for example "
	    "192.0.2.1 or 192.0.2.1:628" },
	{ "network", is_network,
	    "is not an IP address or network; write for example 192.0.2.1 or "
	    "198.51.100.0/28" },
	{ "mailbox", is_mailbox,
	    "is not a mailbox; write for example archive@example.org" },
	{ "store", is_store, "is no user store; write cdb or pgsql" },
	{ "address:port key", is_keyed_endpoint,
	    "is not an address with a port and the file of a key; write for "
	    "example 192.0.2.1:5570 /var/mqmail/tls/lookup.key" },
	{ "node key", is_keyed_node,
	    "is not a node's name with its public key of 40 characters" },
	{ "node name", is_node_name,
	    "is not a node's name, of 64 small letters, digits, points and "
	    "hyphens at most; write for example mail1" },
	{ "folder", is_path,
	    "is not an absolute path; write for example /home/mail1" },
	{ "local part", is_name,
	    "is not a local part; write for example postmaster" },
};

/*
 * What stands behind a blank in a route may be a password, and so may any part
 * of a connection string.
 */
static int
shown_length(const struct setting_row *row, const char *value)
{
	size_t length = strcmp(row->unit, "route") == 0 ? strcspn(value, " \t")
	    : setting_is_secret(row)                    ? 0
							: strlen(value);

	return length > 60 ? 60 : (int)length;
}

static int
check_line(const struct setting_row *row, const char *value, struct error *err)
{
	size_t length = strlen(value), i;

	if (length == 0 && row->min == 0)
		return 0;
	if (length < row->min)
		return error_set(err, "is empty; write a %s in it", row->unit);
	if (length > row->max)
		return error_set(err,
		    "'%.*s...' has %zu bytes; the most is %llu",
		    shown_length(row, value), value, length,
		    (unsigned long long)row->max);
	for (i = 0; i < length; i++)
		if ((unsigned char)value[i] < ' ' || value[i] == 127)
			return error_set(err,
			    "'%.*s%s' has a control character "
			    "at byte %zu; remove it",
			    shown_length(row, value), value,
			    (size_t)shown_length(row, value) < length ? "..."
								      : "",
			    i + 1);
	if (row->type == SETTING_TEXT && strcmp(row->unit, "path") == 0 &&
	    value[0] != '/')
		return error_set(err,
		    VALUE " is not an absolute path; begin "
			  "it with /",
		    VALUE_ARGS(value));
	for (i = 0; i < sizeof(forms) / sizeof(forms[0]); i++)
		if (strcmp(row->unit, forms[i].unit) == 0 &&
		    !forms[i].is_right(value))
			return error_set(err, VALUE " %s", VALUE_ARGS(value),
			    forms[i].remedy);
	for (i = 0; i < sizeof(judges) / sizeof(judges[0]); i++)
		if (strcmp(row->unit, judges[i].unit) == 0)
			return judges[i].judge(value, err);
	return 0;
}

int
settings_check_value(enum setting_id id, const char *value, struct error *err)
{
	const struct setting_row *row = &setting_rows[id];

	switch (row->type) {
	case SETTING_NUMBER:
		return check_number(row, value, err);
	case SETTING_FLAG:
		return check_flag(value, err);
	case SETTING_TEXT:
	case SETTING_LIST:
	case SETTING_RULES:
		return check_line(row, value, err);
	}
	assert(!"a row has a type");
	return -1;
}
