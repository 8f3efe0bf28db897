/* SPDX-License-Identifier: ISC */
/* Tests of svctool/show/report.c, of a node where supervise never ran. */
#include "svctool/show/report.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>

#include "tests/unit/greeter.h"
#include "tests/unit/port.h"
#include "tests/unit/queue_folder.h"
#include "tests/unit/svc_node.h"

static void
states_of_services(void **state)
{
	static const struct {
		const char *wanted;
		pid_t pid;
		bool is_supervised, is_ready, is_restarting, is_hung;
	} rows[] = {
		{ "up", 5, true, true, false, false },
		{ "starting", 5, true, false, false, false },
		{ "down", 0, true, false, false, false },
		/* Somebody else does its work, but supervise has it down. */
		{ "down", 0, true, true, false, false },
		{ "up", 0, false, true, false, false },
		{ "down", 0, false, false, false, false },
		{ "restarting", 5, true, false, true, false },
		{ "restarting", 0, true, false, true, false },
		{ "hung", 5, true, false, false, true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct report_service service = {
			.state = { .is_supervised = rows[i].is_supervised,
			    .pid = rows[i].pid },
			.is_ready = rows[i].is_ready,
			.is_restarting = rows[i].is_restarting,
			.is_hung = rows[i].is_hung,
		};

		if (strcmp(report_service_state(&service), rows[i].wanted) != 0)
			fail_msg("row %zu: got '%s'", i,
			    report_service_state(&service));
	}
}

static const struct report_queue *
collect_queue(struct report *report)
{
	struct error err = { "" };

	if (report_collect(node, report, &err) == -1)
		fail_msg("%s", err.text);
	assert_int_equal(report->queue_count, 1);
	return &report->queues[0];
}

/* A queue that runs, by what it says and how much space it wants. */
static void
queues(void **state)
{
	static const struct {
		const char *name;
		enum health_state health;
		uint64_t free_bytes;
		const char *wanted, *problem; /* begin of it; "": none */
		bool is_fine;
	} rows[] = {
		{ "up", HEALTH_UP, 1000, "up", "", true },
		{ "starting", HEALTH_STARTING, 1000, "starting", "", true },
		{ "stopping", HEALTH_STOPPING, 1000, "stopping", "", false },
		{ "full", HEALTH_UP, 999, "full",
		    "takes no new mail: 999 bytes are free on its filesystem, "
		    "and MIN_FREE wants 1000",
		    false },
		{ "full at the start", HEALTH_STARTING, 0, "full",
		    "takes no new mail: no byte is free", false },
		{ "stopping is not full", HEALTH_STOPPING, 0, "stopping", "",
		    false },
	};

	(void)state;
	svc_put("control/min_free", "1000\n");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct health health = { .state = rows[i].health,
			.free_bytes = rows[i].free_bytes };
		struct svc_queue up = svc_queue_up("queue1", &health);
		struct report report;
		const struct report_queue *queue = collect_queue(&report);

		if (strcmp(report_queue_state(queue), rows[i].wanted) != 0 ||
		    queue->is_fine != rows[i].is_fine ||
		    report.is_fine != rows[i].is_fine ||
		    (*rows[i].problem == '\0') != (*queue->problem == '\0') ||
		    strncmp(queue->problem, rows[i].problem,
			strlen(rows[i].problem)) != 0)
			fail_msg("%s: got '%s', fine %d, '%s'", rows[i].name,
			    report_queue_state(queue), queue->is_fine,
			    queue->problem);
		assert_int_equal(queue->min_free_bytes, 1000);
		report_release(&report);
		svc_queue_down(&up);
	}
}

/* Makes the queue's health older, as if qmail-send had said nothing since. */
static void
make_older(const char *name, int64_t ms)
{
	static const off_t written_at = 24;
	int fd = open(folder_path(name), O_RDWR);
	int64_t when;

	assert_int_equal(pread(fd, &when, sizeof(when), written_at), 8);
	when -= ms;
	assert_int_equal(pwrite(fd, &when, sizeof(when), written_at), 8);
	close(fd);
}

