/* SPDX-License-Identifier: ISC */
/* What supervise (daemontools) knows and does. */
#include "svctool/run/supervise.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "svctool/run/proc.h"

/* TAI64: seconds from 1970 TAI, plus 2^62; Unix time 0 is 10 s later. */
static const uint64_t TAI64_UNIX_ZERO = UINT64_C(4611686018427387914);

/*
 * Status: 12 bytes TAI64N, 4 bytes pid (low byte first), paused, and what is
 * wanted ('u', 'd', 0 as run says).
 */
bool
supervise_parse(const unsigned char *status, size_t length,
    struct supervise_state *state_out)
{
	uint64_t label = 0;
	uint32_t pid = 0;

	if (length != SUPERVISE_STATUS_SIZE)
		return false;
	for (int i = 0; i < 8; i++)
		label = label << 8 | status[i];
	for (int i = 3; i >= 0; i--)
		pid = pid << 8 | status[12 + i];
	/* From 2^63 on TAI64 has no seconds. */
	if (label < TAI64_UNIX_ZERO || label > INT64_MAX || pid > INT32_MAX)
		return false;
	state_out->since = (time_t)(label - TAI64_UNIX_ZERO);
	state_out->pid = (pid_t)pid;
	state_out->is_wanted_up = status[17] == 'u' ||
	    (status[17] != 'd' && pid != 0);
	return true;
}

/*
 * A fifo for writing: nothing else, and by no link, since root writes here into
 * what may be a user's folder.  -1 with errno.
 */
static int
open_fifo(const char *path)
{
	int fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
	struct stat st;

	if (fd != -1 && (fstat(fd, &st) == -1 || !S_ISFIFO(st.st_mode))) {
		close(fd);
		errno = ENOTSUP;
		return -1;
	}
	return fd;
}

/* The fifo "ok" has a reader as long as supervise lives. */
static bool
is_supervised(const char *folder)
{
	OWN_TEXT path = xasprintf("%s/supervise/ok", folder);
	AUTO(file_close) int fd = open_fifo(path);

	return fd != -1;
}

/* Does the service run as another process than the status has? */
static void
look_at_process(const char *folder, struct supervise_state *state)
{
	pid_t pid = proc_find_supervised(folder, state->pid);

	if (pid == state->pid)
		return;
	state->pid = pid;
	state->since = 0;
}

int
supervise_read(
    const char *folder, struct supervise_state *state_out, struct error *err)
{
	OWN_TEXT path = xasprintf("%s/supervise/status", folder);
	AUTO(buf_release) struct buf buf = BUF_INIT;
	int result;

	memset(state_out, 0, sizeof(*state_out));
	result = file_read(path, 256, &buf, err);
	if (result == 1 &&
	    !supervise_parse(
		(const unsigned char *)buf.data, buf.length, state_out))
		result = error_set(
		    err, "'%s' is not a status of supervise", path);
	state_out->is_supervised = is_supervised(folder);
	/* Without supervise the file is what was, not what is. */
	if (!state_out->is_supervised) {
		state_out->was_up = state_out->pid != 0;
		state_out->pid = 0;
	} else if (result == 1)
		look_at_process(folder, state_out);
	return result;
}

void
supervise_forget(const char *folder)
{
	OWN_TEXT path = xasprintf("%s/supervise/status", folder);
	struct supervise_state state;

	if (supervise_read(folder, &state, NULL) == 1 && state.was_up)
		unlink(path);
}

int
supervise_send(const char *folder, const char *letters, struct error *err)
{
	OWN_TEXT path = xasprintf("%s/supervise/control", folder);
	AUTO(file_close) int fd = -1;

	if (!is_supervised(folder))
		return 0;
	fd = open_fifo(path);
	return fd == -1 || file_write_all(fd, letters, strlen(letters)) == -1
	    ? error_sys(err, "cannot write to '%s'", path)
	    : 1;
}
