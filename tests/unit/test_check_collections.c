/* SPDX-License-Identifier: ISC */
/* Tests of svctool/check/collections.c. */
#include "svctool/check/check.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/check_node.h"

static void
use(struct check *check, const char *path)
{
	arg_list_add(&check->used_queues, path, strlen(path));
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
		SVC_TEST(queues_without_mail),
		SVC_TEST(settings_of_no_queue),
		SVC_TEST(queues_of_another_base),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
