/* SPDX-License-Identifier: ISC */
/* Maildirs that were too full for a message. */
#include "mailbox/over_quota.h"

#include <openssl/sha.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/program.h"
#include "base/vars.h"

enum { SLOTS = 65536, COMMAND_MS = 10000, COMMAND_GRACE_MS = 1000 };

/* In the byte order of this host. */
struct mark {
	uint64_t key; /* a hash of the folder's name */
	int64_t at_s; /* 0: no mark */
	struct quota quota;
	struct quota_usage usage;
	uint64_t small_bytes;
	uint64_t check; /* a hash of the rest: it may be read half written */
};
_Static_assert(sizeof(struct mark) == 64, "without holes");

struct over_quota {
	int fd;
};

struct over_quota *
over_quota_open(const char *path, bool is_to_change)
{
	int fd = open(path,
	    (is_to_change ? O_RDWR : O_RDONLY) | O_NOFOLLOW | O_NONBLOCK |
		O_CLOEXEC);
	struct over_quota *marks;

	if (fd == -1)
		return NULL;
	marks = xmalloc(sizeof(*marks));
	marks->fd = fd;
	return marks;
}

void
over_quota_free(struct over_quota **marks)
{
	if (*marks != NULL)
		file_close(&(*marks)->fd);
	free(*marks);
	*marks = NULL;
}

static uint64_t
hash_bytes(const void *data, size_t length)
{
	unsigned char digest[SHA256_DIGEST_LENGTH];
	uint64_t value;

	SHA256(data, length, digest);
	memcpy(&value, digest, sizeof(value));
	return value;
}

/* Sets the key; the place in the file. */
static off_t
mark_begin(struct mark *mark, const char *user_dir)
{
	*mark = (struct mark){ .key = hash_bytes(user_dir, strlen(user_dir)) };
	return (off_t)(mark->key % SLOTS * sizeof(*mark));
}

static uint64_t
mark_check(const struct mark *mark)
{
	return hash_bytes(mark, offsetof(struct mark, check));
}

static bool
mark_read(
    const struct over_quota *marks, const struct mark *wanted, off_t at,
    struct mark *mark_out)
{
	return pread(marks->fd, mark_out, sizeof(*mark_out), at) ==
	    (ssize_t)sizeof(*mark_out) &&
	    mark_out->at_s != 0 &&
	    mark_out->key == wanted->key &&
	    mark_out->check == mark_check(mark_out);
}

static void
mark_write(const struct over_quota *marks, struct mark *mark, off_t at)
{
	mark->check = mark_check(mark);
	if (pwrite(marks->fd, mark, sizeof(*mark), at) == -1)
		return; /* then RCPT takes the mail, and it bounces */
}

void
over_quota_set(const struct over_quota *marks, const char *user_dir,
    const struct quota *quota, const struct quota_usage *usage,
    uint64_t small_bytes, time_t now)
{
	struct mark mark;
	off_t at;

	if (marks == NULL)
		return;
	at = mark_begin(&mark, user_dir);
	mark.at_s = now;
	mark.quota = *quota;
	mark.usage = *usage;
	mark.small_bytes = small_bytes;
	mark_write(marks, &mark, at);
}

void
over_quota_clear(const struct over_quota *marks, const char *user_dir)
{
	struct mark none, mark;
	off_t at;

	if (marks == NULL)
		return;
	at = mark_begin(&none, user_dir);
	if (mark_read(marks, &none, at, &mark))
		mark_write(marks, &none, at);
}

/* The mark of that quota, if it counts. */
static bool
mark_find(const struct over_quota *marks, const char *user_dir,
    const struct quota *quota, time_t now, struct mark *mark_out)
{
	struct mark wanted;
	off_t at;

	if (marks == NULL)
		return false;
	at = mark_begin(&wanted, user_dir);
	return mark_read(marks, &wanted, at, mark_out) &&
	    mark_out->at_s <= now && now - mark_out->at_s < OVER_QUOTA_MARK_S &&
	    mark_out->quota.bytes == quota->bytes &&
	    mark_out->quota.count == quota->count;
}

bool
over_quota_is_known(const struct over_quota *marks, const char *user_dir,
    const struct quota *quota, time_t now)
{
	struct mark mark;

	return mark_find(marks, user_dir, quota, now, &mark);
}

bool
over_quota_refuses(const struct over_quota *marks, const char *user_dir,
    const struct quota *quota, uint64_t size_bytes, time_t now)
{
	const struct quota_usage added = {
		size_bytes < INT64_MAX / 2 ? (int64_t)size_bytes : INT64_MAX / 2,
		1,
	};
	struct mark mark;

	return mark_find(marks, user_dir, quota, now, &mark) &&
	    size_bytes > mark.small_bytes &&
	    !quota_fits(quota, &mark.usage, &added);
}

/* -- a program of the operator's */

static void
run_command(const char *program, const struct over_quota_user *user,
    char *const environment[])
{
	OWN_TEXT path = xstrdup(program);
	OWN_TEXT address = xstrdup(user->address);
	char numbers[4][24];
	char *const argv[] = { path, address, numbers[0], numbers[1],
		numbers[2], numbers[3], NULL };
	/* 0 and 1 may be a client's, or qmail-send's. */
	AUTO(file_close) int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	const struct program_fd fds[] = { { fd, 0 }, { fd, 1 } };
	struct error err;
	int status;
	pid_t pid;

	snprintf(numbers[0], sizeof(numbers[0]), "%" PRId64, user->usage.bytes);
	snprintf(numbers[1], sizeof(numbers[1]), "%" PRId64, user->usage.count);
	snprintf(numbers[2], sizeof(numbers[2]), "%" PRIu64, user->quota.bytes);
	snprintf(numbers[3], sizeof(numbers[3]), "%" PRIu64, user->quota.count);
	pid = fd == -1
	    ? error_sys(&err, "cannot open /dev/null")
	    : program_start(program, argv, environment, fds, 2, &err);
	if (pid == -1)
		log_line("warning: overquotacmd '%s' for <%s>: %s", program,
		    user->address, err.text);
	else if (program_wait(pid, COMMAND_MS, &status) != 1) {
		program_stop(pid, COMMAND_GRACE_MS);
		log_line("warning: overquotacmd '%s' for <%s>: it did not end "
			 "in time",
		    program, user->address);
	}
}

void
over_quota_run(const char *program, const struct over_quota_user *user)
{
	AUTO(vars_release) struct vars vars = VARS_INIT;
	char **environment;

	vars_set(&vars, "USER", user->address);
	vars_set(&vars, "HOME", user->user_dir);
	vars_set(&vars, "SERVICE", user->service);
	environment = vars_make_environment(&vars);
	run_command(program, user, environment);
	vars_free_environment(environment);
}
