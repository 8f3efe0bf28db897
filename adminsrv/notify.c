/* SPDX-License-Identifier: ISC */
/* Tells the running daemons that control files have changed. */
#include "adminsrv/notify.h"

#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/program.h"
#include "base/scan.h"

/* The program whose pid a file of this name holds, or NULL. */
static const char *
daemon_of(const char *file_name)
{
	if (fnmatch("qmail-send.*pid", file_name, 0) == 0)
		return "qmail-send";
	if (fnmatch("qmail-smtpd.*pid", file_name, 0) == 0)
		return "qmail-smtpd";
	if (fnmatch("qmail-pop3d.*pid", file_name, 0) == 0)
		return "qmail-pop3d";
	return NULL;
}

static bool
read_pid(const char *path, pid_t *pid_out)
{
	AUTO(buf_release) struct buf text = BUF_INIT;
	uint64_t pid;

	if (file_read(path, 64, &text, NULL) != 1 ||
	    !scan_u64n(text.data, strcspn(text.data, "\n"), INT32_MAX, &pid) ||
	    pid <= 1)
		return false;
	*pid_out = (pid_t)pid;
	return true;
}

int
notify_daemons(const char *run_dir, struct error *err)
{
	DIR *dir = opendir(run_dir);
	struct dirent *entry;
	int result = 0;

	if (dir == NULL && errno == ENOENT)
		return 0;
	if (dir == NULL)
		return error_sys(err, "cannot look into '%s'", run_dir);
	while ((entry = readdir(dir)) != NULL) {
		OWN_TEXT path = xasprintf("%s/%s", run_dir, entry->d_name);
		const char *program = daemon_of(entry->d_name);
		pid_t pid;

		/* HUP ends a program that does not expect it: only ours. */
		if (program != NULL && read_pid(path, &pid) &&
		    program_is(pid, program) && kill(pid, SIGHUP) == -1 &&
		    errno != ESRCH)
			result = error_sys(err,
			    "cannot tell %s (pid %ld of '%s') to read its "
			    "files again: send it HUP as root",
			    program, (long)pid, path);
	}
	closedir(dir);
	return result;
}