static void
a_queue_that_hangs(void **state)
{
	const struct health health = {
		.state = HEALTH_UP, .pid = 0x7ffffff0, .free_bytes = 1000000000
	};
	struct svc_queue up = svc_queue_up("queue1", &health);
	const struct report_queue *queue;
	struct report report;

	(void)state;
	make_older("queue/queue1/lock/health", HEALTH_SILENT_MS / 2);
	queue = collect_queue(&report);
	assert_string_equal(report_queue_state(queue), "up");
	report_release(&report);
	make_older("queue/queue1/lock/health", HEALTH_SILENT_MS);
	queue = collect_queue(&report);
	assert_string_equal(report_queue_state(queue), "hung");
	assert_false(queue->is_fine);
	assert_false(report.is_fine);
	assert_non_null(strstr(queue->problem, "has said nothing for 15 s"));
	report_release(&report);
	svc_queue_down(&up);
}

/* 0 wants nothing, but a disk without a byte is full all the same. */
static void
no_minimum(void **state)
{
	const struct health none = { .state = HEALTH_UP };
	const struct health some = { .state = HEALTH_UP, .free_bytes = 1 };
	struct svc_queue up;
	struct report report;

	(void)state;
	svc_put("control/min_free", "0\n");
	up = svc_queue_up("queue1", &some);
	assert_false(collect_queue(&report)->is_full);
	report_release(&report);
	health_file_publish(up.file, &none);
	assert_true(collect_queue(&report)->is_full);
	assert_string_equal(report.queues[0].problem,
	    "takes no new mail: no byte is free on its filesystem: make room "
	    "there");
	report_release(&report);
	svc_queue_down(&up);
}

/* A listener may want more space than the settings say, never less. */
static void
listeners_may_want_more(void **state)
{
	static const struct {
		const char *value;
		uint64_t wanted;
	} rows[] = {
		{ "5000\n", 5000 },
		{ "999\n", 1000 },
		{ "much\n", 1000 },
		{ "", 1000 },
	};
	const struct health health = { .state = HEALTH_UP, .free_bytes = 2000 };
	struct svc_queue up = svc_queue_up("queue1", &health);

	(void)state;
	svc_put("control/min_free", "1000\n");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct report_queue *queue;
		struct report report;

		svc_put(
		    "service/qmail-smtpd.25/variables/MIN_FREE", rows[i].value);
		queue = collect_queue(&report);
		assert_int_equal(queue->min_free_bytes, rows[i].wanted);
		assert_int_equal(queue->is_full, rows[i].wanted > 2000);
		report_release(&report);
	}
	svc_queue_down(&up);
}

/* Down by the operator's wish is fine, and says how to bring it up. */
static void
queues_that_do_not_run(void **state)
{
	const struct health health = { .state = HEALTH_UP, .backlog = 7 };
	const struct report_queue *queue;
	struct queue_dir *dir;
	struct svc_queue up;
	struct report report;

	(void)state;
	dir = make_queue("queue/queue1", 3);
	queue_dir_close(&dir);
	queue = collect_queue(&report);
	assert_string_equal(report_queue_state(queue), "down");
	assert_memory_equal(queue->problem,
	    "it has never run; it has no service: 'svctool queue add queue1",
	    62);
	assert_false(queue->is_fine);
	assert_false(report.is_fine);
	assert_int_equal(report.svscan, 0);
	assert_string_equal(report.home, folder);
	report_release(&report);

	up = svc_queue_up("queue1", &health);
	svc_queue_down(&up); /* killed: its file still says up */
	queue = collect_queue(&report);
	assert_string_equal(report_queue_state(queue), "down");
	assert_false(queue->is_fine);
	assert_memory_equal(queue->problem, "it has no service", 17);
	report_release(&report);

	svc_put("service/queue1/down", "");
	queue = collect_queue(&report);
	assert_true(queue->is_fine);
	assert_string_equal(queue->problem, "its service is down");
	assert_true(report.is_fine);
	assert_int_equal(report.service_count, 1);
	assert_true(report.services[0].is_off);
	assert_string_equal(report.services[0].problem, "");
	report_release(&report);

	/* What cannot be read is said, and is not called idle. */
	svc_put("queue/queue1/lock/health", "damaged");
	remove(folder_path("service/queue1/down"));
	queue = collect_queue(&report);
	assert_non_null(strstr(queue->problem, "damaged"));
	assert_int_equal(queue->health.backlog, 0);
	assert_false(queue->is_fine);
	report_release(&report);
}

