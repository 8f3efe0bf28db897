/* SPDX-License-Identifier: ISC */
/* vlimit: shows and changes the limits of a domain, or of a user. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "adminsrv/cli.h"
#include "adminsrv/records.h"
#include "base/mem.h"
#include "base/scan.h"
#include "mailbox/quota.h"

static const char usage[] =
    "usage: vlimit [-s] domain | user@domain\n"
    "       vlimit -D domain | user@domain\n"
    "       vlimit [-e date | -n days] [-t date | -N days] [-Q quota]\n"
    "              [-M messages] [-q quota] [-m messages] [-P users]\n"
    "              [-A aliases] [-F forwards] [-R autoresponders] [-L lists]\n"
    "              [-g udsipwrx] [-T] [-p|-a|-f|-r|-l|-x|-z acmd]...\n"
    "              domain | user@domain\n";

enum { DENY_CREATE = 1, DENY_MODIFY = 2, DENY_DELETE = 4, DENY_ALL = 7 };

/* Limits that are a number, a size, or permissions of who administers. */
static const struct {
	int option;
	enum store_limit limit;
} number_options[] = {
	{ 'M', STORE_LIMIT_maxmsgcount },
	{ 'm', STORE_LIMIT_defaultmaxmsgcount },
	{ 'P', STORE_LIMIT_maxpopaccounts },
	{ 'A', STORE_LIMIT_maxaliases },
	{ 'F', STORE_LIMIT_maxforwards },
	{ 'R', STORE_LIMIT_maxautoresponders },
	{ 'L', STORE_LIMIT_maxmailinglists },
},
  size_options[] = {
	  { 'Q', STORE_LIMIT_diskquota },
	  { 'q', STORE_LIMIT_defaultquota },
  },
  date_options[] = {
	  { 'e', STORE_LIMIT_domain_expiry },
	  { 't', STORE_LIMIT_passwd_expiry },
	  { 'n', STORE_LIMIT_domain_expiry },
	  { 'N', STORE_LIMIT_passwd_expiry },
  },
  permission_options[] = {
	  { 'p', STORE_LIMIT_perm_account },
	  { 'a', STORE_LIMIT_perm_alias },
	  { 'f', STORE_LIMIT_perm_forward },
	  { 'r', STORE_LIMIT_perm_autoresponder },
	  { 'l', STORE_LIMIT_perm_maillist },
	  { 'x', STORE_LIMIT_perm_quota },
	  { 'z', STORE_LIMIT_perm_defaultquota },
  };

/* What users may not do, in the order of the output. */
static const struct {
	char letter;
	enum store_limit limit;
	const char *denied, *allowed;
} rights[] = {
	{ 'u', STORE_LIMIT_disable_dialup, "NO_DIALUP", "DIALUP" },
	{ 'd', STORE_LIMIT_disable_passwordchanging, "NO_PASSWD_CHNG",
	    "PASSWD CHNG" },
	{ 's', STORE_LIMIT_disable_smtp, "NO_SMTP", "SMTP" },
	{ 'i', STORE_LIMIT_disable_imap, "NO_IMAP", "IMAP" },
	{ 'p', STORE_LIMIT_disable_pop, "NO_POP", "POP3" },
	{ 'w', STORE_LIMIT_disable_webmail, "NO_WEBMAIL", "WEBMAIL" },
	{ 'r', STORE_LIMIT_disable_relay, "NO_RELAY", "RELAY" },
};

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

static void
set_limit(struct store_limits *limits, enum store_limit limit, int64_t value)
{
	limits->values[limit] = value;
	limits->has[limit] = true;
}

static bool
scan_number(const char *text, int64_t *value_out)
{
	bool is_negative = *text == '-';
	uint64_t value;

	if (!scan_u64(text + is_negative, INT64_MAX, &value))
		return false;
	*value_out = is_negative ? -(int64_t)value : (int64_t)value;
	return true;
}

/* "-1", or ddmmyyyyHHMMSS in local time. */
static bool
scan_date(const char *text, int64_t *at_s_out)
{
	struct tm tm = { .tm_isdst = -1 };
	const char *end;

	*at_s_out = -1;
	if (strcmp(text, "-1") == 0)
		return true;
	if (strlen(text) != 14)
		return false;
	end = strptime(text, "%d%m%Y%H%M%S", &tm);
	if (end == NULL || *end != '\0')
		return false;
	*at_s_out = mktime(&tm);
	return *at_s_out != -1;
}

static enum admin_result
set_number(struct store_limits *limits, enum store_limit limit,
    const char *text, struct error *err)
{
	int64_t value;

	if (strcasecmp(text, "unlimited") == 0)
		value = limit == STORE_LIMIT_maxmsgcount ||
			limit == STORE_LIMIT_defaultmaxmsgcount
		    ? 0
		    : -1;
	else if (!scan_number(text, &value) || value < -1)
		return admin_refuse(
		    err, "'%s' is not a number (-1 or unlimited: none)", text);
	set_limit(limits, limit, value);
	return ADMIN_OK;
}

