/* SPDX-License-Identifier: ISC */
/* Tests of adminsrv/domain_remove.c. */
#include "adminsrv/domain.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/admin_node.h"

static void
take_away(const char *domain, bool keep_mail, enum admin_result wanted,
    const char *reason)
{
	struct error err = { "" };
	enum admin_result got;
	struct buf left;

	buf_init(&left);
	got = domain_remove(home, domain, keep_mail, false, &left, &err);
	if (got != wanted ||
	    strstr(got == ADMIN_OK ? left.data : err.text, reason) == NULL)
		fail_msg("removing %s: got %d '%s', '%s', wanted %d '%s'",
		    domain, (int)got, err.text, left.data, (int)wanted, reason);
	if (got == ADMIN_OK && *reason == '\0')
		assert_string_equal(left.data, "");
	buf_release(&left);
}

static void
nothing_stays(void **state)
{
	(void)state;
	add("a.test", ADMIN_OK, "");
	add("b.test", ADMIN_OK, "");
	svc_put("domains/a.test/postmaster/Maildir/new/1", "mail");
	take_away("a.test", false, ADMIN_OK, "");
	assert_int_equal(domain_is_complete(home, "a.test", NULL), 0);
	svc_expect_file("control/virtualdomains", "b.test:b.test\n");
	svc_expect_file("control/rcpthosts", "b.test\n");
	assert_false(svc_has("domains/a.test"));
	assert_false(svc_has("domains/.removed.a.test"));
	assert_int_equal(domain_is_complete(home, "b.test", NULL), 1);
	take_away("a.test", false, ADMIN_REFUSED, "no virtual domain 'a.test'");
	take_away("none.test", true, ADMIN_REFUSED, "no virtual domain");
}

static void
mail_may_be_kept(void **state)
{
	(void)state;
	add("a.test", ADMIN_OK, "");
	svc_put("domains/a.test/postmaster/Maildir/new/1", "mail");
	take_away("a.test", true, ADMIN_OK, "");
	assert_int_equal(domain_is_complete(home, "a.test", NULL), 0);
	assert_true(svc_has("domains/a.test/postmaster/Maildir/new/1"));
	take_away("a.test", true, ADMIN_REFUSED, "no virtual domain");
	/* It is taken over when it is made again, and may go then. */
	add("a.test", ADMIN_OK, "");
	assert_true(svc_has("domains/a.test/postmaster/Maildir/new/1"));
	take_away("a.test", false, ADMIN_OK, "");
	assert_false(svc_has("domains/a.test"));
}

/* The folder of what was kept can be removed later, by the same command. */
static void
kept_mail_may_go_later(void **state)
{
	(void)state;
	add("a.test", ADMIN_OK, "");
	take_away("a.test", true, ADMIN_OK, "");
	take_away("a.test", false, ADMIN_OK, "");
	assert_false(svc_has("domains/a.test"));
}

/* An alias goes alone; its domain takes all of them with it. */
static void
aliases(void **state)
{
	(void)state;
	add("a.test", ADMIN_OK, "");
	add_alias("a.test", "b.test", ADMIN_OK, "");
	add_alias("a.test", "c.test", ADMIN_OK, "");
	take_away("b.test", false, ADMIN_OK, "");
	assert_int_equal(domain_is_complete(home, "a.test", NULL), 1);
	assert_int_equal(domain_is_complete(home, "c.test", NULL), 1);
	assert_int_equal(domain_is_complete(home, "b.test", NULL), 0);
	assert_true(svc_has("domains/a.test/vpasswd"));
	take_away("a.test", false, ADMIN_OK, "");
	svc_expect_file("control/virtualdomains", "");
	svc_expect_file("control/rcpthosts", "");
	svc_expect_file("users/assign", ".\n");
	assert_false(svc_has("domains/a.test"));
}

/* Settings that still name it are said, and left to the operator. */
static void
what_is_left_is_said(void **state)
{
	(void)state;
	add("a.test", ADMIN_OK, "");
	svc_put("control/envnoathost", "a.test\n");
	take_away("a.test", false, ADMIN_OK, "envnoathost");
	svc_expect_file("control/envnoathost", "a.test\n");
}

/* A run that was killed in between: the next ends it. */
static void
ends_what_was_begun(void **state)
{
	(void)state;
	/* Lines gone, the folder renamed away. */
	add("a.test", ADMIN_OK, "");
	svc_put("control/virtualdomains", "");
	svc_put("control/rcpthosts", "");
	assert_int_equal(rename(folder_path("domains/a.test"),
			     folder_path("domains/.removed.a.test")),
	    0);
	take_away("a.test", false, ADMIN_OK, "");
	assert_false(svc_has("domains/.removed.a.test"));
	svc_expect_file("users/assign", ".\n");
	/* An older rest in the way of a new removal. */
	add("a.test", ADMIN_OK, "");
	svc_put("domains/.removed.a.test/x", "old");
	take_away("a.test", false, ADMIN_OK, "");
	assert_false(svc_has("domains/.removed.a.test"));
	assert_false(svc_has("domains/a.test"));
}

/* A system user's line looks the same, and the folder is not a domain's. */
static void
folders_of_others_stay(void **state)
{
	char line[200];

	(void)state;
	svc_put("elsewhere/file", "x");
	snprintf(line, sizeof(line), "+a.test-:a.test:0:0:%s:-::\n.\n",
	    folder_path("elsewhere"));
	svc_put("users/assign", line);
	take_away("a.test", false, ADMIN_OK, "");
	assert_true(svc_has("elsewhere/file"));
	svc_expect_file("users/assign", ".\n");
}

static void
links_lead_nowhere(void **state)
{
	(void)state;
	add("a.test", ADMIN_OK, "");
	svc_put("elsewhere/file", "x");
	assert_int_equal(symlink(folder_path("elsewhere"),
			     folder_path("domains/a.test/postmaster/link")),
	    0);
	take_away("a.test", false, ADMIN_OK, "");
	assert_true(svc_has("elsewhere/file"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		ADMIN_TEST(nothing_stays),
		ADMIN_TEST(mail_may_be_kept),
		ADMIN_TEST(kept_mail_may_go_later),
		ADMIN_TEST(aliases),
		ADMIN_TEST(what_is_left_is_said),
		ADMIN_TEST(ends_what_was_begun),
		ADMIN_TEST(folders_of_others_stay),
		ADMIN_TEST(links_lead_nowhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
