/* SPDX-License-Identifier: ISC */
/* Tests of svctool/run/ready.c. */
#include "svctool/run/ready.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "tests/unit/greeter.h"
#include "tests/unit/port.h"
#include "tests/unit/svc_node.h"

static const struct supervise_state not_supervised;

static void
queues(void **state)
{
	static const struct {
		enum health_state health;
		enum ready wanted;
		const char *reason;
	} rows[] = {
		{ HEALTH_UP, READY_YES, "" },
		{ HEALTH_STARTING, READY_SCANNING, "" },
		{ HEALTH_STOPPING, READY_NO, "the queue is stopping" },
		{ HEALTH_DOWN, READY_NO, "the queue is down" },
	};
	struct error err = { "" };

	(void)state;
	svc_dir("queue/queue1/lock");
	assert_true(ready_is_queue(node, "queue1"));
	assert_false(ready_is_queue(node, "queue2"));
	assert_int_equal(
	    ready_service(node, "queue1", &not_supervised, &err), READY_NO);
	assert_string_equal(err.text, "the queue has never run");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct health health = { .state = rows[i].health };
		struct svc_queue up = svc_queue_up("queue1", &health);
		enum ready ready;

		*err.text = '\0';
		ready = ready_service(node, "queue1", &not_supervised, &err);
		if (ready != rows[i].wanted ||
		    strcmp(err.text, rows[i].reason) != 0)
			fail_msg(
			    "row %zu: got %d '%s'", i, (int)ready, err.text);
		svc_queue_down(&up);
	}
	assert_int_equal(
	    ready_service(node, "queue1", &not_supervised, &err), READY_NO);
}

/* Anything else is ready when supervise has a living process for it. */
static void
other_services(void **state)
{
	pid_t ended = fork();
	const struct supervise_state down = { .is_supervised = true };
	const struct supervise_state alive = { .is_supervised = true,
		.pid = getpid() };
	struct supervise_state dead = { .is_supervised = true };
	struct error err;

	(void)state;
	if (ended == 0)
		_exit(0);
	assert_int_equal(waitpid(ended, NULL, 0), ended);
	dead.pid = ended;
	svc_dir("service/other");
	assert_int_equal(
	    ready_service(node, "other", &not_supervised, &err), READY_NO);
	assert_string_equal(err.text, "supervise does not run for it");
	assert_int_equal(ready_service(node, "other", &down, &err), READY_NO);
	assert_string_equal(err.text, "it is down");
	assert_int_equal(ready_service(node, "other", &dead, &err), READY_NO);
	assert_non_null(strstr(err.text, " has ended"));
	assert_int_equal(ready_service(node, "other", &alive, &err), READY_YES);
}

static void
put_listen(const struct port_address *address)
{
	char text[96];

	snprintf(text, sizeof(text), "%s:%u\n", address->ip, address->port);
	svc_put("service/qmail-smtpd.x/variables/LISTEN", text);
}

static bool
no_more(const void *context)
{
	close(*(const int *)context);
	return true;
}

/*
 * Who listens on the port must be the service's own process; without supervise
 * one of the node, which another supervisor started.
 */
