/* SPDX-License-Identifier: ISC */
/* Tests of svctool/check/settings.c. */
#include "svctool/check/check.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/check_node.h"

static struct check
run(void)
{
	struct check check = { .node = node };

	check_settings(&check);
	return check;
}

static void
values(void **state)
{
	struct check check = run();

	(void)state;
	check_expect(&check, "as made", "");
	assert_int_equal(settings_number(check.settings, SETTING_databytes), 0);
	check_release(&check);

	svc_put("control/databytes", "many\n");
	svc_put("control/rcpthosts", "a.test\nb@c\n");
	check = run();
	check_expect(&check, "two wrong ones",
	    "E ~/control/rcpthosts:2: 'b@c' is not a domain -- write for "
	    "example example.org\n"
	    "E ~/control/databytes:1: 'many' is not a number of bytes -- "
	    "write a whole number\n");
	assert_int_equal(check.errors, 2);
	assert_false(check.has_bad_count);
	/* In their place stand the defaults. */
	assert_int_equal(settings_number(check.settings, SETTING_databytes), 0);
	check_release(&check);
}

/* Then nobody may be told that a queue is not counted. */
static void
a_bad_count_is_noted(void **state)
{
	static const char *const names[] = { "queue_count", "queue_start",
		"queue_base" };

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct check check;
		char path[64];

		snprintf(path, sizeof(path), "control/%s", names[i]);
		svc_put(path, "x\n");
		check = run();
		assert_int_equal(check.errors, 1);
		assert_true(check.has_bad_count);
		check_release(&check);
		remove(folder_path(path));
	}
}

/* A general mistake is said once; that of one queue, at its file. */
static void
settings_of_queues(void **state)
{
	struct check check;

	(void)state;
	svc_dir("queue/queue1");
	svc_dir("queue/queue2");
	svc_put("control/holdremote", "maybe\n");
	svc_put("control/holdlocal.queue2", "2\n");
	check = run();
	check_expect(&check, "queues",
	    "E ~/control/holdremote:1: 'maybe' is neither 0 nor 1 -- write 1\n"
	    "E ~/control/holdlocal.queue2:1: '2' is neither 0 nor 1\n");
	check_release(&check);
}

static void
files_that_nobody_reads(void **state)
{
	struct check check;

	(void)state;
	svc_put("control/databites", "1\n");
	svc_put("control/me~", "old\n");
	svc_put("control/.hidden", "");
	svc_dir("control/folder");
	check = run();
	check_expect(&check, "unknown",
	    "W ~/control/databites: no program of this node reads it: is the "
	    "name spelt right? -- rename it to a name of mqmail-control(5), "
	    "or rm '~/control/databites'\n");
	assert_int_equal(check.errors, 0);
	assert_int_equal(check.warnings, 1);
	check_release(&check);
}

static void
folders_that_cannot_be_read(void **state)
{
	struct check check;

	(void)state;
	assert_int_equal(remove(folder_path("queue")), 0);
	svc_put("queue", "no folder");
	check = run();
	check_expect(&check, "no folder",
	    "E ~/queue: cannot read folder '~/queue': Not a directory -- run "
	    "this as its owner or root\n");
	check_release(&check);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		SVC_TEST(values),
		SVC_TEST(a_bad_count_is_noted),
		SVC_TEST(settings_of_queues),
		SVC_TEST(files_that_nobody_reads),
		SVC_TEST(folders_that_cannot_be_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
