/* SPDX-License-Identifier: ISC */
/*
 * Tests of svctool/queue/add.c with folders that are there already, in a node
 * that does not run; new ones are in
 * tests/integration/test_44_svctool_queue.py.
 */
#include "svctool/queue/ops.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/capture.h"
#include "tests/unit/svc_node.h"

static const struct queue_op_options options = { .timeout_s = 5 };

/* What it printed; the caller frees. */
static char *
add(const char *name, int *result_out, struct error *err)
{
	struct capture capture = capture_begin(1);

	*result_out = queue_add(node, name, &options, err);
	return capture_end(&capture);
}

/* Counted when it is the next one; never with a gap. */
static void
numbers(void **state)
{
	static const struct {
		const char *name, *reason, *said; /* reason "": it is added */
		const char *count;                /* afterwards */
	} rows[] = {
		{ "queue4", "without a gap: the next one is queue3", "",
		    "2\n" },
		{ "queue3", "", "the node is not running", "3\n" },
		{ "slowq", "", "the node is not running", "3\n" },
		{ "slowq", "", "slowq is already there", "3\n" },
		{ "queue1", "", "the node is not running", "3\n" },
		{ "queue04", "", "the node is not running", "3\n" },
		{ "queue4", "", "the node is not running", "4\n" },
	};

	(void)state;
	if (geteuid() == 0)
		setenv("MQMAIL_USER", "root", 1);
	svc_put("control/queue_count", "2\n");
	svc_dir("queue/queue1");
	svc_dir("queue/queue2");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct error err = { "" };
		char path[64], *said;
		int result;

		if (*rows[i].reason == '\0') {
			snprintf(path, sizeof(path), "queue/%s", rows[i].name);
			svc_dir(path);
		}
		said = add(rows[i].name, &result, &err);
		if (result != (*rows[i].reason == '\0' ? 0 : -1) ||
		    strstr(err.text, rows[i].reason) == NULL ||
		    strstr(said, rows[i].said) == NULL)
			fail_msg("%s: got %d '%s', '%s'", rows[i].name, result,
			    err.text, said);
		svc_expect_file("control/queue_count", rows[i].count);
		snprintf(path, sizeof(path), "service/%s/run", rows[i].name);
		assert_int_equal(svc_has(path), *rows[i].reason == '\0');
		free(said);
	}
}

/* A count that is not known is not changed. */
static void
a_bad_count(void **state)
{
	struct error err = { "" };
	int result;

	(void)state;
	svc_put("control/queue_count", "many\n");
	svc_dir("queue/queue1");
	free(add("queue1", &result, &err));
	assert_int_equal(result, -1);
	assert_non_null(strstr(err.text, "/control/queue_count:1: "));
	svc_expect_file("control/queue_count", "many\n");
	assert_false(svc_has("service/queue1"));
}

/* Nor is one counted whose folder could not be made. */
static void
no_queue_fix(void **state)
{
	struct error err = { "" };
	int result;

	(void)state;
	svc_put("control/queue_count", "1\n");
	svc_dir("queue/queue1");
	free(node->programs);
	node->programs = strdup(folder_path("none"));
	free(add("queue2", &result, &err));
	assert_int_equal(result, -1);
	assert_non_null(strstr(err.text, "/none/queue-fix'"));
	svc_expect_file("control/queue_count", "1\n");
	assert_false(svc_has("service/queue2"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		SVC_TEST(numbers),
		SVC_TEST(a_bad_count),
		SVC_TEST(no_queue_fix),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
