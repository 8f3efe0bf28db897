/* SPDX-License-Identifier: ISC */
/* Tests of svctool/queue/hold.c, with a queue that shows what it was told. */
#include "svctool/queue/ops.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/capture.h"
#include "tests/unit/svc_node.h"

/* What it printed; the caller frees.  *result_out: 0 or -1. */
static char *
change(bool is_held, const struct queue_op_options *options, int *result_out,
    struct error *err)
{
	struct capture capture = capture_begin(1);

	*result_out = is_held ? queue_hold(node, "queue1", options, err)
			      : queue_release(node, "queue1", options, err);
	return capture_end(&capture);
}

/* Which files hold and release make and remove. */
static void
flags(void **state)
{
	static const struct {
		const char *name;
		bool is_held, is_local, is_remote;
		bool has_local, has_remote; /* afterwards */
		const char *said;
	} rows[] = {
		{ "hold one", true, true, false, true, false,
		    "local deliveries are held, remote deliveries go on\n" },
		{ "hold the other", true, false, true, true, true,
		    "local deliveries are held, remote deliveries are held" },
		{ "again", true, false, false, true, true, "are held\n" },
		{ "release one", false, true, false, false, true,
		    "local deliveries go on, remote deliveries are held\n" },
		{ "release both", false, true, true, false, false,
		    "local deliveries go on, remote deliveries go on\n" },
		{ "hold both", true, false, false, true, true, "are held\n" },
		{ "release all", false, false, false, false, false,
		    "local deliveries go on, remote deliveries go on\n" },
		{ "nothing held", false, false, false, false, false, "go on" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct queue_op_options options = { .timeout_s = 5,
			.is_local = rows[i].is_local,
			.is_remote = rows[i].is_remote };
		/* As its qmail-send will show it once it has read them. */
		const struct health health = { .state = HEALTH_UP,
			.is_held_local = rows[i].has_local,
			.is_held_remote = rows[i].has_remote };
		struct svc_queue up = svc_queue_up("queue1", &health);
		struct error err = { "" };
		int result;
		char *said = change(rows[i].is_held, &options, &result, &err);

		if (result != 0 || strstr(said, rows[i].said) == NULL)
			fail_msg("%s: got %d '%s', '%s'", rows[i].name, result,
			    err.text, said);
		if (svc_has("control/holdlocal.queue1") != rows[i].has_local ||
		    svc_has("control/holdremote.queue1") != rows[i].has_remote)
			fail_msg("%s: other files", rows[i].name);
		free(said);
		svc_queue_down(&up);
	}
}

static void
a_queue_that_is_down(void **state)
{
	const struct queue_op_options options = { .timeout_s = 5 };
	struct error err = { "" };
	char *said;
	int result;

	(void)state;
	svc_dir("queue/queue1/lock");
	said = change(true, &options, &result, &err);
	assert_int_equal(result, 0);
	assert_non_null(strstr(said, "counts from its next start on"));
	free(said);
	svc_expect_file("control/holdlocal.queue1", "1\n");
	svc_expect_file("control/holdremote.queue1", "1\n");
}

/* One that does not take the change is said; what was written stays. */
static void
a_queue_that_does_not_listen(void **state)
{
	const struct queue_op_options options = { .timeout_s = 0 };
	/* As if it had taken one half of it. */
	static const struct health halves[] = {
		{ .state = HEALTH_UP, .is_held_local = true },
		{ .state = HEALTH_UP, .is_held_remote = true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(halves) / sizeof(halves[0]); i++) {
		struct svc_queue up = svc_queue_up("queue1", &halves[i]);
		struct error err = { "" };
		int result;

		free(change(true, &options, &result, &err));
		assert_int_equal(result, -1);
		assert_non_null(strstr(err.text,
		    "queue1 did not take the change in 0 s: its log '"));
		assert_true(svc_has("control/holdlocal.queue1"));
		svc_queue_down(&up);
	}
}

/* Without a queue's name a setting holds every queue. */
static void
what_holds_every_queue(void **state)
{
	static const struct {
		const char *file;
		bool is_local, is_remote, is_free;
	} rows[] = {
		{ "holdlocal", true, false, false },
		{ "holdlocal", false, true, true },
		{ "holdlocal", false, false, false },
		{ "holdremote", false, true, false },
		{ "holdremote", true, false, true },
	};

	(void)state;
	svc_dir("queue/queue1/lock");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct queue_op_options options = { .timeout_s = 5,
			.is_local = rows[i].is_local,
			.is_remote = rows[i].is_remote };
		struct error err = { "" };
		char path[64], wanted[96];
		int result;

		snprintf(path, sizeof(path), "control/%s", rows[i].file);
		snprintf(
		    wanted, sizeof(wanted), "/%s', which holds every", path);
		svc_put(path, "1\n");
		free(change(false, &options, &result, &err));
		if (result != (rows[i].is_free ? 0 : -1) ||
		    (strstr(err.text, wanted) == NULL) != rows[i].is_free)
			fail_msg("row %zu: got %d '%s'", i, result, err.text);
		remove(folder_path(path));
	}
}

static void
no_such_queue(void **state)
{
	const struct queue_op_options options = { .timeout_s = 5 };
	struct error err = { "" };
	int result;

	(void)state;
	free(change(true, &options, &result, &err));
	assert_int_equal(result, -1);
	assert_non_null(strstr(err.text, "no queue '"));
	assert_false(svc_has("control/holdlocal.queue1"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		SVC_TEST(flags),
		SVC_TEST(a_queue_that_is_down),
		SVC_TEST(a_queue_that_does_not_listen),
		SVC_TEST(what_holds_every_queue),
		SVC_TEST(no_such_queue),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
