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
	return sink_open(pool, vars, NULL, sink_out);
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
		struct sink_outcome outcome;
		char script[512];
		int result;

		snprintf(
		    script, sizeof(script), "%s%s", take_all, cases[i].script);
		assert_int_equal(open_script(script, &vars, &sink), QQ_OK);
		assert_int_equal(
		    sink_write(sink, "Subject: x\n\nbody\n", 17), QQ_OK);
		result = sink_commit(&sink, &to, &outcome);
		if (result != cases[i].wanted)
			fail_msg("%s: wanted %d, got %d '%s'", cases[i].name,
			    cases[i].wanted, result, outcome.text);
		if (cases[i].wanted_text != NULL &&
		    strcmp(outcome.text, cases[i].wanted_text) != 0)
			fail_msg("%s: wanted '%s', got '%s'", cases[i].name,
			    cases[i].wanted_text, outcome.text);
		assert_null(sink);
		assert_file("message", "Subject: x\n\nbody\n", 17);
		assert_file("envelope", envelope, sizeof(envelope));
		vars_release(&vars);
	}
}

/* What the program itself queues can be told to belong to it. */
static void
test_uuid(void **state)
{
	const char *recipients[] = { "b@example.test" };
	const struct sink_envelope to = { .sender = "a@example.test",
		.recipients = recipients,
		.recipient_count = 1 };
	struct vars vars = VARS_INIT;
	struct sink_outcome outcome;
	struct sink *sink;
	char wanted[UUID_TEXT_SIZE + 1];

	(void)state;
	/* Not that of the message for which the caller was called. */
	setenv("MQMAIL_UUID", "outer", 1);
	vars_set(&vars, "MQMAIL_UUID", "of the session");
	assert_int_equal(open_script("cat >message; cat <&1 >envelope; "
				     "echo $MQMAIL_UUID >uuid",
			     &vars, &sink),
	    QQ_OK);
	uuid_format(sink_uuid(sink), wanted);
	assert_int_equal(sink_commit(&sink, &to, &outcome), QQ_OK);
	assert_string_equal(outcome.queue, "");
	assert_int_equal(outcome.id, 0);
	memcpy(wanted + UUID_TEXT_SIZE - 1, "\n", 2);
	assert_file("uuid", wanted, UUID_TEXT_SIZE);
	unsetenv("MQMAIL_UUID");
	vars_release(&vars);
}

static void
test_no_program(void **state)
{
	struct vars vars = VARS_INIT;
	struct sink *sink = NULL;

	(void)state;
	vars_set(&vars, "QMAILQUEUE", "/nonexistent/program");
	assert_int_equal(sink_open(pool, &vars, NULL, &sink), QQ_EXEC);
	assert_null(sink);
	vars_release(&vars);
}

/* Exits before it has read all: its code counts, but 0 is not "queued". */
static void
test_unread(void **state)
{
	static const struct {
		const char *name, *script;
		int wanted;
	} cases[] = {
		{ "success unread", "exec <&-; exit 0", QQ_WRITE_ERROR },
		{ "refusal unread", "exec <&-; exit 31", QQ_REJECTED },
		{ "no envelope",
		    "cat >/dev/null; exec 1<&-; sleep 0.2; "
		    "exit 0",
		    QQ_WRITE_ERROR },
	};
	static char body[300000];
	const char *recipients[5000];
	const struct sink_envelope to = { .sender = "a@example.test",
		.recipients = recipients,
		.recipient_count = 5000 };
	size_t i;

	(void)state;
	memset(body, 'x', sizeof(body));
	for (i = 0; i < 5000; i++)
		recipients[i] = "somebody-with-a-name@example.test";
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct vars vars = VARS_INIT;
		struct sink *sink;
		struct sink_outcome outcome;
		int result;

		assert_int_equal(
		    open_script(cases[i].script, &vars, &sink), QQ_OK);
		sink_write(sink, body, sizeof(body));
		result = sink_commit(&sink, &to, &outcome);
		if (result != cases[i].wanted)
			fail_msg("%s: wanted %d, got %d '%s'", cases[i].name,
			    cases[i].wanted, result, outcome.text);
		vars_release(&vars);
	}
}

