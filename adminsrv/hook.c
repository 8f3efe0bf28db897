/* SPDX-License-Identifier: ISC */
/* The operator's program that is told of each change. */
#include "adminsrv/hook.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control/node_setting.h"
#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/program.h"

extern char **environ;

/* The environment with COMMAND; its items are the process's own. */
static char **
make_environment(char *command)
{
	size_t count = 0, at = 0;
	char **environment;

	while (environ[count] != NULL)
		count++;
	environment = xcalloc(count + 2, sizeof(*environment));
	for (size_t i = 0; i < count; i++)
		if (strncmp(environ[i], "COMMAND=", 8) != 0)
			environment[at++] = environ[i];
	environment[at] = command;
	return environment;
}

/* A descriptor that the list can be read from, or an empty one. */
static int
open_list(const char *const *items, size_t count, struct error *err)
{
	AUTO(buf_release) struct buf text = BUF_INIT;
	int fd = memfd_create("changes", MFD_CLOEXEC);

	for (size_t i = 0; i < count; i++)
		buf_addf(&text, "%s\n", items[i]);
	if (fd == -1 || file_write_all(fd, text.data, text.length) == -1 ||
	    lseek(fd, 0, SEEK_SET) == -1) {
		error_sys(err, "cannot make the list of changes");
		file_close(&fd);
	}
	return fd;
}

static int
run_to_end(const char *program, char *const argv[], char *const environment[],
    int fd, struct error *err)
{
	const struct program_fd input = { fd, 0 };
	pid_t pid = program_start(program, argv, environment, &input, 1, err);
	int status;

	if (pid == -1)
		return -1;
	while (waitpid(pid, &status, 0) == -1)
		if (errno != EINTR)
			return error_sys(err, "cannot wait for '%s'", program);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	return error_set(err, "'%s' %s %d", program,
	    WIFEXITED(status) ? "exited with" : "was ended by signal",
	    WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
}

enum admin_result
hook_run(const struct home *home, const char *command, const char *const *items,
    size_t count, bool is_list, struct error *err)
{
	AUTO(buf_release) struct buf program = BUF_INIT;
	OWN_TEXT variable = xasprintf("COMMAND=%s", command);
	AUTO(mem_free) char **environment = NULL;
	AUTO(mem_free) const char **argv = NULL;
	AUTO(file_close) int fd = -1;

	if (node_setting_text(
		home->control, SETTING_posthandle, &program, err) == -1)
		return ADMIN_FAILED;
	if (program.length == 0)
		return ADMIN_OK;
	environment = make_environment(variable);
	argv = xcalloc(count + 2, sizeof(*argv));
	argv[0] = program.data;
	for (size_t i = 0; !is_list && i < count; i++)
		argv[i + 1] = items[i];
	fd = open_list(items, is_list ? count : 0, err);
	if (fd != -1 &&
	    run_to_end(program.data, (char *const *)(uintptr_t)argv,
		environment, fd, err) == 0)
		return ADMIN_OK;
	error_context(err, "the change is made, but not handled");
	return ADMIN_FAILED;
}
