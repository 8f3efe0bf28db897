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

static void
use(struct check *check, const char *path)
{
	strlist_add(&check->used_queues, path);
}

/* A numbered queue that nothing counts gets no mail; others may wait. */
static void
queues_without_mail(void **state)
{
	struct check check;

	(void)state;
	svc_dir("queue/queue1");
	svc_dir("queue/queue2");
	svc_dir("queue/slowq");
	check = check_begin();
	use(&check, folder_path("queue/queue1"));
	check_collections(&check);
	check_expect(&check, "one of three",
	    "W ~/queue/queue2: no queue_count, variable or rule counts this "
	    "queue, so it gets no new mail -- svctool queue add queue2, or "
	    "svctool queue remove queue2\n");
	check_release(&check);

	/* Not known is not none. */
	check = check_begin();
	check.has_bad_count = true;
	check_collections(&check);
	check_expect(&check, "a bad count", "");
	check_release(&check);
}

static void
settings_of_no_queue(void **state)
{
	static const struct {
		const char *file;
		bool is_found; /* while there is only queue1 */
	} rows[] = {
		{ "holdlocal.queue1", false },
		{ "holdlocal.queue9", true },
		{ "holdremote.queue9", true },
		{ "concurrencyl.queue9", true },
		{ "concurrencyr.queue9", true },
		{ "concurrencylocal.queue9", true },
		{ "queuelifetime.queue9", true },
		{ "concurrencyx.queue9", false },
		{ "holdlocal.queue9~", false },
		{ "holdlocal.", false },
		{ ".holdlocal", false },
		{ "databytes.queue9", false }, /* not qmail-send's */
		{ "from.envrules", false },
		{ "tcp.smtp", false },
	};

	(void)state;
	svc_dir("queue/queue1");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct check check = check_begin();
		char path[64], wanted[256];

		snprintf(path, sizeof(path), "control/%s", rows[i].file);
		svc_put(path, "1\n");
		snprintf(wanted, sizeof(wanted),
		    "W ~/%s: it is for the queue 'queue9', which does not "
		    "exist -- rm '~/%s'\n",
		    path, path);
		use(&check, folder_path("queue/queue1"));
		check_collections(&check);
		check_expect(
		    &check, rows[i].file, rows[i].is_found ? wanted : "");
		check_release(&check);
		remove(folder_path(path));
	}
}

/* Queues elsewhere, by QUEUE_BASE, have settings here too. */
static void
queues_of_another_base(void **state)
{
	static const struct {
		const char *path;
		bool is_found;
	} rows[] = {
		{ "/elsewhere/queue9", false },
		{ "/elsewhere/queue8", true },
		/* Ours were listed: this one was, and is not there. */
		{ "~/queue/queue9", true },
		/* As far away as /elsewhere, whatever the name begins with. */
		{ "~/queues/queue9", false },
		{ "queue9", true },
	};

	(void)state;
	svc_put("control/holdlocal.queue9", "1\n");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct check check = check_begin();

		use(&check,
		    rows[i].path[0] == '~' ? folder_path(rows[i].path + 2)
					   : rows[i].path);
		check_collections(&check);
		check_expect(&check, rows[i].path,
		    rows[i].is_found ? "it is for the queue 'queue9'\n" : "");
		check_release(&check);
	}
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
		SVC_TEST(queues_without_mail),
		SVC_TEST(settings_of_no_queue),
		SVC_TEST(queues_of_another_base),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
