/* SPDX-License-Identifier: ISC */
/* Tests of svctool/show/log_look.c. */
#include "svctool/show/log_look.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/child.h"
#include "tests/unit/svc_node.h"

/* A logger that reads one pipe, or does not. */
struct logger {
	int pipe_fds[2];
	bool does_read;
};

static bool
read_pipe(const void *context)
{
	const struct logger *logger = context;
	char line[100];

	if (dup2(logger->pipe_fds[0], 0) == -1)
		return false;
	close(logger->pipe_fds[1]);
	if (!logger->does_read || fork() != 0)
		return true;
	while (read(0, line, sizeof(line)) > 0)
		usleep(5000); /* slower than what comes, at times */
	_exit(0);
}

static const struct supervise_state service = { .is_supervised = true,
	.pid = 1 };

static void
expect(const char *name, const struct supervise_state *log,
    enum log_look wanted, const char *reason)
{
	struct error err = { "" };
	enum log_look got = log_look(node, "s", &service, log, &err);

	if (got != wanted || strstr(err.text, reason) == NULL ||
	    (*err.text == '\0') != (wanted == LOG_UP || wanted == LOG_NONE))
		fail_msg("%s: %s '%s'", name, log_look_name(got), err.text);
}

static void
without_a_process(void **state)
{
	static const struct supervise_state none,
	    down = { .is_supervised = true },
	    ending = { .is_supervised = true, .is_wanted_up = true };
	struct error err = { "" };

	(void)state;
	svc_dir("service/s");
	expect("a service without a log", &none, LOG_NONE, "");
	svc_dir("service/s/log");
	expect("its supervise was killed", &none, LOG_DOWN,
	    "its log is down, so nothing is written to");
	expect("svc -d", &down, LOG_DOWN, "/service/s/log' starts it");
	expect("it ends", &ending, LOG_DOWN, "svscan.log may say why");
	/* As systemd runs it: the journal has its lines. */
	assert_int_equal(log_look(node, "s", &none, &none, &err), LOG_NONE);
}

static void
loggers(void **state)
{
	struct logger logger = { .does_read = true };
	struct supervise_state log = { .is_supervised = true };
	char text[60000] = "";

	(void)state;
	svc_dir("service/s/log");
	svc_dir("log/s");
	for (int i = 0; i < 2; i++) {
		logger.does_read = i == 0;
		assert_int_equal(pipe(logger.pipe_fds), 0);
		log.pid = child_start(read_pipe, &logger);
		expect("nothing waits", &log, LOG_UP, "");
		assert_int_equal(write(logger.pipe_fds[1], text, sizeof(text)),
		    (ssize_t)sizeof(text));
		if (logger.does_read)
			expect("busy", &log, LOG_UP, "");
		else
			expect("nothing is read", &log, LOG_STUCK,
			    "reads nothing, and 60000 bytes of log lines");
		kill(log.pid, SIGSTOP);
		while (kill(log.pid, 0) == 0) {
			struct error err = { "" };

			if (log_look(node, "s", &service, &log, &err) ==
			    LOG_STOPPED)
				break;
		}
		expect("stopped", &log, LOG_STOPPED, "'kill -CONT ");
		kill(log.pid, SIGKILL);
		waitpid(log.pid, NULL, 0);
		close(logger.pipe_fds[0]);
		close(logger.pipe_fds[1]);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		SVC_TEST(without_a_process),
		SVC_TEST(loggers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