/* A queue that was killed shows what it holds, not what it once said. */
static void
queues_are_looked_into(void **state)
{
	struct health health = { .state = HEALTH_UP,
		.backlog = 7,
		.free_bytes = 1000000000,
		.damaged = 1 };
	struct queue_dir *dir = make_queue("queue/queue1", 3);
	const struct report_queue *queue;
	struct svc_queue up;
	struct report report;

	(void)state;
	put_file(dir, QUEUE_MESS, 5, "x", 1);
	put_file(dir, QUEUE_TODO, 5, "u7\0p8\0Fs@x\0Ta@y\0", 16);
	put_file(dir, QUEUE_MESS, 6, "x", 1);
	put_file(dir, QUEUE_TODO, 6, "no record", 9);
	queue = collect_queue(&report); /* it has never run */
	assert_int_equal(queue->health.backlog, 2);
	assert_int_equal(queue->health.backlog_todo, 2);
	assert_int_equal(queue->damage.count, 1);
	assert_int_equal(queue->damage.ids[0], 6);
	report_release(&report);

	up = svc_queue_up("queue1", &health);
	/* Of one that is up the journal, up to 256 MiB, is not even read. */
	assert_int_equal(
	    symlink("x", folder_path("queue/queue1/lock/journal.2")), 0);
	queue = collect_queue(&report);
	assert_string_equal(queue->problem, "");
	assert_int_equal(unlink(folder_path("queue/queue1/lock/journal.2")), 0);
	assert_int_equal(queue->health.backlog, 7);
	assert_int_equal(queue->damage.count, 1);
	assert_int_equal(queue->damage.ids[0], 6);
	report_release(&report);
	/* It knows of more than can be found. */
	health.damaged = 4;
	health_file_publish(up.file, &health);
	queue = collect_queue(&report);
	assert_int_equal(queue->damage.count, 4);
	assert_int_equal(queue->damage.id_count, 1);
	report_release(&report);
	/* Without any nothing is looked for. */
	health.damaged = 0;
	health_file_publish(up.file, &health);
	queue = collect_queue(&report);
	assert_int_equal(queue->damage.count, 0);
	report_release(&report);

	svc_queue_down(&up);
	queue = collect_queue(&report);
	assert_string_equal(report_queue_state(queue), "down");
	assert_int_equal(queue->health.backlog, 2);
	assert_int_equal(queue->damage.count, 1);
	report_release(&report);
	queue_dir_close(&dir);
}

static void
listeners(void **state)
{
	struct port_address address;
	int fd = port_take(&address);
	const struct greeter greeter = { .fd = fd,
		.text = "220 m.test\r\n",
		.name = "qmail-smtpd",
		.cwd = folder };
	pid_t pid = greeter_start(&greeter);
	struct report report;
	struct error err;
	struct proc taker;
	char listen[96];

	(void)state;
	close(fd);
	snprintf(listen, sizeof(listen), "%s:%u", address.ip, address.port);
	svc_put("service/qmail-smtpd.25/variables/LISTEN", listen);
	assert_int_equal(report_collect(node, &report, &err), 0);
	assert_int_equal(report.service_count, 1);
	/* Another supervisor's: it counts that the work is done. */
	assert_string_equal(report_service_state(&report.services[0]), "up");
	assert_true(report.is_fine);
	assert_string_equal(report.services[0].listen, listen);
	assert_string_equal(report.services[0].problem, "");
	report_release(&report);
	greeter_end(pid);
	while (port_find_taker(&address, NULL, &taker, listen) != 0)
		usleep(1000);
	assert_int_equal(report_collect(node, &report, &err), 0);
	assert_string_equal(report_service_state(&report.services[0]), "down");
	assert_false(report.is_fine);
	assert_non_null(strstr(report.services[0].problem, "nobody listens"));
	report_release(&report);
}

static void
services_that_cannot_be_read(void **state)
{
	struct report report;
	struct error err = { "" };

	(void)state;
	svc_put("service", "no folder");
	assert_int_equal(report_collect(node, &report, &err), -1);
	assert_non_null(strstr(err.text, "cannot read folder '"));
	report_release(&report);
}

static int
setup_without_service(void **state)
{
	return svc_setup(state) != 0 || remove(folder_path("service")) != 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(states_of_services),
		SVC_TEST(queues),
		SVC_TEST(a_queue_that_hangs),
		SVC_TEST(no_minimum),
		SVC_TEST(listeners_may_want_more),
		SVC_TEST(queues_that_do_not_run),
		SVC_TEST(queues_are_looked_into),
		SVC_TEST(listeners),
		cmocka_unit_test_setup_teardown(services_that_cannot_be_read,
		    setup_without_service, svc_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