static enum admin_result
set_size(struct store_limits *limits, enum store_limit limit, const char *text,
    struct error *err)
{
	struct quota quota;

	if (quota_read(text, &quota, err) == -1)
		return ADMIN_REFUSED;
	if (quota.bytes > INT64_MAX ||
	    (quota.count > 0 && limit != STORE_LIMIT_defaultquota))
		return admin_refuse(err, "'%s' is not a size", text);
	set_limit(limits, limit, (int64_t)quota.bytes);
	if (quota.count > 0 && quota.count <= INT64_MAX)
		set_limit(limits, STORE_LIMIT_defaultmaxmsgcount,
		    (int64_t)quota.count);
	return ADMIN_OK;
}

static enum admin_result
set_date(struct store_limits *limits, int option, enum store_limit limit,
    const char *text, struct error *err)
{
	bool is_days = option == 'n' || option == 'N';
	int64_t value;

	if (is_days ? !scan_number(text, &value) || llabs(value) > 100000
		    : !scan_date(text, &value))
		return admin_refuse(err, "'%s' is not %s", text,
		    is_days ? "a number of days"
			    : "a date ddmmyyyyHHMMSS, or -1");
	set_limit(limits, limit,
	    is_days ? (int64_t)time(NULL) + value * 86400 : value);
	return ADMIN_OK;
}

static enum admin_result
set_permissions(struct store_limits *limits, enum store_limit limit,
    const char *letters, struct error *err)
{
	static const char known[] = "cmda";
	static const int bits[] = { DENY_CREATE, DENY_MODIFY, DENY_DELETE,
		DENY_ALL };
	int64_t value = 0;

	for (const char *letter = letters; *letter != '\0'; letter++) {
		const char *at = strchr(known, *letter);

		if (at == NULL)
			return admin_refuse(err,
			    "'%s' is not of the letters a, c, m, d", letters);
		value |= bits[at - known];
	}
	set_limit(limits, limit, value);
	return ADMIN_OK;
}

static enum admin_result
set_rights(struct store_limits *limits, const char *letters, bool is_toggled,
    struct error *err)
{
	for (const char *letter = letters; *letter != '\0'; letter++) {
		size_t row = 0;

		while (row < COUNT(rights) && rights[row].letter != *letter)
			row++;
		if (*letter == 'x')
			for (size_t i = 0; i < COUNT(rights); i++)
				set_limit(limits, rights[i].limit, 0);
		else if (row == COUNT(rights))
			return admin_refuse(err,
			    "'%c' is not of the letters u, d, s, i, p, w, r, x",
			    *letter);
		else
			set_limit(limits, rights[row].limit,
			    !is_toggled ||
				limits->values[rights[row].limit] == 0);
	}
	return ADMIN_OK;
}

/* One option with its argument. */
static enum admin_result
set_by_option(struct store_limits *limits, int option, const char *text,
    bool is_toggled, struct error *err)
{
	for (size_t i = 0; i < COUNT(number_options); i++)
		if (number_options[i].option == option)
			return set_number(
			    limits, number_options[i].limit, text, err);
	for (size_t i = 0; i < COUNT(size_options); i++)
		if (size_options[i].option == option)
			return set_size(
			    limits, size_options[i].limit, text, err);
	for (size_t i = 0; i < COUNT(date_options); i++)
		if (date_options[i].option == option)
			return set_date(
			    limits, option, date_options[i].limit, text, err);
	for (size_t i = 0; i < COUNT(permission_options); i++)
		if (permission_options[i].option == option)
			return set_permissions(
			    limits, permission_options[i].limit, text, err);
	return set_rights(limits, text, is_toggled, err);
}

static void
print_date(const char *label, const struct store_limits *limits,
    enum store_limit limit)
{
	time_t at_s = (time_t)limits->values[limit];
	char text[32];

	if (!limits->has[limit] || at_s <= 0)
		printf("%s : Never Expires\n", label);
	else
		printf("%s : %s", label, ctime_r(&at_s, text));
}

static void
print_number(const char *label, const struct store_limits *limits,
    enum store_limit limit, int64_t none)
{
	if (!limits->has[limit] || limits->values[limit] <= none)
		printf("%-21s:     unlimited\n", label);
	else
		printf("%-21s: %13" PRId64 "\n", label, limits->values[limit]);
}

static void
print_permissions(const char *label, const struct store_limits *limits,
    enum store_limit limit)
{
	int64_t value = limits->values[limit];

	printf("  %-22s: %12s %12s %12s\n", label,
	    value & DENY_CREATE ? "DENY_CREATE" : "ALLOW_CREATE",
	    value & DENY_MODIFY ? "DENY_MODIFY" : "ALLOW_MODIFY",
	    value & DENY_DELETE ? "DENY_DELETE" : "ALLOW_DELETE");
}

