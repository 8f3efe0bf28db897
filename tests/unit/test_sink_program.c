/* SPDX-License-Identifier: ISC */
/* Tests of the sink that is a program (queue/sink.h with QMAILQUEUE). */
#include "queue/sink.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "queue/exitcode.h"

static char folder[] = "/tmp/test_sink_program.XXXXXX";
static struct sink_pool *pool;

static int
set_up(void **state)
{
	struct sink_options options = { .queue_base = "/nonexistent",
		.queue_count = 1,
		.queue_start = 1,
		.slice_ms = 100,
		.timeout_ms = 1000 };

	(void)state;
	if (mkdtemp(folder) == NULL)
		return -1;
	pool = sink_pool_new(&options);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	sink_pool_free(&pool);
	return file_remove_tree(folder, NULL);
}

/* A sink whose program is a shell script that runs in the test's folder. */
static int
open_script(const char *script, struct vars *vars, struct sink **sink_out)
{
	struct error err;
	char path[128], text[1024];

	snprintf(path, sizeof(path), "%s/program", folder);
	snprintf(text, sizeof(text), "#!/bin/sh\ncd %s\n%s\n", folder, script);
	unlink(path);
	assert_int_equal(file_replace(path, text, strlen(text), 0755, &err), 0);
	vars_set(vars, "QMAILQUEUE", path);
	return sink_open(pool, vars, sink_out);
}

static void
assert_file(const char *name, const char *wanted, size_t length)
{
	struct buf buf = BUF_INIT;
	struct error err = { "" };
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	if (file_read(path, 10000, &buf, &err) != 1)
		fail_msg("%s: %s", path, err.text);
	assert_int_equal(buf.length, length);
	assert_memory_equal(buf.data, wanted, length);
	buf_release(&buf);
}

static const char take_all[] = "cat >message; cat <&1 >envelope; ";

static void
test_commit(void **state)
{
	static const struct {
		const char *name, *script; /* after taking all */
		int wanted;
		const char *wanted_text;
	} cases[] = {
		{ "taken", "exit 0", QQ_OK, NULL },
		{ "its own code", "exit 53", QQ_WRITE_ERROR, NULL },
		{ "permanent", "exit 31", QQ_REJECTED, NULL },
		{ "crash", "kill -SEGV $$", QQ_CRASHED, NULL },
		{ "text, permanent", "echo Dno thanks >&$ERROR_FD; exit 88",
		    QQ_REJECTED, "no thanks" },
		{ "text, temporary", "echo Zlater >&$ERROR_FD; exit 88",
		    QQ_CUSTOM, "later" },
		{ "closes the text early", "exec 4>&-; sleep 0.1; exit 53",
		    QQ_WRITE_ERROR, NULL },
	};
	static const char envelope[] = "Fa@example.test\0Tb@example.test\0";
	const char *recipients[] = { "b@example.test" };
	const struct sink_envelope to = { .sender = "a@example.test",
		.recipients = recipients,
		.recipient_count = 1 };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct vars vars = VARS_INIT;
		struct sink *sink;
		char script[512], text[256] = "";
		int result;

		snprintf(script, sizeof(script), "%s%s", take_all,
		    cases[i].script);
		assert_int_equal(open_script(script, &vars, &sink), QQ_OK);
		assert_int_equal(sink_begin(sink), QQ_OK);
		assert_int_equal(sink_write(sink, "Subject: x\n\nbody\n", 17),
		    QQ_OK);
		result = sink_commit(&sink, &to, text, sizeof(text));
		if (result != cases[i].wanted)
			fail_msg("%s: wanted %d, got %d '%s'", cases[i].name,
			    cases[i].wanted, result, text);
		if (cases[i].wanted_text != NULL &&
		    strcmp(text, cases[i].wanted_text) != 0)
			fail_msg("%s: wanted '%s', got '%s'", cases[i].name,
			    cases[i].wanted_text, text);
		assert_null(sink);
		assert_file("message", "Subject: x\n\nbody\n", 17);
		assert_file("envelope", envelope, sizeof(envelope));
		vars_release(&vars);
	}
}

static void
test_no_program(void **state)
{
	struct vars vars = VARS_INIT;
	struct sink *sink = NULL;

	(void)state;
	vars_set(&vars, "QMAILQUEUE", "/nonexistent/program");
	assert_int_equal(sink_open(pool, &vars, &sink), QQ_EXEC);
	assert_null(sink);
	vars_release(&vars);
}

/* One that does not end by itself, nor when asked, does not hold a session. */
static void
test_abort(void **state)
{
	struct vars vars = VARS_INIT;
	struct sink *sink;
	int64_t start = clock_ms();

	(void)state;
	assert_int_equal(
	    open_script("trap '' TERM; while :; do sleep 1000; done", &vars,
		&sink),
	    QQ_OK);
	assert_int_equal(sink_begin(sink), QQ_OK);
	sink_abort(&sink);
	assert_null(sink);
	assert_true(clock_ms() - start < 20000);
	vars_release(&vars);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_commit),
		cmocka_unit_test(test_no_program),
		cmocka_unit_test(test_abort),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("sink_program", tests, set_up,
	    tear_down);
}
