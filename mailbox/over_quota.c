/* SPDX-License-Identifier: ISC */
/* Maildirs that were too full for a message. */
#include "mailbox/over_quota.h"

#include <openssl/sha.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

enum { SLOTS = 65536 };

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

bool
over_quota_refuses(const struct over_quota *marks, const char *user_dir,
    const struct quota *quota, uint64_t size_bytes, time_t now)
{
	const struct quota_usage added = {
		size_bytes < INT64_MAX / 2 ? (int64_t)size_bytes : INT64_MAX / 2,
		1,
	};
	struct mark wanted, mark;
	off_t at;

	if (marks == NULL)
		return false;
	at = mark_begin(&wanted, user_dir);
	return mark_read(marks, &wanted, at, &mark) && mark.at_s <= now &&
	    now - mark.at_s < OVER_QUOTA_MARK_S &&
	    mark.quota.bytes == quota->bytes &&
	    mark.quota.count == quota->count && size_bytes > mark.small_bytes &&
	    !quota_fits(quota, &mark.usage, &added);
}
