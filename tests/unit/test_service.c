/* SPDX-License-Identifier: ISC */
/* Tests of svctool/run/service.c; whole queues are in tests/integration. */
#include "svctool/run/service.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/capture.h"
#include "tests/unit/svc_node.h"

static void
make(
    struct maker *maker, enum listener_kind kind, const char *ip, uint16_t port)
{
	struct port_address address = { .port = port };
	struct capture capture;
	struct error err = { "" };
	int result;

	snprintf(address.ip, sizeof(address.ip), "%s", ip);
	capture = capture_begin(1);
	result = service_make_listener(maker, kind, &address, &err);
	free(capture_end(&capture));
	if (result == -1)
		fail_msg("%s", err.text);
}

static void
kinds(void **state)
{
	static const struct {
		enum listener_kind kind;
		const char *ip, *listen, *options;
		uint16_t port;
	} rows[] = {
		{ LISTENER_SMTP, "0.0.0.0", "0.0.0.0:25\n", "\n", 25 },
		{ LISTENER_SUBMISSION, "127.0.0.1", "127.0.0.1:587\n",
		    "--submission\n", 587 },
		{ LISTENER_SUBMISSIONS, "127.0.0.1", "127.0.0.1:466\n",
		    "--submission --smtps\n", 466 },
		{ LISTENER_ODMR, "127.0.0.1", "127.0.0.1:366\n", "--odmr\n",
		    366 },
		{ LISTENER_SMTPS, "::1", "[::1]:465\n", "--smtps\n", 465 },
		{ LISTENER_LMTP, "127.0.0.1", "127.0.0.1:24\n", "--lmtp\n",
		    24 },
		{ LISTENER_QMTP, "127.0.0.1", "127.0.0.1:209\n", "--qmtp\n",
		    209 },
		{ LISTENER_QMQP, "127.0.0.1", "127.0.0.1:628\n", "--qmqp\n",
		    628 },
	};
	struct maker maker = { .node = node };

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		static const char *const parts[] = { "run", "log/run" };
		char path[96];
		struct stat st;

		make(&maker, rows[i].kind, rows[i].ip, rows[i].port);
		snprintf(path, sizeof(path),
		    "service/qmail-smtpd.%u/variables/LISTEN", rows[i].port);
		svc_expect_file(path, rows[i].listen);
		snprintf(path, sizeof(path),
		    "service/qmail-smtpd.%u/variables/OPTIONS", rows[i].port);
		svc_expect_file(path, rows[i].options);
		for (size_t j = 0; j < 2; j++) {
			snprintf(path, sizeof(path),
			    "service/qmail-smtpd.%u/%s", rows[i].port,
			    parts[j]);
			assert_int_equal(stat(folder_path(path), &st), 0);
			assert_int_equal(st.st_mode & 07777, 0755);
		}
		snprintf(
		    path, sizeof(path), "log/qmail-smtpd.%u", rows[i].port);
		assert_true(svc_has(path));
	}
}

/* svscan would start half a service: it appears whole, or not. */
static void
what_a_killed_run_left(void **state)
{
	struct maker maker = { .node = node };

	(void)state;
	svc_put("service/.new-qmail-smtpd.25/variables/LISTEN", "half\n");
	svc_put("service/.new-qmail-smtpd.25/rest", "x");
	make(&maker, LISTENER_SMTP, "127.0.0.1", 25);
	svc_expect_file(
	    "service/qmail-smtpd.25/variables/LISTEN", "127.0.0.1:25\n");
	assert_false(svc_has("service/.new-qmail-smtpd.25"));
	assert_false(svc_has("service/qmail-smtpd.25/rest"));
}

/* Made again, it keeps what the operator wrote and adds what is missing. */
static void
again(void **state)
{
	struct maker maker = { .node = node };
	unsigned made;

	(void)state;
	make(&maker, LISTENER_SMTP, "127.0.0.1", 25);
	svc_put("service/qmail-smtpd.25/variables/LISTEN", "127.0.0.1:26\n");
	remove(folder_path("service/qmail-smtpd.25/log/run"));
	made = maker.made;
	make(&maker, LISTENER_LMTP, "127.0.0.1", 25);
	svc_expect_file(
	    "service/qmail-smtpd.25/variables/LISTEN", "127.0.0.1:26\n");
	svc_expect_file("service/qmail-smtpd.25/variables/OPTIONS", "\n");
	assert_true(svc_has("service/qmail-smtpd.25/log/run"));
	assert_int_equal(maker.made, made + 1);
}

/* Who does not run need not be told. */
static void
hangup(void **state)
{
	struct error err = { "" };
	struct capture capture;
	int result;
	char *said;

	(void)state;
	svc_dir("service/s");
	capture = capture_begin(1);
	result = service_hangup(node, "s", &err);
	said = capture_end(&capture);
	assert_int_equal(result, 0);
	assert_string_equal(said, "");
	free(said);
}

/* A queue whose queue-fix fails leaves no folder that looks like one. */
static void
a_queue_that_cannot_be_made(void **state)
{
	struct maker maker = { .node = node };
	struct error err = { "" };
	struct capture capture;
	int result;

	(void)state;
	free(node->programs);
	node->programs = strdup(folder_path("none"));
	assert_int_equal(service_make_queue(&maker, "queue1", &err), -1);
	assert_non_null(strstr(err.text, "/none/queue-fix'"));
	assert_false(svc_has("queue/queue1"));
	assert_false(svc_has("service/queue1"));
	/* One that is there is kept, and gets its service. */
	svc_dir("queue/queue1");
	capture = capture_begin(1);
	result = service_make_queue(&maker, "queue1", &err);
	free(capture_end(&capture));
	assert_int_equal(result, 0);
	assert_true(svc_has("service/queue1/run"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		SVC_TEST(kinds),
		SVC_TEST(what_a_killed_run_left),
		SVC_TEST(again),
		SVC_TEST(hangup),
		SVC_TEST(a_queue_that_cannot_be_made),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
