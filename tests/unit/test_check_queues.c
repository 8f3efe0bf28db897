/* SPDX-License-Identifier: ISC */
/* Tests of svctool/check/queues.c. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/mem.h"
#include "queue/dir.h"
#include "tests/unit/check_node.h"
#include "tests/unit/queue_folder.h"

enum { SPLIT = 3, ORPHAN = 999999999 };

static struct queue_dir *queue;

static int
set_up(void **state)
{
	if (svc_setup(state) != 0)
		return -1;
	/* All one user's: root needs no others then. */
	if (geteuid() == 0)
		setenv("MQMAIL_USER", "root", 1);
	queue = make_queue("queue/q", SPLIT);
	return 0;
}

static int
tear_down(void **state)
{
	unsetenv("MQMAIL_USER");
	if (queue != NULL)
		queue_dir_close(&queue);
	return svc_teardown(state);
}

static void
expect(const char *name, const char *wanted)
{
	struct check check = check_begin();

	check_queues(&check);
	check_expect(&check, name, wanted);
	check_release(&check);
}

#define RECORD "u7\0p8\0Fs@x\0Ta@y\0"

/* A message's number says in which folder it lies. */
static void
messages(void **state)
{
	uint64_t id = put_message(queue, "whole");
	char name[64], other[64], wanted[256], *got;
	struct check check;

	(void)state;
	put_file(queue, QUEUE_TODO, id, RECORD, sizeof(RECORD) - 1);
	expect("whole", "");
	snprintf(name, sizeof(name), "queue/q/mess/%u/%" PRIu64,
	    (unsigned)(id % SPLIT), id);
	snprintf(other, sizeof(other), "queue/q/mess/%u/%" PRIu64,
	    (unsigned)((id + 1) % SPLIT), id);
	assert_int_equal(rename(folder_path(name), folder_path(other)), 0);
	check = check_begin();
	check_queues(&check);
	got = check_render(&check);
	snprintf(wanted, sizeof(wanted),
	    "E ~/%s: it belongs into mess/%u (was the queue copied from one of "
	    "another split?) -- svctool queue fix q\n",
	    other, (unsigned)(id % SPLIT));
	if (strstr(got, wanted) == NULL)
		fail_msg("got '%s', wanted '%s'", got, wanted);
	free(got);
	check_release(&check);
	assert_int_equal(rename(folder_path(other), folder_path(name)), 0);
	svc_put("queue/q/mess/1/README", "not mail");
	expect("no message",
	    "W ~/queue/q/mess/1/README: it is no message -- move it away\n");
	remove(folder_path("queue/q/mess/1/README"));
	svc_put("queue/q/mess/0/.hidden", "");
	expect("hidden", "");
}

/* A number of ours, and one that a copy kept, are no inodes. */
static void
numbers_of_ours(void **state)
{
	static const uint64_t numbers[] = { 3000000000, 1764000000000000 };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		put_file(queue, QUEUE_MESS, numbers[i], "x", 1);
		put_file(
		    queue, QUEUE_TODO, numbers[i], RECORD, sizeof(RECORD) - 1);
	}
	expect("numbers", "");
}

/* What the log told once is told until somebody has mended it. */
static void
damaged_messages(void **state)
{
	(void)state;
	put_file(queue, QUEUE_MESS, 3000000000, "x", 1);
	put_file(queue, QUEUE_TODO, 3000000000, "no record", 9);
	expect("one",
	    "E ~/queue/q: 1 message cannot be delivered: 3000000000 -- "
	    "QUEUEDIR=~/queue/q qmail-qread says why, of each; mend what can "
	    "be, or move the files of that number away while the queue is "
	    "stopped\n");
	for (uint64_t id = 10; id < 16; id++) {
		put_file(queue, QUEUE_MESS, id, "x", 1);
		put_file(queue, QUEUE_TODO, id, "no record", 9);
	}
	expect("several", "E ~/queue/q: 7 messages cannot be delivered: \n");
}

static void
owners(void **state)
{
	uint64_t id = put_message(queue, "whole");
	char name[64], wanted[160];

	(void)state;
	if (geteuid() != 0) {
		print_message("not root: cannot give files away\n");
		skip();
	}
	put_file(queue, QUEUE_TODO, id, RECORD, sizeof(RECORD) - 1);
	snprintf(name, sizeof(name), "queue/q/mess/%u/%" PRIu64,
	    (unsigned)(id % SPLIT), id);
	assert_int_equal(chown(folder_path(name), 65534, 0), 0);
	snprintf(wanted, sizeof(wanted),
	    "E ~/%s: it belongs to uid 65534, and should to uid 0\n", name);
	expect("another's", wanted);
}

