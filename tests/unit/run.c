/* SPDX-License-Identifier: ISC */
/*
 * The unit tests of one folder's files: runs those of the files that are named
 * (lane or test_lane), or of the one whose name the program is called by; else
 * all.  Each file has a process of its own.  Exit: 0 when all passed.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define UNIT(name) int name##_main(void);
#include UNIT_LIST
#undef UNIT

static const struct unit_file {
	const char *name;
	int (*run)(void);
} unit_files[] = {
#define UNIT(name) { #name, name##_main },
#include UNIT_LIST
};

enum { UNIT_FILES = sizeof(unit_files) / sizeof(unit_files[0]) };

static const struct unit_file *
find_unit_file(const char *name)
{
	size_t prefix = strncmp(name, "test_", 5) == 0 ? 0 : 5, i;

	for (i = 0; i < UNIT_FILES; i++)
		if (strcmp(unit_files[i].name + prefix, name) == 0)
			return &unit_files[i];
	return NULL;
}

static int
run_unit_file(const struct unit_file *file)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		exit(file->run());
	if (pid == -1 || waitpid(pid, &status, 0) != pid) {
		fprintf(stderr, "%s: %s\n", file->name, strerror(errno));
		return 1;
	}
	if (status != 0)
		fprintf(stderr, "%s: failed (%s %d)\n", file->name,
		    WIFEXITED(status) ? "exit code" : "signal",
		    WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
	return status != 0;
}

int
main(int argc, char **argv)
{
	const char *slash = strrchr(argv[0], '/');
	const struct unit_file *file = find_unit_file(
	    slash != NULL ? slash + 1 : argv[0]);
	int failed = 0, i;

	if (file != NULL)
		return file->run();
	for (i = 1; i < argc; i++) {
		file = find_unit_file(argv[i]);
		if (file == NULL) {
			fprintf(stderr, "no tests of '%s' here\n", argv[i]);
			return 100;
		}
		failed |= run_unit_file(file);
	}
	for (i = 0; argc == 1 && i < UNIT_FILES; i++)
		failed |= run_unit_file(&unit_files[i]);
	return failed;
}