static void
print_limits(const struct store_limits *limits)
{
	print_date("Domain Expiry   Date", limits, STORE_LIMIT_domain_expiry);
	print_date("Password Expiry Date", limits, STORE_LIMIT_passwd_expiry);
	print_number("Max Domain Quota", limits, STORE_LIMIT_diskquota, 0);
	print_number("Max Domain Messages", limits, STORE_LIMIT_maxmsgcount, 0);
	print_number("Default User Quota", limits, STORE_LIMIT_defaultquota, 0);
	print_number(
	    "Default User Messages", limits, STORE_LIMIT_defaultmaxmsgcount, 0);
	print_number(
	    "Max Pop Accounts", limits, STORE_LIMIT_maxpopaccounts, -1);
	print_number("Max Aliases", limits, STORE_LIMIT_maxaliases, -1);
	print_number("Max Forwards", limits, STORE_LIMIT_maxforwards, -1);
	print_number(
	    "Max Autoresponders", limits, STORE_LIMIT_maxautoresponders, -1);
	print_number(
	    "Max Mailinglists", limits, STORE_LIMIT_maxmailinglists, -1);
	puts("\nGID Flags:");
	for (size_t i = 0; i < COUNT(rights); i++)
		printf("  %s\n",
		    limits->values[rights[i].limit] != 0 ? rights[i].denied
							 : rights[i].allowed);
	puts("Flags for non postmaster accounts:");
	print_permissions("pop account", limits, STORE_LIMIT_perm_account);
	print_permissions("alias", limits, STORE_LIMIT_perm_alias);
	print_permissions("forward", limits, STORE_LIMIT_perm_forward);
	print_permissions(
	    "autoresponder", limits, STORE_LIMIT_perm_autoresponder);
	print_permissions("mailinglist", limits, STORE_LIMIT_perm_maillist);
	print_permissions("domain quota", limits, STORE_LIMIT_perm_quota);
	print_permissions(
	    "default quota", limits, STORE_LIMIT_perm_defaultquota);
}

/* What the command line asks for; options are read again over the old ones. */
struct request {
	bool is_change, is_delete, is_toggled;
	int options[64];
	const char *arguments[64];
	size_t count;
};

static enum admin_result
change_limits(struct users *users, const struct request *request,
    const char *name, struct store_limits *limits, struct error *err)
{
	enum admin_result result = ADMIN_OK;

	if (request->is_delete)
		return records_put_limits(users, name, NULL, err);
	for (size_t i = 0; result == ADMIN_OK && i < request->count; i++)
		result = set_by_option(limits, request->options[i],
		    request->arguments[i], request->is_toggled, err);
	return result == ADMIN_OK ? records_put_limits(users, name, limits, err)
				  : result;
}

static enum admin_result
act_on_limits(struct users *users, const struct request *request,
    const char *name, struct error *err)
{
	struct store_limits limits;
	const struct vpasswd_entry *entry;
	enum admin_result result = name == NULL
	    ? ADMIN_OK
	    : users_find(users, name, &entry, err);

	if (result == ADMIN_OK)
		result = admin_result_of(
		    records_find_limits(users, name, &limits, err));
	if (result != ADMIN_OK)
		return result;
	if (request->is_change)
		return change_limits(users, request, name, &limits, err);
	print_limits(&limits);
	return ADMIN_OK;
}

int
main(int argc, char **argv)
{
	struct request request = { .count = 0 };
	struct names_address address;
	AUTO(users_close) struct users *users = NULL;
	AUTO(home_free) struct home *home = NULL;
	enum admin_result result;
	struct error err;
	bool is_user;
	int option;

	cli_start("vlimit", argv, usage);
	while ((option = getopt(argc, argv,
		    "a:A:De:f:F:g:l:L:m:M:n:N:p:P:q:Q:r:R:st:Tx:z:")) != -1) {
		if (option == 'D')
			request.is_delete = true;
		else if (option == 'T')
			request.is_toggled = true;
		else if (option == '?' || request.count == 64)
			cli_usage(usage);
		else if (option != 's') {
			request.options[request.count] = option;
			request.arguments[request.count++] = optarg;
		}
	}
	request.is_change = request.is_delete || request.count > 0;
	if (argc - optind != 1 || (request.is_delete && request.count > 0))
		cli_usage(usage);
	is_user = strchr(argv[optind], '@') != NULL && *argv[optind] != '@';
	result = is_user
	    ? cli_open_user(argv[optind], &address, &home, &users, &err)
	    : cli_open_domain(
		  argv[optind], address.domain, &home, &users, &err);
	if (result == ADMIN_OK)
		result = act_on_limits(
		    users, &request, is_user ? address.local : NULL, &err);
	users_close(&users);
	return request.is_change
	    ? cli_end_change(home, "vlimit", result, &err, argv[optind], NULL)
	    : cli_end(result, &err);
}