/* Reads late and slowly, more than a pipe holds. */
static void
test_slow_reader(void **state)
{
	static char body[300000];
	const char *recipients[] = { "b@example.test" };
	const struct sink_envelope to = { .sender = "a@example.test",
		.recipients = recipients,
		.recipient_count = 1 };
	struct vars vars = VARS_INIT;
	struct sink *sink;
	struct sink_outcome outcome;

	(void)state;
	memset(body, 'x', sizeof(body));
	assert_int_equal(
	    open_script(
		"sleep 0.3; n=$(dd bs=7777 2>/dev/null | "
		"wc -c); cat <&1 >/dev/null; [ $n = 300000 ] || exit 31",
		&vars, &sink),
	    QQ_OK);
	assert_int_equal(sink_write(sink, body, sizeof(body)), QQ_OK);
	assert_int_equal(sink_commit(&sink, &to, &outcome), QQ_OK);
	vars_release(&vars);
}

/* Every code comes through, with the text that clients see. */
static void
test_every_code(void **state)
{
	const char *recipients[] = { "b@example.test" };
	const struct sink_envelope to = { .sender = "a@example.test",
		.recipients = recipients,
		.recipient_count = 1 };
	int code;

	(void)state;
	for (code = 1; code < 256; code++) {
		struct vars vars = VARS_INIT;
		struct sink *sink;
		struct sink_outcome outcome;
		char script[64];
		int result;

		if (code == QQ_CUSTOM)
			continue; /* test_commit */
		snprintf(script, sizeof(script), "exit %d", code);
		assert_int_equal(open_script(script, &vars, &sink), QQ_OK);
		result = sink_commit(&sink, &to, &outcome);
		if (result != code || strcmp(outcome.text, qq_text(code)) != 0)
			fail_msg("%d: got %d '%s'", code, result, outcome.text);
		vars_release(&vars);
	}
}

static void
test_nullqueue(void **state)
{
	const char *recipients[] = { "b@example.test" };
	const struct sink_envelope to = { .sender = "a@example.test",
		.recipients = recipients,
		.recipient_count = 1 };
	struct vars vars = VARS_INIT;
	struct sink *sink;
	struct sink_outcome outcome;

	(void)state;
	vars_set(&vars, "NULLQUEUE", "1");
	vars_set(&vars, "QMAILQUEUE", "/nonexistent/program");
	assert_int_equal(sink_open(pool, &vars, NULL, &sink), QQ_OK);
	assert_int_equal(sink_write(sink, "x", 1), QQ_OK);
	assert_int_equal(sink_commit(&sink, &to, &outcome), QQ_OK);
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
	    open_script(
		"trap '' TERM; while :; do sleep 1000; done", &vars, &sink),
	    QQ_OK);
	sink_abort(&sink);
	assert_null(sink);
	assert_true(clock_ms() - start < 20000);
	vars_release(&vars);
}

/* It knows no such thing, and would send it now (RFC 4865). */
static void
no_program_holds(void **state)
{
	static const struct {
		const char *name, *dsn;
		int result;
	} rows[] = {
		{ "held", " ENVID=x HOLD=9999999999", QQ_REJECTED },
		{ "over", " HOLD=1", QQ_OK },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *const recipients[] = { "r@b" };
		const struct sink_envelope envelope = { .sender = "s@b",
			.recipients = recipients,
			.recipient_count = 1,
			.dsn = rows[i].dsn };
		struct vars vars = VARS_INIT;
		struct sink_outcome outcome;
		struct sink *sink;

		assert_int_equal(open_script(take_all, &vars, &sink), QQ_OK);
		assert_int_equal(sink_write(sink, "x\n", 2), QQ_OK);
		if (sink_commit(&sink, &envelope, &outcome) != rows[i].result)
			fail_msg("%s: %s", rows[i].name, outcome.text);
		if (rows[i].result != QQ_OK) {
			assert_string_equal(outcome.text,
			    "mail for this recipient cannot be held (#5.3.3)");
			assert_file("envelope", "", 0);
		}
		vars_release(&vars);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_program_holds),
		cmocka_unit_test(test_commit),
		cmocka_unit_test(test_uuid),
		cmocka_unit_test(test_no_program),
		cmocka_unit_test(test_unread),
		cmocka_unit_test(test_slow_reader),
		cmocka_unit_test(test_every_code),
		cmocka_unit_test(test_nullqueue),
		cmocka_unit_test(test_abort),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name(
	    "sink_program", tests, set_up, tear_down);
}