/* Nothing lies where it belongs then, and only the repair's end mends it. */
static void
a_repair_that_was_interrupted(void **state)
{
	(void)state;
	svc_put("queue/q/lock/" QUEUE_FIXING, "");
	remove(folder_path("queue/q/mess/1"));
	expect("interrupted",
	    "E ~/queue/q: a repair of the queue was interrupted, and nothing "
	    "works in it until that is done -- svctool queue fix q\n");
}

static void
a_queue_that_is_none(void **state)
{
	struct error err;
	struct check check;

	(void)state;
	queue_dir_close(&queue);
	assert_int_equal(file_remove_tree(folder_path("queue/q"), &err), 0);
	expect("no queues", "");
	svc_dir("queue/empty");
	check = check_begin();
	check_queues(&check);
	assert_true(check.errors > 1);
	assert_string_equal(
	    check.findings[check.count - 1].remedy, "svctool queue fix empty");
	check_release(&check);
	remove(folder_path("queue/empty"));
	remove(folder_path("queue"));
	svc_put("queue", "no folder");
	expect("no folder", "E ~/queue: cannot read folder '~/queue'\n");
}

static void
modes(void **state)
{
	static const struct {
		const char *path;
		mode_t good, bad;
	} rows[] = {
		{ "", 0755, 0777 },
		{ "/pid", 0700, 0755 },
		{ "/mess", 0700, 0750 },
		{ "/mess/0", 0700, 0750 },
		{ "/mess/2", 0700, 0701 },
		{ "/info/1", 0700, 0740 },
		{ "/local/1", 0700, 0740 },
		{ "/remote/2", 0700, 0740 },
		{ "/todo", 0700, 0710 },
		{ "/intd", 0700, 0710 },
		{ "/bounce", 0700, 0710 },
		{ "/lock", 0755, 0700 },
		{ "/lock/sendmutex", 0600, 0644 },
		{ "/lock/tcpto", 0644, 0600 },
		{ "/lock/trigger", 0622, 0600 },
	};

	(void)state;
	expect("as made", "");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char path[64], wanted[160];

		snprintf(path, sizeof(path), "queue/q%s", rows[i].path);
		assert_int_equal(chmod(folder_path(path), rows[i].bad), 0);
		snprintf(wanted, sizeof(wanted),
		    "E ~/%s: its mode is %03o, and should be %03o -- svctool "
		    "queue fix q\n",
		    path, rows[i].bad, rows[i].good);
		expect(rows[i].path, wanted);
		assert_int_equal(chmod(folder_path(path), rows[i].good), 0);
	}
}

static void
what_is_not_there(void **state)
{
	struct error err;

	(void)state;
	assert_int_equal(
	    file_remove_tree(folder_path("queue/q/todo"), &err), 0);
	remove(folder_path("queue/q/lock/trigger"));
	folder_write("queue/q/lock/trigger", "", 0);
	remove(folder_path("queue/q/info/2"));
	svc_dir("queue/q/intd/0");
	expect("several",
	    "E ~/queue/q/todo: No such file or directory -- svctool\n"
	    "E ~/queue/q/info/2: No such file or directory\n"
	    "E ~/queue/q/lock/trigger: it is not a named pipe -- svctool\n"
	    "E ~/queue/q/intd/0: the folder is split, as another system's, "
	    "and the mail in it waits\n");
}

static void
types(void **state)
{
	struct error err;

	(void)state;
	assert_int_equal(
	    file_remove_tree(folder_path("queue/q/bounce"), &err), 0);
	assert_int_equal(symlink("mess", folder_path("queue/q/bounce")), 0);
	remove(folder_path("queue/q/lock/tcpto"));
	svc_dir("queue/q/lock/tcpto");
	expect("others",
	    "E ~/queue/q/bounce: it is not a folder\n"
	    "E ~/queue/q/lock/tcpto: it is not a file\n");
}

#define QUEUE_TEST(name) \
	cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		QUEUE_TEST(messages),
		QUEUE_TEST(numbers_of_ours),
		QUEUE_TEST(damaged_messages),
		QUEUE_TEST(owners),
		QUEUE_TEST(a_repair_that_was_interrupted),
		QUEUE_TEST(a_queue_that_is_none),
		QUEUE_TEST(modes),
		QUEUE_TEST(what_is_not_there),
		QUEUE_TEST(types),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
