/* SPDX-License-Identifier: ISC */
#include "smtp/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/smtp_home.h"

static char *root;
static struct home *home;

static int
setup(void **state)
{
	(void)state;
	root = smtp_home_make();
	home = home_new();
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	home_free(&home);
	tempdir_remove(root);
	unsetenv("SERVERCERT");
	return 0;
}

static void
defaults(void **state)
{
	struct error err;
	struct smtp_config *config = smtp_config_new(home, false, &err);

	(void)state;
	assert_non_null(config);
	assert_string_equal(config->name, "mail.example.test");
	assert_int_equal(config->greeting->count, 1);
	assert_string_equal(config->greeting->items[0], "mail.example.test");
	assert_int_equal(config->databytes, 0);
	assert_int_equal(config->timeout_ms, 1200000);
	assert_int_equal(config->maxcmdlen, 1000);
	assert_null(config->tls);
	assert_null(config->from_rules);
	assert_null(config->domain_rules);
	smtp_config_release(&config);
	assert_null(config);
}

static void
checked_domains(void **state)
{
	static const struct {
		const char *text;
		bool a, b;
	} rows[] = {
		{ "", true, true },
		{ "a.example\n", true, false },
		{ "z.example\nB.EXAMPLE\nm.example\nA.example\n", true, true },
		{ "other.example\n", false, false },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct smtp_config *config;

		smtp_home_write(root, "control/chkrcptdomains", rows[i].text);
		config = smtp_config_new(home, false, NULL);
		assert_non_null(config);
		assert_int_equal(
		    smtp_config_checks_domain(config, "A.example"), rows[i].a);
		assert_int_equal(
		    smtp_config_checks_domain(config, "b.example"), rows[i].b);
		smtp_config_release(&config);
	}
}

static void
what_is_wrong_is_named(void **state)
{
	static const struct {
		const char *file, *text, *wanted;
	} rows[] = {
		{ "control/databytes", "x\n", "databytes" },
		{ "control/from.envrules", "no colon\n", "from.envrules:1" },
		{ "control/domainqueue", "a:b\n", "domainqueue:1" },
		{ "control/morercpthosts.cdb", "x", "morercpthosts.cdb" },
		{ "tls/servercert.pem", "x", "servercert.pem" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		char *path = xasprintf("%s/%s", root, rows[i].file);
		struct error err;

		smtp_home_write(root, rows[i].file, rows[i].text);
		assert_null(smtp_config_new(home, false, &err));
		if (strstr(err.text, rows[i].wanted) == NULL)
			fail_msg(
			    "'%s' is not in: %s", rows[i].wanted, err.text);
		remove(path);
		free(path);
	}
}

static void
a_name_is_needed(void **state)
{
	struct error err;

	(void)state;
	smtp_home_write(root, "control/me", "");
	assert_null(smtp_config_new(home, false, &err));
	assert_non_null(strstr(err.text, "/me"));
}

static void
a_certificate_is_needed_for_smtps(void **state)
{
	struct error err;

	(void)state;
	assert_null(smtp_config_new(home, true, &err));
	assert_non_null(strstr(err.text, "servercert.pem"));
	setenv("SERVERCERT", "/nonexistent", 1);
	assert_null(smtp_config_new(home, false, &err));
	assert_non_null(strstr(err.text, "/nonexistent"));
}

static void
the_last_reference_frees(void **state)
{
	struct smtp_config *config = smtp_config_new(home, false, NULL);
	struct smtp_config *other = smtp_config_share(config);

	(void)state;
	smtp_config_release(&config);
	assert_string_equal(other->name, "mail.example.test");
	smtp_config_release(&other); /* a leak is the sanitizer's to find */
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(defaults, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    checked_domains, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    what_is_wrong_is_named, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    a_name_is_needed, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    a_certificate_is_needed_for_smtps, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    the_last_reference_frees, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
