/* SPDX-License-Identifier: ISC */
/* Tests of lookupd/store.c: what a backend of any kind is asked and trusted. */
#include "lookupd/store.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "lookupd/store_backend.h"

/* A backend that notes what it was asked, and answers as it is told. */
struct noting {
	struct store store;
	int answer;
	unsigned asked, destroyed;
	char local[STORE_LOCAL_MAX + 1];
	char domain[STORE_DOMAIN_MAX + 1];
};

static void
note(struct noting *noting, const char *local, const char *domain)
{
	assert_true(strlen(local) < sizeof(noting->local));
	assert_true(strlen(domain) < sizeof(noting->domain));
	noting->asked++;
	memcpy(noting->local, local, strlen(local) + 1);
	memcpy(noting->domain, domain, strlen(domain) + 1);
}

static int
find_domain(struct store *store, const char *domain,
    struct store_domain *domain_out, struct error *err)
{
	struct noting *noting = (struct noting *)store;

	assert_int_equal(domain_out->storage.length, 0);
	note(noting, "", domain);
	buf_adds(&domain_out->storage, "left behind");
	domain_out->name = domain_out->storage.data;
	if (noting->answer == -1)
		error_set(err, "away");
	return noting->answer;
}

static int
find_user(struct store *store, const char *local, const char *domain,
    struct store_user *user_out, struct error *err)
{
	struct noting *noting = (struct noting *)store;

	assert_int_equal(user_out->storage.length, 0);
	note(noting, local, domain);
	buf_adds(&user_out->storage, "left behind");
	user_out->name = user_out->storage.data;
	if (noting->answer == -1)
		error_set(err, "away");
	return noting->answer;
}

static void
destroy(struct store *store)
{
	((struct noting *)store)->destroyed++;
}

static const struct store_backend backend = {
	.find_domain = find_domain,
	.find_user = find_user,
	.destroy = destroy,
};

/* Only what can be a name is asked for, in lower case. */
static void
names(void **state)
{
	static char most[STORE_DOMAIN_MAX + 2], local_most[STORE_LOCAL_MAX + 2];
	const struct {
		const char *name, *local, *domain;
		bool is_asked;
	} rows[] = {
		{ "plain", "al", "a.test", true },
		{ "capitals", "AlZ@[", "A.TesT", true },
		{ "utf-8 as it is", "\xc3\x84", "a.test", true },
		{ "no domain of IDNA", "al", "\xe2\x98\x95.test", true },
		{ "empty local part", "", "a.test", false },
		{ "empty domain", "al", "", false },
		{ "long local part", local_most, "a.test", false },
		{ "longest local part", local_most + 1, "a.test", true },
		{ "long domain", "al", most, false },
		{ "longest domain", "al", most + 1, true },
	};

	(void)state;
	memset(most, 'D', sizeof(most) - 1);
	memset(local_most, 'L', sizeof(local_most) - 1);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct noting noting = { .store = { .backend = &backend },
			.answer = 1 };
		struct store_user user;
		int result = store_find_user(
		    &noting.store, rows[i].local, rows[i].domain, &user, NULL);

		if (result != rows[i].is_asked ||
		    noting.asked != rows[i].is_asked)
			fail_msg("%s: got %d", rows[i].name, result);
		if (!rows[i].is_asked) {
			assert_null(user.storage.data);
			continue;
		}
		assert_int_equal(strcasecmp(noting.local, rows[i].local), 0);
		assert_int_equal(strcasecmp(noting.domain, rows[i].domain), 0);
		for (const char *at = noting.local; *at != '\0'; at++)
			assert_false(*at >= 'A' && *at <= 'Z');
		for (const char *at = noting.domain; *at != '\0'; at++)
			assert_false(*at >= 'A' && *at <= 'Z');
		store_user_release(&user);
	}
}

static void
domains_have_one_spelling(void **state)
{
	static const char *const spellings[] = { "b\xc3\xbc"
						 "cher.test",
		"B\xc3\x9c"
		"CHER.Test",
		"XN--bcher-kva.test" };

	(void)state;
	for (size_t i = 0; i < sizeof(spellings) / sizeof(*spellings); i++) {
		struct noting noting = { .store = { .backend = &backend } };
		struct store_domain domain;
		struct store_user user;

		assert_int_equal(store_find_domain(&noting.store, spellings[i],
				     &domain, NULL),
		    0);
		assert_string_equal(noting.domain, "xn--bcher-kva.test");
		noting.domain[0] = '\0';
		assert_int_equal(store_find_user(&noting.store, "al",
				     spellings[i], &user, NULL),
		    0);
		assert_string_equal(noting.domain, "xn--bcher-kva.test");
	}
}

static void
domains_have_the_same_limits(void **state)
{
	static char most[STORE_DOMAIN_MAX + 2];
	struct noting noting = { .store = { .backend = &backend },
		.answer = 1 };
	struct store_domain domain;

	(void)state;
	memset(most, 'D', sizeof(most) - 1);
	assert_int_equal(
	    store_find_domain(&noting.store, "", &domain, NULL), 0);
	assert_int_equal(
	    store_find_domain(&noting.store, most, &domain, NULL), 0);
	assert_int_equal(noting.asked, 0);
	assert_int_equal(
	    store_find_domain(&noting.store, most + 1, &domain, NULL), 1);
	assert_string_equal(domain.name, "left behind");
	store_domain_release(&domain);
	assert_null(domain.name);
	assert_int_equal(
	    store_find_domain(&noting.store, "A.Test", &domain, NULL), 1);
	assert_string_equal(noting.domain, "a.test");
	store_domain_release(&domain);
}

/* Absent and could-not-tell stay what they are, and leave no memory. */
static void
answers_without_a_result(void **state)
{
	(void)state;
	for (int answer = -1; answer <= 0; answer++) {
		struct noting noting = { .store = { .backend = &backend },
			.answer = answer };
		struct error err = { "" };
		struct store_domain domain;
		struct store_user user;

		assert_int_equal(
		    store_find_domain(&noting.store, "a.test", &domain, &err),
		    answer);
		assert_null(domain.storage.data);
		assert_null(domain.name);
		assert_int_equal(
		    store_find_user(&noting.store, "al", "a.test", &user, &err),
		    answer);
		assert_null(user.storage.data);
		assert_null(user.name);
		assert_string_equal(err.text, answer == -1 ? "away" : "");
	}
}

static void
is_freed_once(void **state)
{
	struct noting noting = { .store = { .backend = &backend } };
	struct store *store = &noting.store;

	(void)state;
	store_set_max_age(store, 77);
	assert_int_equal(noting.store.max_age_ms, 77);
	store_free(&store);
	assert_null(store);
	store_free(&store);
	assert_int_equal(noting.destroyed, 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names),
		cmocka_unit_test(domains_have_one_spelling),
		cmocka_unit_test(domains_have_the_same_limits),
		cmocka_unit_test(answers_without_a_result),
		cmocka_unit_test(is_freed_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
