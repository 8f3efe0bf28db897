/* SPDX-License-Identifier: ISC */
/* lookupd/cache.c: what lookupd remembers of its answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "lookupd/cache.h"
#include "lookupd/query.h"

static void
put(struct cache *cache, const char *local, const char *domain,
    const char *record, int64_t now_ms)
{
	struct cache_key key;

	cache_key_set(&key, QUERY_USER, local, domain);
	cache_put(cache, &key, cache_generation(cache), QUERY_FOUND, record,
	    strlen(record), now_ms);
}

static bool
has(struct cache *cache, const char *local, const char *domain,
    const char *record, bool is_stale)
{
	struct cache_found found;
	struct cache_key key;

	cache_key_set(&key, QUERY_USER, local, domain);
	return cache_find(cache, &key, 1000, &found) &&
	    found.length == strlen(record) &&
	    memcmp(found.record, record, found.length) == 0 &&
	    found.is_stale == is_stale;
}

static void
remembers(void **state)
{
	struct cache *cache = cache_new(100000, 0);
	struct cache_found found;
	struct cache_key key;

	(void)state;
	put(cache, "a", "x.test", "one", 500);
	assert_true(has(cache, "a", "x.test", "one", false));
	assert_false(has(cache, "b", "x.test", "one", false));
	put(cache, "a", "x.test", "two", 600);
	assert_true(has(cache, "a", "x.test", "two", false));
	assert_int_equal(cache_count(cache), 1);
	cache_key_set(&key, QUERY_USER, "a", "x.test");
	assert_true(cache_find(cache, &key, 1000, &found));
	assert_int_equal(found.age_ms, 400);
	/* Neither another kind, nor another cut of the same letters. */
	cache_key_set(&key, QUERY_ALIAS, "a", "x.test");
	assert_false(cache_find(cache, &key, 1000, &found));
	assert_false(has(cache, "", "ax.test", "two", false));
	cache_key_set(&key, QUERY_USER, "a", "x.test");
	cache_remove(cache, &key);
	assert_int_equal(cache_count(cache), 0);
	assert_int_equal(cache_bytes(cache), 0);
	cache_free(&cache);
}

static void
domains_change(void **state)
{
	struct cache *cache = cache_new(100000, 0);
	uint32_t before = cache_generation(cache);
	struct cache_key key;

	(void)state;
	put(cache, "a", "x.test", "one", 0);
	put(cache, "a", "y.test", "one", 0);
	cache_remove_domain(cache, "x.test");
	assert_false(has(cache, "a", "x.test", "one", false));
	assert_true(has(cache, "a", "y.test", "one", false));
	/* What was asked for before the change is of before. */
	cache_key_set(&key, QUERY_USER, "a", "x.test");
	cache_put(cache, &key, before, QUERY_FOUND, "old", 3, 0);
	assert_false(has(cache, "a", "x.test", "old", false));
	put(cache, "a", "x.test", "new", 0);
	assert_true(has(cache, "a", "x.test", "new", false));
	cache_remove_domain(cache, "x.test");
	assert_false(has(cache, "a", "x.test", "new", false));
	cache_free(&cache);
}

static void
distrusts(void **state)
{
	struct cache *cache = cache_new(100000, 0);

	(void)state;
	put(cache, "a", "x.test", "one", 0);
	cache_distrust(cache);
	assert_true(has(cache, "a", "x.test", "one", true));
	put(cache, "a", "x.test", "two", 0);
	assert_true(has(cache, "a", "x.test", "two", false));
	cache_clear(cache);
	assert_int_equal(cache_count(cache), 0);
	assert_false(has(cache, "a", "x.test", "two", false));
	cache_free(&cache);
}

/* As many entries come as go; all that are there are found. */
static void
keeps_its_bound(void **state)
{
	enum { MAX_BYTES = 100000, USERS = 20000 };
	struct cache *cache = cache_new(MAX_BYTES, 0);
	unsigned found = 0;

	(void)state;
	for (unsigned i = 0; i < USERS; i++) {
		char name[16];

		snprintf(name, sizeof(name), "u%u", i);
		put(cache, name, "x.test", name, 0);
		if (cache_bytes(cache) > MAX_BYTES)
			fail_msg("%zu bytes", cache_bytes(cache));
		/* One who is asked for again and again stays. */
		if (i > 0 && !has(cache, "u0", "x.test", "u0", false))
			fail_msg("u0 has gone with u%u", i);
		if (!has(cache, name, "x.test", name, false))
			fail_msg("%s is not found", name);
	}
	for (unsigned i = 0; i < USERS; i++) {
		char name[16];

		snprintf(name, sizeof(name), "u%u", i);
		found += has(cache, name, "x.test", name, false);
	}
	assert_int_equal(found, cache_count(cache));
	assert_true(found > 500); /* of about 100 bytes */
	cache_free(&cache);
}

static void
users_are_small(void **state)
{
	enum { USERS = 50000 };
	struct cache *cache = cache_new(64 * 1024 * 1024, 0);
	struct query_user user = { .quota = "52428800S,1000C" };

	(void)state;
	for (unsigned i = 0; i < USERS; i++) {
		char name[32], domain[32], dir[100];
		struct buf record = BUF_INIT;
		struct cache_key key;

		snprintf(name, sizeof(name), "firstname.user%u", i);
		snprintf(domain, sizeof(domain), "domain%u.example", i % 500);
		snprintf(dir, sizeof(dir), "/var/mqmail/domains/%s/%c/%s",
		    domain, 'a' + i % 26, name);
		user.dir = dir;
		query_put_user(&record, &user);
		cache_key_set(&key, QUERY_USER, name, domain);
		cache_put(cache, &key, 1, QUERY_FOUND, record.data,
		    record.length, 0);
		buf_release(&record);
	}
	print_message("bytes a user: %zu\n", cache_bytes(cache) / USERS);
	assert_int_equal(cache_count(cache), USERS);
	assert_true(cache_bytes(cache) / USERS < 200);
	cache_free(&cache);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(remembers),
		cmocka_unit_test(domains_change),
		cmocka_unit_test(distrusts),
		cmocka_unit_test(keeps_its_bound),
		cmocka_unit_test(users_are_small),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
