/* SPDX-License-Identifier: ISC */
/* Tests of svctool/run/hung.c. */
#include "svctool/run/hung.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <signal.h>

#include "tests/unit/child.h"
#include "tests/unit/svc_node.h"

static bool
nothing(const void *context)
{
	return context == NULL;
}

static pid_t
start_stopped(void)
{
	pid_t pid = child_start(nothing, NULL);
	int status;

	assert_int_equal(kill(pid, SIGSTOP), 0);
	assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
	assert_true(WIFSTOPPED(status));
	return pid;
}

static void
services(void **state)
{
	pid_t stopped = start_stopped();
	pid_t running = child_start(nothing, NULL);
	const struct {
		const char *name;
		pid_t pid;
		bool wanted;
	} rows[] = {
		{ "stopped", stopped, true },
		{ "running", running, false },
		{ "down", 0, false },
		{ "ended", 0x7ffffff0, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct supervise_state service = { .is_supervised = true,
			.pid = rows[i].pid };
		struct error err = { "" };
		bool got = hung_service(node, "other", &service, &err);

		if (got != rows[i].wanted || got != (err.text[0] != '\0'))
			fail_msg(
			    "%s: got %d '%s'", rows[i].name, got, err.text);
	}
	kill(stopped, SIGKILL);
	kill(running, SIGKILL);
	waitpid(stopped, NULL, 0);
	waitpid(running, NULL, 0);
}

/* Under systemd only the queue itself says who its process is. */
static void
queues(void **state)
{
	static const struct supervise_state not_supervised;
	struct health health = { .state = HEALTH_UP, .pid = start_stopped() };
	struct svc_queue up = svc_queue_up("queue1", &health);
	struct error err = { "" };

	(void)state;
	assert_true(hung_queue(node, "queue1", &err));
	assert_non_null(strstr(err.text, "'kill -CONT "));
	assert_true(hung_service(node, "queue1", &not_supervised, &err));
	assert_false(hung_queue(node, "queue2", &err));
	svc_queue_down(&up);
	/* Nobody listens: it is down, and the pid may be anybody's. */
	assert_false(hung_queue(node, "queue1", &err));
	kill(health.pid, SIGKILL);
	waitpid(health.pid, NULL, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		SVC_TEST(services),
		SVC_TEST(queues),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
