/* SPDX-License-Identifier: ISC */
/* Tests of adminsrv/domain.c. */
#include "adminsrv/domain.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/admin_node.h"

static void
adds_all_that_a_domain_has(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(domain_is_complete(home, "a.test", NULL), 0);
	add("a.test", ADMIN_OK, "");
	assert_int_equal(domain_is_complete(home, "a.test", NULL), 1);
	svc_expect_file("control/virtualdomains", "a.test:a.test\n");
	svc_expect_file("control/rcpthosts", "a.test\n");
	svc_expect_file("domains/a.test/.qmail-default",
	    "| vdelivermail '' bounce-no-mailbox\n");
	admin_expect_hash("a.test", "postmaster", standard.password_hash);
	assert_int_equal(stat(folder_path("domains/a.test"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0751);
	add("a.test", ADMIN_REFUSED, "the domain 'a.test' exists already");
}

/* Whatever a killed run has not done is done by the next. */
static void
ends_what_was_begun(void **state)
{
	static const char *const parts[] = { "control/virtualdomains",
		"control/rcpthosts", "users/assign", "users/cdb",
		"domains/a.test/vpasswd", "domains/a.test/vpasswd.cdb" };

	(void)state;
	add("a.test", ADMIN_OK, "");
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		/* As before the first change, so not missing. */
		if (i < 3)
			folder_write(
			    parts[i], i == 2 ? ".\n" : "", i == 2 ? 2 : 0);
		else
			assert_int_equal(remove(folder_path(parts[i])), 0);
		if (domain_is_complete(home, "a.test", NULL) == 1)
			fail_msg("complete without %s", parts[i]);
		add("a.test", ADMIN_OK, "");
		assert_int_equal(domain_is_complete(home, "a.test", NULL), 1);
	}
}

/* What is there already is the operator's. */
static void
keeps_what_is_there(void **state)
{
	(void)state;
	svc_dir("domains/a.test");
	svc_put("domains/a.test/.qmail-default", "&x@b.test\n");
	add("a.test", ADMIN_OK, "");
	svc_expect_file("domains/a.test/.qmail-default", "&x@b.test\n");
}

/* Another meaning of the name is not changed silently. */
static void
refuses_names_that_mean_something(void **state)
{
	(void)state;
	svc_put("control/virtualdomains", "a.test:bob-a\n");
	add("a.test", ADMIN_REFUSED,
	    "control/virtualdomains sends 'a.test' to 'bob-a'");
	assert_false(svc_has("domains/a.test"));
	svc_put("control/virtualdomains", "");
	add("b.test", ADMIN_OK, "");
	add_alias("b.test", "c.test", ADMIN_OK, "");
	add("c.test", ADMIN_REFUSED, "'c.test' is an alias of 'b.test'");
}

static void
refuses_a_folder_of_others(void **state)
{
	(void)state;
	if (geteuid() != 0) {
		print_message("not root: cannot give folders away\n");
		skip();
	}
	svc_dir("domains/a.test");
	assert_int_equal(chown(folder_path("domains/a.test"), 65533, 0), 0);
	add("a.test", ADMIN_REFUSED, "is there already and belongs to uid");
	svc_expect_file("control/rcpthosts", "");
}

static void
users_for_each_level(void **state)
{
	struct domain_options options = standard;
	struct error err = { "" };

	(void)state;
	options.users_per_level = 50;
	assert_int_equal(domain_add(home, "a.test", &options, &err), ADMIN_OK);
	svc_expect_file("domains/a.test/.users_per_level", "50\n");
	add("b.test", ADMIN_OK, "");
	assert_false(svc_has("domains/b.test/.users_per_level"));
}

static void
passwords_of_postmasters(void **state)
{
	struct domain_options options = standard;

	(void)state;
	add("a.test", ADMIN_OK, "");
	admin_expect_hash("a.test", "postmaster", standard.password_hash);
	svc_put("control/rcpthosts", "");
	options.password_hash = "$6$new";
	options.keeps_postmaster = true;
	assert_int_equal(domain_add(home, "a.test", &options, NULL), ADMIN_OK);
	admin_expect_hash("a.test", "postmaster", standard.password_hash);
	svc_put("control/rcpthosts", "");
	options.keeps_postmaster = false;
	assert_int_equal(domain_add(home, "a.test", &options, NULL), ADMIN_OK);
	admin_expect_hash("a.test", "postmaster", "$6$new");
}

static void
aliases(void **state)
{
	(void)state;
	add_alias("a.test", "b.test", ADMIN_REFUSED,
	    "'a.test' is no virtual domain of its own");
	add("a.test", ADMIN_OK, "");
	add_alias("a.test", "b.test", ADMIN_OK, "");
	assert_int_equal(domain_is_complete(home, "b.test", NULL), 1);
	svc_expect_file(
	    "control/virtualdomains", "a.test:a.test\nb.test:b.test\n");
	assert_false(svc_has("domains/b.test"));
	add_alias("a.test", "b.test", ADMIN_REFUSED,
	    "'b.test' is an alias of 'a.test' already");
	/* None of an alias, and none of a domain's name. */
	add_alias("b.test", "c.test", ADMIN_REFUSED,
	    "'b.test' is itself an alias of 'a.test'");
	add("d.test", ADMIN_OK, "");
	add_alias("a.test", "d.test", ADMIN_REFUSED,
	    "'d.test' is a virtual domain with users and mail of its own");
	/* What is local would never be looked up. */
	svc_put("control/locals", "m.test\ne.test\n");
	add_alias("a.test", "e.test", ADMIN_OK, "");
	svc_expect_file("control/locals", "m.test\n");
}

static void
what_cannot_be_read_is_not_absent(void **state)
{
	struct error err = { "" };

	(void)state;
	add("a.test", ADMIN_OK, "");
	remove(folder_path("users/assign"));
	svc_dir("users/assign");
	assert_int_equal(domain_is_complete(home, "a.test", &err), -1);
	assert_string_not_equal(err.text, "");
	add("b.test", ADMIN_FAILED, "");
	assert_false(svc_has("domains/b.test"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		ADMIN_TEST(adds_all_that_a_domain_has),
		ADMIN_TEST(ends_what_was_begun),
		ADMIN_TEST(keeps_what_is_there),
		ADMIN_TEST(refuses_names_that_mean_something),
		ADMIN_TEST(refuses_a_folder_of_others),
		ADMIN_TEST(users_for_each_level),
		ADMIN_TEST(passwords_of_postmasters),
		ADMIN_TEST(aliases),
		ADMIN_TEST(what_cannot_be_read_is_not_absent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
