/* SPDX-License-Identifier: ISC */
/* The access rules of a listener. */
#include "smtp/rules.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "control/access.h"

struct smtp_rules {
	char *path;
	bool is_required;
	unsigned max_age_ms;
	int64_t looked_at_ms;  /* at the file; by __atomic only */
	pthread_rwlock_t lock; /* for the map */
	struct cdbmap *map;    /* NULL: there was no file */
};

/* Opens the file anew; on an error the old map stays. */
static int
reopen(struct smtp_rules *rules, struct error *err)
{
	struct cdbmap *map = NULL;
	int found = cdbmap_open(rules->path, &map, err);

	if (found == 0 && rules->is_required)
		return error_set(
		    err, "no file '%s'; make it with tcprules", rules->path);
	if (found == -1)
		return -1;
	cdbmap_free(&rules->map);
	rules->map = map;
	return 0;
}

struct smtp_rules *
smtp_rules_new(
    const char *path, bool is_required, unsigned max_age_ms, struct error *err)
{
	struct smtp_rules *rules = xcalloc(1, sizeof(*rules));

	rules->path = xstrdup(path);
	rules->is_required = is_required;
	rules->max_age_ms = max_age_ms;
	pthread_rwlock_init(&rules->lock, NULL);
	if (reopen(rules, err) == -1)
		smtp_rules_free(&rules);
	return rules;
}

void
smtp_rules_free(struct smtp_rules **rules_in)
{
	struct smtp_rules *rules = *rules_in;

	if (rules == NULL)
		return;
	cdbmap_free(&rules->map);
	pthread_rwlock_destroy(&rules->lock);
	free(rules->path);
	free(rules);
	*rules_in = NULL;
}

/* True when the map is not the file's any more; with the lock held. */
static bool
is_stale(const struct smtp_rules *rules)
{
	if (rules->map == NULL)
		return access(rules->path, F_OK) == 0;
	return cdbmap_is_stale(rules->map);
}

static int
check(struct smtp_rules *rules, const char *ip, const char *host,
    struct vars *vars, struct error *err)
{
	bool is_allowed = true;

	if (rules->map != NULL &&
	    access_check(rules->map, ip, host, vars, &is_allowed, err) == -1)
		return -1;
	return is_allowed;
}

/* With a look at the file, as it is now. */
static int
check_now(struct smtp_rules *rules, const char *ip, const char *host,
    struct vars *vars, struct error *err)
{
	int64_t now_ms = clock_ms();
	int result = 0;

	pthread_rwlock_wrlock(&rules->lock);
	if (is_stale(rules))
		result = reopen(rules, err);
	if (result == 0) {
		__atomic_store_n(
		    &rules->looked_at_ms, now_ms, __ATOMIC_RELAXED);
		result = check(rules, ip, host, vars, err);
	}
	pthread_rwlock_unlock(&rules->lock);
	return result;
}

int
smtp_rules_check_named(struct smtp_rules *rules, const char *ip,
    const char *host, struct vars *vars, struct error *err)
{
	int64_t looked_at_ms = __atomic_load_n(
	    &rules->looked_at_ms, __ATOMIC_RELAXED);
	int result;

	if (clock_ms() >= looked_at_ms + rules->max_age_ms)
		return check_now(rules, ip, host, vars, err);
	pthread_rwlock_rdlock(&rules->lock);
	result = check(rules, ip, host, vars, err);
	pthread_rwlock_unlock(&rules->lock);
	return result;
}

int
smtp_rules_check(struct smtp_rules *rules, const char *ip, struct vars *vars,
    struct error *err)
{
	return smtp_rules_check_named(rules, ip, NULL, vars, err);
}
