/* SPDX-License-Identifier: ISC */
/* Tests of control/tlspolicy.c. */
#include "control/tlspolicy.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/folder.h"

static void
put(const char *name, const char *text)
{
	folder_write(name, text, strlen(text));
}

static void
test_lines(void **state)
{
	static const struct {
		const char *line, *key;
		enum tlspolicy_word word;
		size_t names;
	} rows[] = {
		{ "Example.org:may", "example.org", TLSPOLICY_MAY, 0 },
		{ ".example.org:none", ".example.org", TLSPOLICY_NONE, 0 },
		{ "*:encrypt", "*", TLSPOLICY_ENCRYPT, 0 },
		{ "a.test:verify", "a.test", TLSPOLICY_VERIFY, 0 },
		{ "a.test:verify:B.test,c.test", "a.test", TLSPOLICY_VERIFY,
		    2 },
		{ "a.test:dane", "a.test", TLSPOLICY_DANE, 0 },
		{ "a.test:dane-only", "a.test", TLSPOLICY_DANE_ONLY, 0 },
		{ "a.test:mta-sts", "a.test", TLSPOLICY_MTA_STS, 0 },
		{ "b\xc3\xbc.test:may", "xn--b-eha.test", TLSPOLICY_MAY, 0 },
	};
	struct tlspolicy policy;
	struct error err;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(
		    tlspolicy_read(rows[i].line, &policy, &err), 0);
		assert_string_equal(policy.key, rows[i].key);
		assert_int_equal(policy.word, rows[i].word);
		assert_int_equal(policy.names.count, rows[i].names);
		tlspolicy_release(&policy);
	}
}

static void
test_wrong_lines(void **state)
{
	static const char *const lines[] = { "", ":may", "a.test",
		"a.test:", "a.test:maybe", "a.test:may:b.test",
		"a.test:verify:", "a.test:verify:b,,c", "a b:may",
		"a.test:verify:.b.test", ".:may", "*.a.test:may",
		"a.test:verify:b.test:c" };
	struct tlspolicy policy;
	struct error err;

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		if (tlspolicy_read(lines[i], &policy, &err) == 0)
			fail_msg("taken: '%s'", lines[i]);
		assert_non_null(strstr(err.text, "; write"));
	}
}

static void
check_found(const struct tlspolicies *policies, const char *domain,
    const char *key, enum tlspolicy_word word)
{
	const struct tlspolicy *policy = tlspolicies_find(policies, domain);

	assert_string_equal(policy->key, key);
	assert_int_equal(policy->word, word);
}

static void
test_the_longest_key_counts(void **state)
{
	struct settings *settings;
	struct tlspolicies *policies;
	struct error err;

	(void)state;
	put("me", "m.test\n");
	put("tlspolicy",
	    "a.test:encrypt\n.a.test:may\n.b.a.test:none\nc.test:verify\n");
	put("tlsadomains", "c.test:25\nd.test:25\n");
	put("notlshosts", "MX.a.test\n.off.test\n");
	settings = settings_load(folder, "qmail-remote", NULL, &err);
	assert_non_null(settings);
	policies = tlspolicies_new(settings);
	check_found(policies, "a.test", "a.test", TLSPOLICY_ENCRYPT);
	check_found(policies, "x.a.test", ".a.test", TLSPOLICY_MAY);
	check_found(policies, "b.a.test", ".a.test", TLSPOLICY_MAY);
	check_found(policies, "y.b.a.test", ".b.a.test", TLSPOLICY_NONE);
	check_found(policies, "c.test", "c.test", TLSPOLICY_VERIFY);
	check_found(policies, "d.test", "d.test", TLSPOLICY_DANE);
	check_found(policies, "e.test", "", TLSPOLICY_DANE);
	assert_true(tlspolicies_has_no_tls(policies, "mx.A.test"));
	assert_true(tlspolicies_has_no_tls(policies, "x.off.test"));
	assert_false(tlspolicies_has_no_tls(policies, "off.test"));
	tlspolicies_free(&policies);
	settings_free(&settings);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_wrong_lines),
		cmocka_unit_test_setup_teardown(
		    test_the_longest_key_counts, folder_setup, folder_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
