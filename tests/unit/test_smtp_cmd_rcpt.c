/* SPDX-License-Identifier: ISC */
/*
 * What RCPT takes of a session while there is no queue; what it replies to
 * whom is in tests/integration/test_12_smtp_policy.py.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <unistd.h>

#include "smtp/session_private.h"
#include "tests/unit/smtp_home.h"

static char *root;
static struct home *home;
static int saved_stderr;

static int
setup(void **state)
{
	int null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);

	(void)state;
	root = smtp_home_make();
	unsetenv("NULLQUEUE");
	home = home_new();
	saved_stderr = dup(2);
	dup2(null_fd, 2); /* the log */
	close(null_fd);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	dup2(saved_stderr, 2);
	close(saved_stderr);
	home_free(&home);
	tempdir_remove(root);
	return 0;
}

static void
say(struct smtp_session *session, const char *text)
{
	struct smtp_line line;

	assert_true(smtp_line_parse(text, strlen(text), &line));
	smtp_dispatch(session, &line);
}

static void
begin(struct smtp_session *session)
{
	say(session, "EHLO x\r\n");
	say(session, "MAIL FROM:<a@b.example>\r\n");
	assert_true(session->transaction.is_open);
}

/* Else one client could use up sessionmemory for all of them. */
static void
refused_recipients_take_nothing(void **state)
{
	const struct smtp_kind kind = { .is_lmtp = false };
	const struct smtp_peer peer = { .remote_ip = "192.0.2.1",
		.local_ip = "192.0.2.2" };
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	struct smtp_server *server = smtp_server_new(home, &kind, NULL);
	struct vars vars = VARS_INIT;
	struct smtp_session session = {
		.server = server,
		.kind = smtp_server_kind(server),
		.config = smtp_server_config(server),
		.stream = stream_new(fd, fd),
		.peer = &peer,
		.vars = &vars,
	};
	int i;

	(void)state;
	begin(&session);
	for (i = 0; i < SMTP_DEFERRED_RECIPIENTS_MAX; i++) {
		say(&session, "RCPT TO:<c@example.test>\r\n");
		assert_int_equal(session.transaction.recipient_count, 0);
		assert_int_equal(session.transaction.taken_bytes, 0);
	}
	/* A new transaction does not begin the count again. */
	say(&session, "RSET\r\n");
	begin(&session);
	assert_false(session.is_over);
	say(&session, "RCPT TO:<c@example.test>\r\n");
	assert_true(session.is_over);
	smtp_transaction_reset(&session);
	stream_free(&session.stream);
	smtp_config_release(&session.config);
	vars_release(&vars);
	smtp_server_free(&server);
	close(fd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    refused_recipients_take_nothing, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
