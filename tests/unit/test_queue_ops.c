/* SPDX-License-Identifier: ISC */
/* Tests of svctool/queue/ops.c, of queues that no process owns. */
#include "svctool/queue/ops.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/capture.h"
#include "tests/unit/queue_folder.h"
#include "tests/unit/svc_node.h"

#include "tests/unit/fresh.h"

/* Messages of states S4 and S5; one that is in both counts once. */
static void
messages(void **state)
{
	struct queue_dir *dir;
	struct error err = { "" };
	uint64_t ids[3];

	(void)state;
	dir = make_queue("queue/queue1", 3);
	svc_put("queue/queue1/mess/0/notes", "x");
	assert_int_equal(queue_messages(node, "queue1", &err), -1);
	assert_non_null(strstr(err.text, "queue1/mess/0/notes' is no message"));
	assert_int_equal(unlink(folder_path("queue/queue1/mess/0/notes")), 0);
	svc_put("queue/queue1/lock/journal.damaged.1", "x");
	assert_int_equal(queue_messages(node, "queue1", &err), -1);
	assert_non_null(
	    strstr(err.text, "queue1/lock' has 1 file that qmail-send kept"));
	assert_int_equal(
	    unlink(folder_path("queue/queue1/lock/journal.damaged.1")), 0);
	assert_int_equal(queue_messages(node, "queue1", &err), 0);
	for (size_t i = 0; i < 3; i++)
		ids[i] = put_message(dir, "mail");
	assert_int_equal(queue_messages(node, "queue1", &err), 0);
	put_file(dir, QUEUE_TODO, ids[0], "x", 1);
	put_file(dir, QUEUE_INFO, ids[1], "x", 1);
	put_file(dir, QUEUE_TODO, ids[2], "x", 1);
	put_file(dir, QUEUE_INFO, ids[2], "x", 1);
	assert_int_equal(queue_messages(node, "queue1", &err), 3);
	/* Of a queue that was killed. */
	PUT_FRESH(1764000000000000, "u7\0p8\0Fs@x\0Ta@y\0", "x");
	kill_fresh(dir);
	assert_int_equal(queue_messages(node, "queue1", &err), 4);
	queue_dir_close(&dir);
	/* Not to be counted is not none. */
	assert_int_equal(
	    file_remove_tree(folder_path("queue/queue1/todo"), &err), 0);
	assert_int_equal(queue_messages(node, "queue1", &err), -1);
	assert_int_equal(queue_messages(node, "none", &err), -1);
}

static void
is_there(void **state)
{
	struct error err = { "" };

	(void)state;
	svc_dir("queue/queue1");
	assert_int_equal(queue_must_exist(node, "queue1", &err), 0);
	assert_int_equal(queue_must_exist(node, "queue2", &err), -1);
	assert_non_null(strstr(err.text, "/queue/queue2': 'svctool status'"));
}

/* A queue of a node that does not run. */
static void
nothing_to_stop_or_to_wait_for(void **state)
{
	struct queue_dir *dir = make_queue("queue/queue1", 3);
	struct error err = { "" };
	struct capture capture;
	int stopped, waited;
	char *said;

	(void)state;
	capture = capture_begin(1);
	stopped = queue_stop(node, "queue1", 0, &err);
	waited = queue_wait_up(node, "queue1", 0, &err);
	said = capture_end(&capture);
	assert_int_equal(stopped, 0);
	assert_int_equal(waited, 0);
	assert_non_null(strstr(said, "the node is not running, so queue1 is"));
	free(said);
	queue_dir_close(&dir);
}

/* Somebody works in it: it has not stopped. */
static void
an_owned_queue_has_not_stopped(void **state)
{
	struct queue_dir *dir = make_queue("queue/queue1", 3);
	struct error err = { "" };
	int owner = queue_take(dir->path, 0, &err);

	(void)state;
	assert_int_not_equal(owner, -1);
	assert_int_equal(queue_stop(node, "queue1", 0, &err), -1);
	assert_non_null(strstr(err.text, "still has a process after 0 s"));
	close(owner);
	assert_int_equal(queue_stop(node, "queue1", 0, &err), 0);
	queue_dir_close(&dir);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		SVC_TEST(messages),
		SVC_TEST(is_there),
		SVC_TEST(nothing_to_stop_or_to_wait_for),
		SVC_TEST(an_owned_queue_has_not_stopped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
