/* SPDX-License-Identifier: ISC */
/* Tests of base/sync_pool.h. */
#include "base/sync_pool.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"

/* Each kind of job, with the errno that the kernel has for it. */
enum kind { GOOD_FILE, FOLDER, CLOSED, SOCKET, KINDS };

static const int wanted[KINDS] = { 0, 0, EBADF, EINVAL };

static char folder[] = "/tmp/test_sync_pool.XXXXXX";
static int fds[KINDS];

static int
set_up(void **state)
{
	char path[64];

	(void)state;
	if (mkdtemp(folder) == NULL)
		return -1;
	snprintf(path, sizeof(path), "%s/file", folder);
	fds[GOOD_FILE] = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	fds[FOLDER] = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fds[CLOSED] = -1;
	fds[SOCKET] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	close(fds[GOOD_FILE]);
	close(fds[FOLDER]);
	close(fds[SOCKET]);
	return file_remove_tree(folder, NULL);
}

/* Every job gets its own result, with fewer threads or more than jobs. */
static void
test_results(void **state)
{
	static const struct {
		unsigned threads;
		size_t jobs, rounds;
	} cases[] = {
		{ 0, 0, 2 },
		{ 0, 1, 2 },
		{ 0, 9, 2 },
		{ 1, 1, 50 },
		{ 1, 10, 20 },
		{ 4, 1, 50 },
		{ 4, 3, 50 },
		{ 4, 40, 20 },
		{ 16, 7, 50 },
		{ 16, 100, 5 },
	};
	struct sync_job jobs[100];
	size_t i, round, job;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sync_pool *pool = sync_pool_new(cases[i].threads);

		for (round = 0; round < cases[i].rounds; round++) {
			for (job = 0; job < cases[i].jobs; job++) {
				enum kind kind = (job + round) % KINDS;

				jobs[job] = (struct sync_job){ fds[kind],
					kind == FOLDER, -1 };
			}
			sync_pool_run(pool, jobs, cases[i].jobs);
			for (job = 0; job < cases[i].jobs; job++)
				if (jobs[job].error !=
				    wanted[(job + round) % KINDS])
					fail_msg("%u threads, job %zu: wanted "
						 "%d, got %d",
					    cases[i].threads, job,
					    wanted[(job + round) % KINDS],
					    jobs[job].error);
		}
		sync_pool_free(&pool);
		assert_null(pool);
		sync_pool_free(&pool);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_results),
	};

	return cmocka_run_group_tests_name(
	    "sync_pool", tests, set_up, tear_down);
}
