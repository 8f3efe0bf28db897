/* SPDX-License-Identifier: ISC */
/* Tests of init_sweep() in svctool/init/control.c; which files go is in
 * test_file_sweep.c. */
#include "svctool/init/init.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sys/wait.h>

#include "tests/unit/capture.h"
#include "tests/unit/svc_node.h"

/* A process number that is nobody's any more. */
static pid_t
gone(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	return pid;
}

static int
sweep(struct maker *maker)
{
	struct capture capture = capture_begin(1);
	struct error err;
	int result = init_sweep(maker, &err);

	free(capture_end(&capture));
	return result;
}

static void
every_folder_of_settings(void **state)
{
	static const char *const folders[] = { "control", "control/global_vars",
		"users", "tls" };
	struct maker maker = { .node = node };
	pid_t pid = gone();
	char path[96];

	(void)state;
	assert_int_equal(sweep(&maker), 0);
	assert_int_equal(maker.made, 0);
	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		snprintf(
		    path, sizeof(path), "%s/x.tmp.%ld", folders[i], (long)pid);
		svc_put(path, "half");
	}
	snprintf(path, sizeof(path), "queue/x.tmp.%ld", (long)pid);
	svc_put(path, "not ours to judge");
	assert_int_equal(sweep(&maker), 0);
	assert_int_equal(maker.made, sizeof(folders) / sizeof(folders[0]));
	assert_true(svc_has(path));
	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		snprintf(
		    path, sizeof(path), "%s/x.tmp.%ld", folders[i], (long)pid);
		if (svc_has(path))
			fail_msg("%s", path);
	}
	svc_expect_file("control/me", "m.test\n");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		SVC_TEST(every_folder_of_settings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
