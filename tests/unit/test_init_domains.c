/* SPDX-License-Identifier: ISC */
/* Tests of svctool/init/domains.c. */
#include "svctool/init/init.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/admin_node.h"
#include "tests/unit/capture.h"

static void
make(struct maker *maker, const char *first, const char *second,
    const char *reason)
{
	struct init_options options = { .queues = 1 };
	struct capture capture;
	struct error err = { "" };
	int result;

	if (first != NULL)
		strlist_add(&options.domains, first);
	if (second != NULL)
		strlist_add(&options.domains, second);
	capture = capture_begin(1);
	result = init_domains(maker, &options, &err);
	free(capture_end(&capture));
	strlist_release(&options.domains);
	if (result != (*reason == '\0' ? 0 : -1) ||
	    strstr(err.text, reason) == NULL)
		fail_msg("got %d '%s', wanted '%s'", result, err.text, reason);
}

/* RFC 5321 4.5.1: postmaster at the node's own name gets mail, too. */
static void
with_the_own_name(void **state)
{
	struct maker maker = { .node = node };

	(void)state;
	svc_put("control/locals", "");
	make(&maker, NULL, NULL, "");
	assert_int_equal(maker.made, 0);
	make(&maker, "A.test", "b.test", "");
	assert_int_equal(maker.made, 3);
	svc_expect_file("control/virtualdomains",
	    "a.test:a.test\nb.test:b.test\nm.test:m.test\n");
	assert_int_equal(domain_is_complete(home, "m.test", NULL), 1);
	assert_false(svc_has("domains/m.test"));
	/* No password opens the account that nobody gave one. */
	admin_expect_hash("a.test", "postmaster", "*");
	make(&maker, "a.test", "b.test", "");
	assert_int_equal(maker.made, 3);
	assert_int_equal(maker.kept, 3);
}

/* By the operator's wish it is a local name, or another domain's. */
static void
a_name_that_is_taken(void **state)
{
	struct maker maker = { .node = node };

	(void)state;
	make(&maker, "a.test", NULL, "");
	svc_expect_file("control/locals", "m.test\n");
	svc_expect_file("control/virtualdomains", "a.test:a.test\n");
	assert_int_equal(maker.made, 1);
	assert_int_equal(maker.kept, 1);
}

static void
the_name_is_a_domain_itself(void **state)
{
	struct maker maker = { .node = node };

	(void)state;
	svc_put("control/locals", "");
	make(&maker, "m.test", NULL, "");
	assert_int_equal(maker.made, 1);
	assert_int_equal(maker.kept, 1);
	svc_expect_file("control/virtualdomains", "m.test:m.test\n");
}

static void
an_account_keeps_its_password(void **state)
{
	struct maker maker = { .node = node };

	(void)state;
	add("a.test", ADMIN_OK, "");
	svc_put("control/rcpthosts", "");
	make(&maker, "a.test", NULL, "");
	assert_int_equal(maker.made, 1);
	admin_expect_hash("a.test", "postmaster", standard.password_hash);
}

static void
faults(void **state)
{
	struct maker maker = { .node = node };

	(void)state;
	make(&maker, "a b", NULL, "'a b'");
	assert_int_equal(maker.made, 0);
	svc_put("control/me", "not a name\n");
	make(&maker, "a.test", NULL, "");
	svc_put("control/me", "@\n");
	make(&maker, "a.test", NULL, "'@'");
	assert_int_equal(domain_is_complete(home, "a.test", NULL), 1);
	/* Whatever is missing is named. */
	remove(folder_path("control/me"));
	make(&maker, "a.test", NULL, "/control/me'");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		ADMIN_TEST(with_the_own_name),
		ADMIN_TEST(a_name_that_is_taken),
		ADMIN_TEST(the_name_is_a_domain_itself),
		ADMIN_TEST(an_account_keeps_its_password),
		ADMIN_TEST(faults),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
