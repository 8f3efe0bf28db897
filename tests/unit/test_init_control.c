/* SPDX-License-Identifier: ISC */
/* Tests of svctool/init/control.c. */
#include "svctool/init/init.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/capture.h"
#include "tests/unit/svc_node.h"

static char me[] = "m.test";

/* A node's folder without anything in it. */
static int
set_up(void **state)
{
	struct error err;

	if (svc_setup(state) != 0 || file_remove_tree(folder, &err) == -1)
		return -1;
	return file_make_dirs(folder, 0755, &err);
}

static void
quietly(
    int (*step)(struct maker *, const struct init_options *, struct error *),
    struct maker *maker, const struct init_options *options)
{
	struct capture capture = capture_begin(1);
	struct error err = { "" };
	int result = step(maker, options, &err);

	free(capture_end(&capture));
	if (result == -1)
		fail_msg("%s", err.text);
}

static void
make(struct maker *maker, const struct init_options *options)
{
	quietly(init_folders, maker, options);
	quietly(init_control, maker, options);
}

static void
without_a_domain(void **state)
{
	const struct init_options options = { .me = me, .queues = 3 };
	struct maker maker = { .node = node };

	(void)state;
	make(&maker, &options);
	svc_expect_file("control/me", "m.test\n");
	svc_expect_file("control/locals", "m.test\n");
	svc_expect_file("control/rcpthosts", "m.test\n");
	svc_expect_file("control/virtualdomains", "");
	svc_expect_file("control/queue_count", "3\n");
	svc_expect_file("users/assign", ".\n");
	assert_false(svc_has("control/envnoathost"));
	assert_false(svc_has("control/global_vars/MQMAIL_USER"));
	assert_false(svc_has("control/global_vars/DOMAINDIR"));
	assert_true(svc_has("users/cdb"));
	/* The folder of all was there. */
	assert_int_equal(maker.kept, 1);
}

/* Mail of our own goes to the first domain, whose postmaster is read. */
static void
with_domains(void **state)
{
	struct init_options options = { .me = me, .queues = 1, .user = "al" };
	struct maker maker = { .node = node };

	(void)state;
	strlist_add(&options.domains, "a.test");
	strlist_add(&options.domains, "b.test");
	setenv("DOMAINDIR", "elsewhere", 1);
	make(&maker, &options);
	unsetenv("DOMAINDIR");
	svc_expect_file("control/locals", "");
	svc_expect_file("control/rcpthosts", "");
	svc_expect_file("control/envnoathost", "a.test\n");
	svc_expect_file("control/doublebouncehost", "a.test\n");
	svc_expect_file("control/global_vars/MQMAIL_USER", "al\n");
	svc_expect_file("control/global_vars/DOMAINDIR", "elsewhere\n");
	strlist_release(&options.domains);
}

/* Run again, it changes nothing that an operator wrote. */
static void
again(void **state)
{
	const struct init_options first = { .me = me, .queues = 1 };
	const struct init_options second = { .me = me, .queues = 9 };
	struct maker maker = { .node = node };
	unsigned made;

	(void)state;
	make(&maker, &first);
	svc_put("control/me", "other.test\n");
	remove(folder_path("control/locals"));
	made = maker.made;
	make(&maker, &second);
	svc_expect_file("control/me", "other.test\n");
	svc_expect_file("control/queue_count", "1\n");
	svc_expect_file("control/locals", "m.test\n");
	assert_int_equal(maker.made, made + 1);
	assert_int_not_equal(maker.kept, 0);
}

static void
a_bad_assign_is_said(void **state)
{
	const struct init_options options = { .me = me, .queues = 1 };
	struct maker maker = { .node = node };
	struct capture capture;
	struct error err = { "" };
	int result;

	(void)state;
	quietly(init_folders, &maker, &options);
	svc_put("users/assign", "junk\n.\n");
	capture = capture_begin(1);
	result = init_control(&maker, &options, &err);
	free(capture_end(&capture));
	assert_int_equal(result, -1);
	if (strstr(err.text, "users/assign:1: ") == NULL)
		fail_msg("got '%s'", err.text);
	assert_false(svc_has("users/cdb"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, svc_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(without_a_domain),
		TEST(with_domains),
		TEST(again),
		TEST(a_bad_assign_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
