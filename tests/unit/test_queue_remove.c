/* SPDX-License-Identifier: ISC */
/* Tests of svctool/queue/remove.c, of queues that no process owns. */
#include "svctool/queue/ops.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <sys/file.h>

#include "tests/unit/capture.h"
#include "tests/unit/queue_folder.h"
#include "tests/unit/svc_node.h"

static const struct queue_op_options options = { .timeout_s = 5 };

static void
put_queue(const char *name)
{
	struct error err = { "" };
	char path[64];

	snprintf(path, sizeof(path), "queue/%s", name);
	if (quiet_fix(folder_path(path), 3, false, &err) == -1)
		fail_msg("%s", err.text);
	snprintf(path, sizeof(path), "service/%s/variables", name);
	svc_dir(path);
}

static void
take_away(const char *name, const char *reason) /* "": it goes */
{
	struct capture capture = capture_begin(1);
	struct error err = { "" };
	int result = queue_remove(node, name, &options, &err);
	char *said = capture_end(&capture), path[64];

	free(said);
	if (result != (*reason == '\0' ? 0 : -1) ||
	    strstr(err.text, reason) == NULL)
		fail_msg("%s: got %d '%s', wanted '%s'", name, result, err.text,
		    reason);
	snprintf(path, sizeof(path), "queue/%s", name);
	assert_int_equal(svc_has(path), *reason != '\0');
	snprintf(path, sizeof(path), "service/%s", name);
	assert_int_equal(svc_has(path), *reason != '\0');
}

/* Queues are numbered without a gap, and one stays. */
static void
which_may_go(void **state)
{
	(void)state;
	svc_put("control/queue_count", "3\n");
	put_queue("queue1");
	put_queue("queue2");
	put_queue("queue3");
	put_queue("slowq");
	put_queue("queue9");
	take_away("queue1", "numbered without a gap: remove queue3 first");
	take_away("queue2", "remove queue3 first");
	svc_expect_file("control/queue_count", "3\n");
	take_away("slowq", "");
	take_away("queue9", "");
	svc_expect_file("control/queue_count", "3\n");
	take_away("queue3", "");
	svc_expect_file("control/queue_count", "2\n");
	take_away("queue2", "");
	svc_expect_file("control/queue_count", "1\n");
	take_away("queue1", "queue1 is the only queue: nothing is removed");
	svc_expect_file("control/queue_count", "1\n");
}

static void
which_are_not_there(void **state)
{
	struct error err = { "" };

	(void)state;
	assert_int_equal(queue_remove(node, "queue7", &options, &err), -1);
	assert_non_null(strstr(err.text, "no queue '"));
}

/* Queued, or tried already: while nobody delivers it, it stays. */
static void
mail_stays(void **state)
{
	static const enum queue_folder folders[] = { QUEUE_TODO, QUEUE_INFO };

	(void)state;
	svc_put("control/queue_count", "1\n");
	put_queue("queue1");
	for (size_t i = 0; i < 2; i++) {
		struct queue_dir *dir;
		struct error err;
		uint64_t id;

		put_queue("slowq");
		dir = queue_dir_open(folder_path("queue/slowq"), &err);
		id = put_message(dir, "mail");
		put_file(dir, folders[i], id, "x", 1);
		take_away("slowq",
		    "slowq holds 1 messages, and nothing is "
		    "removed");
		assert_true(has_file(dir, QUEUE_MESS, id, ""));
		queue_unlink(dir, folders[i], id);
		queue_dir_close(&dir);
		/* A file in mess/ alone was accepted from nobody. */
		take_away("slowq", "");
	}
}

static void
its_settings_go_with_it(void **state)
{
	static const char *const files[] = { "control/holdlocal.slowq",
		"control/holdremote.slowq", "control/concurrencyl.slowq",
		"control/concurrencyr.slowq", "control/concurrencylocal.slowq",
		"control/journalsize.slowq", "control/locals.slowq",
		"run/qmail-send.slowq.pid" };

	(void)state;
	svc_put("control/queue_count", "1\n");
	put_queue("queue1");
	put_queue("slowq");
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		svc_put(files[i], "1\n");
	svc_put("control/holdlocal.queue1", "1\n");
	svc_put("log/slowq/current", "delivered\n");
	take_away("slowq", "");
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		if (svc_has(files[i]))
			fail_msg("%s", files[i]);
	assert_true(svc_has("control/holdlocal.queue1"));
	assert_true(svc_has("log/slowq/current"));
}

/* Its supervise and its qmail-send, to which mail comes while it stops. */
struct last_moment {
	int control, lock;
};

/* Others, as that a setting has changed, come too. */
static void
wait_letter(const struct last_moment *moment, char wanted)
{
	char letter = '\0';

	while (letter != wanted)
		if (read(moment->control, &letter, 1) != 1)
			usleep(1000);
}

static void *
take_mail_and_end(void *argument)
{
	struct last_moment *moment = argument;
	struct queue_dir *dir = queue_dir_open(
	    folder_path("queue/queue2"), NULL);

	wait_letter(moment, 'd'); /* it is to end */
	put_file(dir, QUEUE_TODO, put_message(dir, "mail"), "x", 1);
	queue_dir_close(&dir);
	close(moment->lock);
	wait_letter(moment, 'u'); /* it goes on */
	return NULL;
}

static void
mail_of_the_last_moment_stays(void **state)
{
	struct last_moment moment;
	pthread_t thread;
	int alive;

	(void)state;
	svc_put("control/queue_count", "2\n");
	put_queue("queue1");
	put_queue("queue2");
	svc_dir("service/queue2/supervise");
	assert_int_equal(
	    mkfifo(folder_path("service/queue2/supervise/ok"), 0600), 0);
	assert_int_equal(
	    mkfifo(folder_path("service/queue2/supervise/control"), 0600), 0);
	alive = open(
	    folder_path("service/queue2/supervise/ok"), O_RDONLY | O_NONBLOCK);
	moment.control = open(folder_path("service/queue2/supervise/control"),
	    O_RDWR | O_NONBLOCK);
	moment.lock = open(folder_path("queue/queue2/lock/sendmutex"), O_RDWR);
	assert_true(alive != -1 && moment.control != -1);
	assert_int_equal(flock(moment.lock, LOCK_EX), 0);
	assert_int_equal(
	    pthread_create(&thread, NULL, take_mail_and_end, &moment), 0);
	take_away("queue2", "queue2 holds 1 messages, and nothing is removed");
	pthread_join(thread, NULL);
	svc_expect_file("control/queue_count", "2\n");
	close(moment.control);
	close(alive);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		SVC_TEST(which_may_go),
		SVC_TEST(which_are_not_there),
		SVC_TEST(mail_stays),
		SVC_TEST(mail_of_the_last_moment_stays),
		SVC_TEST(its_settings_go_with_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
