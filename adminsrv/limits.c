/* SPDX-License-Identifier: ISC */
/* The limits of a domain, where they are to be kept. */
#include "adminsrv/limits.h"

#include <inttypes.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "adminsrv/records.h"
#include "base/mem.h"

/* A limit that is set; below 0 there is none. */
static bool
has_limit(const struct store_limits *limits, enum store_limit limit)
{
	return limits->has[limit] && limits->values[limit] >= 0;
}

static enum admin_result
check_expiry(const struct users *users, const struct store_limits *limits,
    struct error *err)
{
	int64_t until_s = limits->values[STORE_LIMIT_domain_expiry];

	if (!has_limit(limits, STORE_LIMIT_domain_expiry) || until_s == 0 ||
	    time(NULL) < until_s)
		return ADMIN_OK;
	return admin_refuse(err,
	    "the domain '%s' has expired: 'vlimit -e -1 %s' ends that",
	    users_domain(users), users_domain(users));
}

static enum admin_result
check_number(const struct users *users, const struct store_limits *limits,
    enum store_limit limit, uint64_t count, const char *what, struct error *err)
{
	if (!has_limit(limits, limit) ||
	    count <= (uint64_t)limits->values[limit])
		return ADMIN_OK;
	return admin_refuse(err,
	    "the domain '%s' may have %" PRId64 " %s (%s), and would have "
	    "%" PRIu64 ": vlimit changes that",
	    users_domain(users), limits->values[limit], what,
	    store_limit_names[limit], count);
}

enum admin_result
limits_check_accounts(struct users *users, const struct users_new *new,
    size_t count, struct error *err)
{
	struct store_limits limits;
	int found = records_find_limits(users, NULL, &limits, err);
	uint64_t total, added = 0;
	enum admin_result result;

	for (size_t i = 0; i < count; i++)
		added += strcmp(new[i].name, "postmaster") != 0;
	if (found != 1 || added == 0)
		return admin_result_of(found);
	result = check_expiry(users, &limits, err);
	if (result != ADMIN_OK)
		return result;
	if (!has_limit(&limits, STORE_LIMIT_maxpopaccounts))
		return ADMIN_OK;
	if (users_count(users, &total, err) == -1)
		return ADMIN_FAILED;
	return check_number(users, &limits, STORE_LIMIT_maxpopaccounts,
	    total + added, "users", err);
}

int
limits_default_quota(
    struct users *users, struct buf *quota_out, struct error *err)
{
	struct store_limits limits;
	int found = records_find_limits(users, NULL, &limits, err);
	int64_t bytes, count;

	buf_reset(quota_out);
	if (found != 1)
		return found;
	bytes = limits.values[STORE_LIMIT_defaultquota];
	count = limits.values[STORE_LIMIT_defaultmaxmsgcount];
	if (bytes > 0)
		buf_addf(quota_out, "%" PRId64 "S", bytes);
	if (count > 0)
		buf_addf(
		    quota_out, "%s%" PRId64 "C", bytes > 0 ? "," : "", count);
	return 0;
}

static bool
is_forward(const struct users *users, const struct strlist *lines)
{
	for (size_t i = 0; i < lines->count; i++) {
		const char *line = lines->items[i];
		const char *at = strrchr(line, '@');

		if (strchr("|/.", *line) == NULL && at != NULL &&
		    strcasecmp(at + 1, users_domain(users)) != 0)
			return true;
	}
	return false;
}

/* How many aliases but that of the name are of the kind. */
static int
count_aliases(struct users *users, const char *name, bool forwards,
    uint64_t *count_out, struct error *err)
{
	struct strlist names = { NULL, 0 };
	int result = records_alias_names(users, &names, err);

	*count_out = 0;
	for (size_t i = 0; result == 0 && i < names.count; i++) {
		struct strlist lines = { NULL, 0 };

		if (records_find_alias(users, names.items[i], &lines, err) ==
		    -1)
			result = -1;
		else if (strcmp(names.items[i], name) != 0)
			*count_out += is_forward(users, &lines) == forwards;
		strlist_release(&lines);
	}
	strlist_release(&names);
	return result;
}

enum admin_result
limits_check_alias(struct users *users, const char *name,
    const struct strlist *lines, struct error *err)
{
	bool forwards = is_forward(users, lines);
	enum store_limit limit = forwards ? STORE_LIMIT_maxforwards
					  : STORE_LIMIT_maxaliases;
	struct store_limits limits;
	int found = records_find_limits(users, NULL, &limits, err);
	enum admin_result result;
	uint64_t others;

	if (found != 1)
		return admin_result_of(found);
	result = check_expiry(users, &limits, err);
	if (result != ADMIN_OK || !has_limit(&limits, limit))
		return result;
	if (count_aliases(users, name, forwards, &others, err) == -1)
		return ADMIN_FAILED;
	return check_number(users, &limits, limit, others + 1,
	    forwards ? "forwards" : "aliases", err);
}
