/* SPDX-License-Identifier: ISC */
/* Tests of svctool/check_services.c. */
#include "svctool/check.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/check_node.h"

static void
put_service(const char *name, const char *listen)
{
	char path[96];

	snprintf(path, sizeof(path), "service/%s/run", name);
	svc_put(path, "#!/bin/sh\n");
	assert_int_equal(chmod(folder_path(path), 0755), 0);
	snprintf(path, sizeof(path), "service/%s/log/run", name);
	svc_put(path, "#!/bin/sh\n");
	assert_int_equal(chmod(folder_path(path), 0755), 0);
	snprintf(path, sizeof(path), "service/%s/variables/LISTEN", name);
	if (listen != NULL)
		svc_put(path, listen);
}

static void
expect(const char *name, const char *wanted)
{
	struct check check = check_begin();

	check_services(&check);
	check_expect(&check, name, wanted);
	check_release(&check);
}

static void
run_files(void **state)
{
	(void)state;
	expect("no service", "");
	put_service("queue1", NULL);
	expect("whole", "");
	assert_int_equal(chmod(folder_path("service/queue1/run"), 0644), 0);
	remove(folder_path("service/queue1/log/run"));
	expect("neither can be run",
	    "E ~/service/queue1/run: the service cannot run it -- chmod 755 "
	    "'~/service/queue1/run'\n"
	    "E ~/service/queue1/log/run: the service cannot run it -- 'svctool "
	    "init' makes it again\n");
	svc_put("service/own/run", "");
	remove(folder_path("service/own/run"));
	svc_put("service/own/log/run", "");
	remove(folder_path("service/queue1/run"));
	expect("the operator's own",
	    "E ~/service/own/run: the service cannot run it -- write it\n"
	    "E ~/service/own/log/run: the service cannot run it -- chmod 755\n"
	    "E ~/service/queue1/run: the service cannot run it -- 'svctool "
	    "init' makes it again\n"
	    "E ~/service/queue1/log/run: the service cannot run it\n");
}

static void
queues_without_a_service(void **state)
{
	(void)state;
	svc_dir("queue/queue1");
	svc_dir("queue/queue2");
	put_service("queue1", NULL);
	expect("one of two",
	    "E ~/service/queue2: the queue has no service, so nothing delivers "
	    "it -- svctool queue add queue2\n");
}

static void
ports(void **state)
{
	static const struct {
		const char *first, *second, *wanted;
	} rows[] = {
		{ "127.0.0.1:25", "127.0.0.1:26", "" },
		{ "127.0.0.1:25", "127.0.0.2:25", "" },
		{ "127.0.0.1:25", "127.0.0.1:25",
		    "E ~/service/qmail-smtpd.b/variables/LISTEN: port 25 is "
		    "also that of qmail-smtpd.a -- change one of them\n" },
		{ "0.0.0.0:25", "127.0.0.1:25", "port 25 is also that of\n" },
		{ "127.0.0.1:25", ":25", "port 25 is also that of\n" },
		{ "0:25", ":26", "" },
		/* As qmail-smtpd takes it, no other way. */
		{ "25", "0:26",
		    "'--listen 25' has no port of 0 to 65535 -- "
		    "write ADDRESS:PORT\n" },
		{ "x", "127.0.0.1:25",
		    "E ~/service/qmail-smtpd.a/variables/LISTEN\n" },
		{ "", "127.0.0.1:25",
		    "E ~/service/qmail-smtpd.a/variables/LISTEN: '--listen ' "
		    "has no port\n" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		put_service("qmail-smtpd.a", rows[i].first);
		put_service("qmail-smtpd.b", rows[i].second);
		expect(rows[i].second, rows[i].wanted);
	}
	/* What is no listener listens nowhere. */
	put_service("qmail-smtpd.a", "0:25");
	put_service("qmail-smtpd.b", "0:26");
	put_service("other", "0:25");
	expect("other", "");
}

/* Beside the run file's program lie those that it starts. */
static void
programs(void **state)
{
	static const char *const names[] = { "qmail-start", "qmail-send",
		"qmail-vdeliver", "qmail-smtpd" };
	char run[300], path[64];

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		snprintf(path, sizeof(path), "bin/%s", names[i]);
		svc_put(path, "");
		assert_int_equal(chmod(folder_path(path), 0755), 0);
	}
	for (int i = 1; i <= 2; i++) {
		snprintf(path, sizeof(path), "queue%d", i);
		put_service(path, NULL);
		snprintf(path, sizeof(path), "service/queue%d/run", i);
		snprintf(run, sizeof(run),
		    "exec envdir '/e' \\\n    '%s/bin/qmail-start' '/q'\n",
		    folder);
		svc_put(path, run);
		assert_int_equal(chmod(folder_path(path), 0755), 0);
	}
	put_service("qmail-smtpd.a", "127.0.0.1:25");
	snprintf(
	    run, sizeof(run), "sh -c '' \\\n '%s/bin/qmail-smtpd' x\n", folder);
	svc_put("service/qmail-smtpd.a/run", run);
	assert_int_equal(
	    chmod(folder_path("service/qmail-smtpd.a/run"), 0755), 0);
	expect("all are there", "");
	remove(folder_path("bin/qmail-send"));
	assert_int_equal(chmod(folder_path("bin/qmail-smtpd"), 0644), 0);
	expect("one is missing, one cannot be run",
	    "E ~/bin/qmail-smtpd: the program that services run is missing, or "
	    "cannot be run -- install mqmail there again\n"
	    "E ~/bin/qmail-send: the program that services run is missing\n");
	/* What an operator has written otherwise is not judged. */
	svc_put("service/queue1/run", "exec /x/qmail-start /q\n");
	svc_put("service/queue2/run", "exec 'qmail-start' /q\n");
	svc_put("service/qmail-smtpd.a/run", "");
	for (int i = 1; i <= 2; i++) {
		snprintf(path, sizeof(path), "service/queue%d/run", i);
		assert_int_equal(chmod(folder_path(path), 0755), 0);
	}
	assert_int_equal(
	    chmod(folder_path("service/qmail-smtpd.a/run"), 0755), 0);
	expect("by hand", "");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		SVC_TEST(run_files),
		SVC_TEST(queues_without_a_service),
		SVC_TEST(ports),
		SVC_TEST(programs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
