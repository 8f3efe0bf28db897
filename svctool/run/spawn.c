/* SPDX-License-Identifier: ISC */
/* Runs other programs and waits for them. */
#include "svctool/run/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stddef.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

int
spawn_wait(const char *const argv[], const char *input_path, struct error *err)
{
	posix_spawn_file_actions_t actions;
	pid_t pid;
	int status;

	/* posix_spawn does not change the strings (POSIX, RATIONALE of exec) */
	union {
		const char *const *in;
		char *const *out;
	} words = { .in = argv };

	posix_spawn_file_actions_init(&actions);
	if (input_path != NULL) {
		posix_spawn_file_actions_addopen(
		    &actions, 0, input_path, O_RDONLY, 0);
		posix_spawn_file_actions_addopen(
		    &actions, 1, "/dev/null", O_WRONLY, 0);
	}
	errno = posix_spawnp(&pid, argv[0], &actions, NULL, words.out, environ);
	posix_spawn_file_actions_destroy(&actions);
	if (errno != 0)
		return error_sys(err, "cannot run '%s'", argv[0]);
	while (waitpid(pid, &status, 0) == -1)
		if (errno != EINTR)
			return error_sys(err, "cannot wait for '%s'", argv[0]);
	if (WIFSIGNALED(status))
		return error_set(err, "'%s' was killed by signal %d", argv[0],
		    WTERMSIG(status));
	if (WEXITSTATUS(status) != 0)
		return error_set(err, "'%s' failed with exit code %d", argv[0],
		    WEXITSTATUS(status));
	return 0;
}
