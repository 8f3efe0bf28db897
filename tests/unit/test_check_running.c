/* SPDX-License-Identifier: ISC */
/* Tests of svctool/check/running.c; a running node's are integration tests. */
#include "svctool/check/check.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "svctool/run/supervise.h"
#include "tests/unit/check_node.h"

/* supervise's status at 2^62 + 10 + 1000 seconds, and the low byte of a pid. */
#define STATUS(pid) "\x40\0\0\0\0\0\x03\xf2\0\0\0\0" pid "\0\0\0\0d"

static void
expect(const char *name, const char *wanted)
{
	struct check check = check_begin();

	check_running(&check);
	check_expect(&check, name, wanted);
	check_release(&check);
}

static void
put_status(const char *name, const char *status)
{
	char path[96];

	snprintf(path, sizeof(path), "service/%s/supervise", name);
	svc_dir(path);
	snprintf(path, sizeof(path), "service/%s/supervise/status", name);
	folder_write(path, status, SUPERVISE_STATUS_SIZE);
}

static void
a_node_that_does_not_run(void **state)
{
	static const char meant[] = "N ~/service: the node is not running -- "
				    "svctool start\n";
	static const char not_meant[] =
	    "E ~/service: the node is not running, and nobody stopped it: 1 of "
	    "its services ran until they, or the host, went down -- svctool "
	    "start, and see the ends of its logs\n";

	(void)state;
	expect("no services", "");
	svc_dir("service/queue1");
	svc_dir("service/other");
	expect("never started", meant);
	put_status("queue1", STATUS("\0"));
	put_status("other", STATUS("\0"));
	expect("stopped", meant);
	put_status("queue1", STATUS("\x07"));
	expect("killed", not_meant);
	supervise_forget(folder_path("service/queue1"));
	supervise_forget(folder_path("service/other"));
	assert_false(svc_has("service/queue1/supervise/status"));
	assert_true(svc_has("service/other/supervise/status"));
	expect("killed, and the rest of it stopped", meant);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		SVC_TEST(a_node_that_does_not_run),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
