/* SPDX-License-Identifier: ISC */
/* Are a service's log lines written down? */
#include "svctool/show/log_look.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "svctool/run/proc.h"
#include "svctool/wait.h"

enum { STUCK_MS = 1000 };

const char *
log_look_name(enum log_look look)
{
	static const char *const names[] = {
		[LOG_NONE] = "-",
		[LOG_UP] = "up",
		[LOG_DOWN] = "down",
		[LOG_STOPPED] = "stopped",
		[LOG_STUCK] = "stuck",
		[LOG_FULL] = "full",
	};

	return names[look];
}

static bool
has_log(const struct node *node, const char *name)
{
	OWN_TEXT path = node_path(node, "%s/%s/log", node->home->service, name);

	return access(path, F_OK) == 0;
}

/* No byte, or no inode, is left for whom is not root. */
static bool
is_log_full(const char *folder, struct error *err)
{
	struct statvfs fs;
	bool has_bytes;

	if (statvfs(folder, &fs) == -1)
		return false;
	has_bytes = fs.f_bavail > 0;
	if (has_bytes && (fs.f_files == 0 || fs.f_favail > 0))
		return false;
	error_set(err,
	    "no %s is free on the filesystem of '%s', so no line is written "
	    "there: make room",
	    has_bytes ? "inode" : "byte", folder);
	return true;
}

/* How many bytes wait in the pipe that the process reads; -1: not known. */
static int
waiting_bytes(int fd)
{
	int count;

	return ioctl(fd, FIONREAD, &count) == 0 ? count : -1;
}

/*
 * Does nothing of what waits get read for a while?  What comes meanwhile only
 * makes it more.
 */
static bool
is_stuck(pid_t pid, const char *folder, struct error *err)
{
	int64_t deadline = clock_ms() + STUCK_MS;
	char path[64];
	struct stat st;
	AUTO(file_close) int fd = -1;
	int last, now;

	snprintf(path, sizeof(path), "/proc/%ld/fd/0", (long)pid);
	fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd == -1)
		return false;
	now = fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode) ? waiting_bytes(fd)
							  : 0;
	do {
		last = now;
		now = waiting_bytes(fd);
	} while (last > 0 && now >= last && wait_more(deadline));
	if (last <= 0 || now < last)
		return false;
	error_set(err,
	    "its logger (pid %ld) reads nothing, and %d bytes of log lines "
	    "wait: see whether the disk of '%s' answers, and the end of "
	    "svscan.log",
	    (long)pid, now, folder);
	return true;
}

enum log_look
log_look(const struct node *node, const char *name,
    const struct supervise_state *service, const struct supervise_state *log,
    struct error *err)
{
	OWN_TEXT folder = node_path(node, "%s/%s", node->home->log, name);
	struct proc stopped;

	if (!service->is_supervised || !has_log(node, name))
		return LOG_NONE;
	if (log->is_supervised && log->pid == 0 && !log->is_wanted_up) {
		error_set(err,
		    "its log is down by wish, so nothing is written to '%s': "
		    "'svc -u %s/%s/log' starts it",
		    folder, node->home->service, name);
		return LOG_DOWN;
	}
	if (!log->is_supervised || log->pid == 0) {
		error_set(err,
		    "its log is down, so nothing is written to '%s': the end "
		    "of %s/svscan.log may say why",
		    folder, node->home->log);
		return LOG_DOWN;
	}
	if (proc_find_stopped(log->pid, &stopped)) {
		error_set(err,
		    "its logger (%s, pid %ld) was stopped by a signal: 'kill "
		    "-CONT %ld' lets it go on",
		    stopped.name, (long)stopped.pid, (long)stopped.pid);
		return LOG_STOPPED;
	}
	return is_log_full(folder, err)       ? LOG_FULL
	    : is_stuck(log->pid, folder, err) ? LOG_STUCK
					      : LOG_UP;
}