static void
listeners(void **state)
{
	struct port_address address;
	int fd = port_take(&address);
	const struct greeter greeter = {
		.fd = fd, .text = "220 m.test\r\n", .name = "other-program"
	};
	struct supervise_state ours = { .is_supervised = true };
	struct supervise_state others = { .is_supervised = true };
	struct error err = { "" };
	struct proc taker;
	char wanted[160];

	(void)state;
	ours.pid = greeter_start(&greeter);
	others.pid = child_start(no_more, &fd);
	close(fd);
	put_listen(&address);
	assert_int_equal(
	    ready_service(node, "qmail-smtpd.x", &ours, &err), READY_YES);
	assert_string_equal(err.text, "");
	for (int i = 0; i < 2; i++) {
		*err.text = '\0';
		assert_int_equal(ready_service(node, "qmail-smtpd.x",
				     i == 0 ? &others : &not_supervised, &err),
		    READY_NO);
		snprintf(wanted, sizeof(wanted),
		    "the port is taken: other-program (pid ");
		assert_memory_equal(err.text, wanted, strlen(wanted));
		snprintf(wanted, sizeof(wanted),
		    ") listens on 127.0.0.1 port %u, so this listener is not "
		    "up",
		    address.port);
		assert_non_null(strstr(err.text, wanted));
	}
	/* It also keeps us from an address around or inside of its own. */
	snprintf(address.ip, sizeof(address.ip), "0.0.0.0");
	put_listen(&address);
	assert_int_equal(
	    ready_service(node, "qmail-smtpd.x", &others, &err), READY_NO);
	assert_non_null(strstr(err.text, "other-program (pid "));
	greeter_end(ours.pid);
	while (port_find_taker(&address, NULL, &taker, wanted) != 0)
		usleep(1000);
	assert_int_equal(
	    ready_service(node, "qmail-smtpd.x", &others, &err), READY_NO);
	assert_non_null(strstr(err.text, "nobody listens on 0.0.0.0 port"));
	svc_put("service/qmail-smtpd.x/variables/LISTEN", "nowhere\n");
	assert_int_equal(
	    ready_service(node, "qmail-smtpd.x", &others, &err), READY_NO);
	assert_non_null(strstr(err.text, "qmail-smtpd.x/variables/LISTEN: "));
	greeter_end(others.pid);
}

/* One that outlived its supervise is told from another program. */
static void
a_listener_of_before(void **state)
{
	struct port_address address;
	int fd = port_take(&address);
	const struct greeter greeter = { .fd = fd,
		.text = "220 m.test\r\n",
		.name = "qmail-smtpd",
		.cwd = folder };
	pid_t old = greeter_start(&greeter);
	struct supervise_state new = { .is_supervised = true };
	struct error err = { "" };

	(void)state;
	new.pid = child_start(no_more, &fd);
	close(fd);
	put_listen(&address);
	assert_int_equal(
	    ready_service(node, "qmail-smtpd.x", &not_supervised, &err),
	    READY_YES);
	assert_int_equal(
	    ready_service(node, "qmail-smtpd.x", &new, &err), READY_NO);
	assert_non_null(strstr(err.text, ", which an earlier start of"));
	assert_non_null(strstr(err.text, "' ends it"));
	greeter_end(old);
	greeter_end(new.pid);
}

/* It listens, and that is all. */
static void
a_listener_that_hangs(void **state)
{
	struct port_address address;
	int fd = port_take(&address);
	const struct supervise_state ours = { .is_supervised = true,
		.pid = getpid() };
	struct error err = { "" };

	(void)state;
	put_listen(&address);
	assert_int_equal(
	    ready_service(node, "qmail-smtpd.x", &ours, &err), READY_HUNG);
	assert_non_null(strstr(err.text, "greets nobody in time"));
	close(fd);
}

static bool
nothing(const void *context)
{
	return context == NULL;
}

static void
a_stopped_process(void **state)
{
	struct supervise_state service = { .is_supervised = true };
	struct error err = { "" };

	(void)state;
	svc_dir("service/other");
	service.pid = child_start(nothing, NULL);
	assert_int_equal(
	    ready_service(node, "other", &service, &err), READY_YES);
	kill(service.pid, SIGSTOP);
	while (ready_service(node, "other", &service, &err) == READY_YES)
		usleep(1000);
	assert_non_null(strstr(err.text, "was stopped by a signal"));
	assert_non_null(strstr(err.text, "'kill -CONT "));
	kill(service.pid, SIGKILL);
	waitpid(service.pid, NULL, 0);
}

/* Under systemd only the queue itself says who its process is. */
static void
a_stopped_queue(void **state)
{
	struct health health = { .state = HEALTH_UP,
		.pid = child_start(nothing, NULL) };
	struct svc_queue up = svc_queue_up("queue1", &health);
	struct error err = { "" };

	(void)state;
	assert_int_equal(kill(health.pid, SIGSTOP), 0);
	assert_int_equal(waitpid(health.pid, NULL, WUNTRACED), health.pid);
	assert_int_equal(ready_queue(node, "queue1", &err), READY_HUNG);
	assert_non_null(strstr(err.text, "'kill -CONT "));
	assert_int_equal(
	    ready_service(node, "queue1", &not_supervised, &err), READY_HUNG);
	assert_int_equal(ready_queue(node, "queue2", &err), READY_NO);
	svc_queue_down(&up);
	/* Nobody listens: it is down, and the pid may be anybody's. */
	assert_int_equal(ready_queue(node, "queue1", &err), READY_NO);
	kill(health.pid, SIGKILL);
	waitpid(health.pid, NULL, 0);
}

