/* SPDX-License-Identifier: ISC */
/* Tests of svctool/init/existing.c. */
#include "svctool/init/init.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/svc_node.h"

/* A node that is there: with a service, and two queues counted. */
static int
set_up(void **state)
{
	if (svc_setup(state) != 0)
		return -1;
	svc_put("control/queue_count", "2\n");
	svc_put("control/rcpthosts", "a.test\n");
	svc_dir("service/queue1");
	return 0;
}

static void
expect(const char *name, struct init_options *options, const char *reason)
{
	struct error err = { "" };
	int result = init_take_existing(node, options, &err);

	if (result != (*reason == '\0' ? 0 : -1) ||
	    strstr(err.text, reason) == NULL)
		fail_msg("%s: got %d '%s', wanted '%s'", name, result, err.text,
		    reason);
}

static void
names(void **state)
{
	static const struct {
		const char *text; /* NULL: no file */
		int wanted;
		const char *me; /* or what the reason holds */
	} rows[] = {
		{ "m.test\n", 1, "m.test" },
		{ "M.Test", 1, "m.test" },
		{ "m.test \t\nmore\n", 1, "m.test" },
		{ "m.test\r\n", 1, "m.test" },
		{ NULL, 0, "" },
		{ "", -1, "/control/me' is to hold the node's host name" },
		{ "@\n", -1, "/control/me' is to hold the node's host name" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char me[NAMES_DOMAIN_SIZE] = "";
		struct error err = { "" };
		int got;

		if (rows[i].text != NULL)
			svc_put("control/me", rows[i].text);
		else
			remove(folder_path("control/me"));
		got = init_read_me(node, me, &err);
		if (got != rows[i].wanted ||
		    strstr(got == -1 ? err.text : me, rows[i].me) == NULL)
			fail_msg(
			    "row %zu: got %d '%s' '%s'", i, got, me, err.text);
	}
}

/* What the node says goes over what this host is called. */
static void
takes_over(void **state)
{
	struct init_options options = { .me = strdup("host.test"),
		.queues = INIT_UNSAID };

	(void)state;
	svc_put("control/queue_start", "5\n");
	expect("there", &options, "");
	assert_true(options.is_existing);
	assert_string_equal(options.me, "m.test");
	assert_int_equal(options.queues, 2);
	assert_int_equal(options.queue_start, 5);
	assert_false(options.has_other_base);
	svc_put("control/queue_base", "/elsewhere\n");
	expect("another base", &options, "");
	assert_true(options.has_other_base);
	free(options.me);
}

static void
a_new_node(void **state)
{
	struct init_options options = { .queues = 7 };
	struct error err;

	(void)state;
	assert_int_equal(
	    file_remove_tree(folder_path("service/queue1"), &err), 0);
	remove(folder_path("control/rcpthosts"));
	expect("new", &options, "");
	assert_false(options.is_existing);
	assert_int_equal(options.queues, 7);
	assert_null(options.me);
}

static void
more_queues(void **state)
{
	struct init_options options = { .me = NULL, .queues = 3 };

	(void)state;
	expect("more", &options, "--queues 3: the node has 2 (");
	options.queues = 2;
	expect("as many", &options, "");
	options.queues = 1;
	expect("fewer", &options, "");
	assert_int_equal(options.queues, 2);
	svc_put("control/queue_count", "many\n");
	expect("bad count", &options, "/control/queue_count:1: 'many' is not");
	free(options.me);
}

/* What only the operator can know is not made up. */
static void
what_was_lost(void **state)
{
	struct init_options options = { .queues = INIT_UNSAID };

	(void)state;
	remove(folder_path("control/me"));
	expect("no name", &options, "has lost its host name, '");
	options.me = strdup("given.test");
	expect("a name that is given", &options, "");
	assert_string_equal(options.me, "given.test");
	remove(folder_path("control/rcpthosts"));
	expect("no rcpthosts", &options, "the node has lost '");
	free(options.me);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, svc_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(names),
		TEST(takes_over),
		TEST(a_new_node),
		TEST(more_queues),
		TEST(what_was_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
