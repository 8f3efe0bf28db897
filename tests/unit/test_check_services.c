/* SPDX-License-Identifier: ISC */
/* Tests of svctool/check/services.c. */
#include "svctool/check/check.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/check_node.h"
#include "tests/unit/greeter.h"
#include "tests/unit/port.h"
#include "tests/unit/certificate.h"

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

/* Only where somebody asks it. */
static void
lookups(void **state)
{
	(void)state;
	svc_put("control/userstore", "pgsql\n");
	expect("none", "E ~/service/lookup: userstore says pgsql, and\n");
	put_service("lookup", NULL);
	expect("both", "");
	svc_put("control/userstore", "cdb\n");
	expect("back to cdb",
	    "W ~/service/lookup: userstore says cdb, and this still asks a "
	    "database that nobody needs -- 'touch ~/service/lookup/down'\n");
	put_service("pgsql", NULL);
	expect("of its own",
	    "that nobody needs, which is the service pgsql -- \n");
	svc_put("service/lookup/down", "");
	expect("it was stopped", "");
}

static void
ports(void **state)
{
	static const struct {
		const char *first, *second, *wanted;
	} rows[] = {
		{ "127.0.0.9:18225", "127.0.0.9:18226", "" },
		{ "127.0.0.9:18225", "127.0.0.8:18225", "" },
		{ "127.0.0.9:18225", "127.0.0.9:18225",
		    "E ~/service/qmail-smtpd.b/variables/LISTEN: port 18225 is "
		    "also that of qmail-smtpd.a -- change one of them\n" },
		{ "0.0.0.0:18225", "127.0.0.9:18225",
		    "port 18225 is also that of\n" },
		{ "127.0.0.9:18225", ":18225", "port 18225 is also that of\n" },
		{ "0:18225", ":18226", "" },
		/* As qmail-smtpd takes it, no other way. */
		{ "25", "0:18226",
		    "'--listen 25' has no port of 0 to 65535 -- "
		    "write ADDRESS:PORT\n" },
		{ "x", "127.0.0.9:18225",
		    "E ~/service/qmail-smtpd.a/variables/LISTEN\n" },
		{ "", "127.0.0.9:18225",
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
	put_service("qmail-smtpd.a", "0:18225");
	put_service("qmail-smtpd.b", "0:18226");
	put_service("other", "0:18225");
	expect("other", "");
}

/* A port that another program has, unless the listener is not to start. */
static void
taken_ports(void **state)
{
	struct port_address address;
	int fd = port_take(&address);
	const struct greeter own = {
		.fd = fd, .name = "qmail-smtpd", .cwd = folder
	};
	char listen[96], wanted[160];
	pid_t pid;

	(void)state;
	snprintf(listen, sizeof(listen), "%s:%u", address.ip, address.port);
	put_service("qmail-smtpd.a", listen);
	snprintf(wanted, sizeof(wanted),
	    "E ~/service/qmail-smtpd.a/variables/LISTEN: port %u on 127.0.0.1 "
	    "is taken by test_check_serv (pid %ld), so the listener cannot "
	    "start -- stop that\n",
	    address.port, (long)getpid());
	expect("another's", wanted);
	svc_put("service/qmail-smtpd.a/down", "");
	expect("not to start", "");
	remove(folder_path("service/qmail-smtpd.a/down"));
	pid = greeter_start(&own);
	close(fd);
	expect("the node's own", "");
	put_service("qmail-smtpd.a", "192.0.2.1:18225");
	expect("another host's",
	    "E ~/service/qmail-smtpd.a/variables/LISTEN: cannot listen on "
	    "192.0.2.1 port 18225: Cannot assign requested address -- \n");
	greeter_end(pid);
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
	put_service("qmail-smtpd.a", "127.0.0.9:18225");
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

static void
expect_of_tls(const char *name, const char *wanted)
{
	struct check check = check_begin();

	check_tls(&check);
	check_expect(&check, name, wanted);
	check_release(&check);
}

static void
certificates(void **state)
{
	enum { DAY_S = 86400 };
	static const struct {
		const char *name;
		long valid_s;
		const char *wanted;
	} rows[] = {
		{ "a year", 365 * DAY_S, "" },
		{ "15 days", 15 * DAY_S, "" },
		{ "13 days", 13 * DAY_S,
		    "W ~/tls/servercert.pem: the certificate expires within "
		    "two weeks -- put a new one there, then svc -h\n" },
		{ "expired", -10,
		    "E ~/tls/servercert.pem: the certificate has expired -- "
		    "put a new one there\n" },
	};

	(void)state;
	expect_of_tls("no listener", "");
	put_service("qmail-smtpd.a", "127.0.0.9:18225");
	expect_of_tls("none",
	    "W ~/tls/servercert.pem: there is none, so STARTTLS is not "
	    "offered -- put\n");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		certificate_write(
		    folder_path("tls/servercert.pem"), rows[i].valid_s);
		expect_of_tls(rows[i].name, rows[i].wanted);
	}
	/* check_starts() says so. */
	svc_put("tls/servercert.pem", "no certificate\n");
	expect_of_tls("junk", "");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		SVC_TEST(queues_without_a_service),
		SVC_TEST(lookups),
		SVC_TEST(ports),
		SVC_TEST(taken_ports),
		SVC_TEST(programs),
		SVC_TEST(certificates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