static void
listen_addresses(void **state)
{
	static const struct {
		const char *text, *ip; /* NULL: refused */
		unsigned port;
	} rows[] = {
		{ "0:2525\n", "0.0.0.0", 2525 },
		{ ":2525\n", "0.0.0.0", 2525 },
		{ "127.0.0.1:25 \nmore\n", "127.0.0.1", 25 },
		{ "[::1]:25", "::1", 25 },
		{ "2525\n", NULL, 0 }, /* qmail-smtpd refuses it too */
		{ "127.0.0.1:0\n", NULL, 0 },
		{ "", NULL, 0 },
	};
	struct port_address address;
	struct error err;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int result;

		svc_put("service/s/variables/LISTEN", rows[i].text);
		result = ready_listen_address(node, "s", &address, &err);
		if (result != (rows[i].ip == NULL ? -1 : 0) ||
		    (result == 0 &&
			(strcmp(address.ip, rows[i].ip) != 0 ||
			    address.port != rows[i].port)))
			fail_msg("%s: %d", rows[i].text, result);
	}
	/* All services may have one. */
	svc_put("control/global_vars/LISTEN", "127.0.0.1:26\n");
	assert_int_equal(ready_listen_address(node, "t", &address, &err), 0);
	assert_int_equal(address.port, 26);
}

/* What the operator wants down is nobody's fault. */
static void
by_wish(void **state)
{
	static const struct {
		const char *name;
		struct supervise_state state;
		bool has_file, wanted;
	} rows[] = {
		{ "up", { .is_supervised = true, .pid = 5 }, false, false },
		{ "up for once", { .is_supervised = true, .pid = 5 }, true,
		    false },
		{ "ended, to be started again",
		    { .is_supervised = true, .is_wanted_up = true }, false,
		    false },
		{ "the same with a file",
		    { .is_supervised = true, .is_wanted_up = true }, true,
		    false },
		{ "svc -d", { .is_supervised = true }, false, true },
		{ "file down", { .is_supervised = true }, true, true },
		{ "no supervise", { .pid = 0 }, false, false },
		{ "no supervise, file down", { .pid = 0 }, true, true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct error err = { "" };
		bool got;

		svc_dir("service/s");
		if (rows[i].has_file)
			svc_put("service/s/down", "");
		else
			remove(folder_path("service/s/down"));
		assert_int_equal(
		    ready_has_down_file(node, "s"), rows[i].has_file);
		got = ready_is_down_by_wish(node, "s", &rows[i].state, &err);
		if (got != rows[i].wanted)
			fail_msg("%s: got %d", rows[i].name, got);
		if (got != (strstr(err.text, "starts it") != NULL) ||
		    (got && rows[i].has_file) !=
			(strstr(err.text, "/service/s/down'") != NULL))
			fail_msg("%s: '%s'", rows[i].name, err.text);
	}
}

static void
never_supervised(void **state)
{
	struct supervise_state got = { .is_supervised = true };
	struct error err;

	(void)state;
	svc_dir("service/s");
	assert_int_equal(ready_read_state(node, "s", &got, &err), 0);
	assert_false(got.is_supervised);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		SVC_TEST(queues),
		SVC_TEST(other_services),
		SVC_TEST(listeners),
		SVC_TEST(a_listener_of_before),
		SVC_TEST(a_listener_that_hangs),
		SVC_TEST(a_stopped_process),
		SVC_TEST(a_stopped_queue),
		SVC_TEST(listen_addresses),
		SVC_TEST(by_wish),
		SVC_TEST(never_supervised),
	};

	setenv("MQMAIL_TEST_TIMES", "GREET_WAIT_MS=1500", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
