/* SPDX-License-Identifier: ISC */
/* The Maildir++ quota and its file, maildirsize. */
#include "mailbox/quota.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/scan.h"
#include "mailbox/maildir.h"
#include "mailbox/quota_scan.h"

static const char file_name[] = "maildirsize";

enum {
	FILE_MAX = 5120,     /* Maildir++: larger ones are made again */
	STALE_S = 15 * 60,   /* Maildir++: how long "full" is believed */
	LINE_VALUE_MAX = 20, /* digits of a number, with its sign */
	LOCK_TRIES = 5,
	LOCK_PAUSE_MS = 20,
	ALERT_INTERVAL_MS = 60 * 1000
};

/* Numbers are at most this, so that sums of a file's lines never overflow. */
static const uint64_t VALUE_MAX = INT64_MAX / FILE_MAX;

/* The last byte, in lower case, is c, and something stands before it. */
static bool
ends_in(const char *text, size_t length, char c)
{
	return length > 1 && tolower((unsigned char)text[length - 1]) == c;
}

/* Takes "[k|m|g|t][b][s]" off the end; returns the power of two it means. */
static unsigned
parse_unit(const char *text, size_t *length)
{
	static const char units[] = "kmgt";

	*length -= ends_in(text, *length, 's');
	*length -= ends_in(text, *length, 'b');
	for (unsigned i = 0; units[i] != '\0'; i++)
		if (ends_in(text, *length, units[i])) {
			--*length;
			return (i + 1) * 10;
		}
	return 0;
}

/* One term of a quota.  At most one gives each limit. */
static bool
parse_term(const char *text, size_t length, struct quota *quota, bool seen[2])
{
	bool is_count = ends_in(text, length, 'c');
	unsigned shift = 0;
	uint64_t value;

	if (is_count)
		length--;
	else
		shift = parse_unit(text, &length);
	if (seen[is_count] ||
	    !scan_u64n(text, length, (uint64_t)INT64_MAX >> shift, &value))
		return false;
	seen[is_count] = true;
	*(is_count ? &quota->count : &quota->bytes) = value << shift;
	return true;
}

static bool
says_none(const char *text, size_t length)
{
	static const char *const words[] = { "", "NOQUOTA", "unlimited",
		"none" };

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strlen(words[i]) == length &&
		    strncasecmp(text, words[i], length) == 0)
			return true;
	return false;
}

/* As quota_read(); what is read need not be a whole text. */
static int
parse_quota(const char *text, size_t length, struct quota *quota_out)
{
	struct quota quota = { 0 };
	bool seen[2] = { false, false };

	*quota_out = quota;
	if (says_none(text, length))
		return 0;
	for (;;) {
		const char *comma = memchr(text, ',', length);
		size_t term = comma == NULL ? length : (size_t)(comma - text);

		if (!parse_term(text, term, &quota, seen))
			return -1;
		if (comma == NULL)
			break;
		text += term + 1;
		length -= term + 1;
	}
	*quota_out = quota;
	return quota.bytes != 0 || quota.count != 0;
}

int
quota_read(const char *text, struct quota *quota_out, struct error *err)
{
	int result = parse_quota(text, strlen(text), quota_out);

	if (result == -1)
		error_set(err,
		    "'%.60s' is no quota: write NOQUOTA, or bytes (50000000S "
		    "or 50M), or messages (1000C), or both (50M,1000C)",
		    text);
	return result;
}

/* Logs a quota that cannot be read, unless one was in the last minute. */
static void
alert_unreadable(const struct error *err)
{
	static atomic_int_least64_t next_ms;
	int64_t now = clock_ms(), next = atomic_load(&next_ms);

	if (now >= next &&
	    atomic_compare_exchange_strong(
		&next_ms, &next, now + ALERT_INTERVAL_MS))
		log_line("alert: a user has no readable quota, so that mail is "
			 "delivered without a limit: %s (svctool check finds "
			 "who it is)",
		    err->text);
}

int
quota_parse(const char *text, struct quota *quota_out)
{
	struct error err;
	int result = quota_read(text, quota_out, &err);

	if (result != -1)
		return result;
	alert_unreadable(&err);
	return 0;
}

/* A signed number of at most VALUE_MAX. */
static bool
parse_signed(const char *text, size_t length, int64_t *value_out)
{
	bool is_negative = length > 0 && *text == '-';
	uint64_t value;

	if (is_negative) {
		text++;
		length--;
	}
	if (!scan_u64n(text, length, VALUE_MAX, &value))
		return false;
	*value_out = is_negative ? -(int64_t)value : (int64_t)value;
	return true;
}

/* "bytes count", blanks before, between and behind (Courier pads). */
static bool
parse_line(const char *text, size_t length, struct quota_usage *usage)
{
	const char *end = text + length;
	int64_t values[2];

	for (int i = 0; i < 2; i++) {
		const char *start;

		while (text < end && *text == ' ')
			text++;
		start = text;
		while (text < end && *text != ' ')
			text++;
		if (!parse_signed(start, (size_t)(text - start), &values[i]))
			return false;
	}
	while (text < end && *text == ' ')
		text++;
	usage->bytes += values[0];
	usage->count += values[1];
	return text == end;
}

bool
quota_read_text(const char *text, size_t length, struct quota *quota_out,
    struct quota_usage *usage_out, unsigned *lines_out)
{
	const char *end = text + length;
	const char *newline = memchr(text, '\n', length);

	*usage_out = (struct quota_usage){ 0 };
	*lines_out = 0;
	if (length > FILE_MAX || newline == NULL ||
	    parse_quota(text, (size_t)(newline - text), quota_out) != 1)
		return false;
	for (text = newline + 1; text < end; text = newline + 1) {
		newline = memchr(text, '\n', (size_t)(end - text));
		if (newline == NULL ||
		    !parse_line(text, (size_t)(newline - text), usage_out))
			return false;
		(*lines_out)++;
	}
	return *lines_out > 0 && usage_out->bytes >= 0 && usage_out->count >= 0;
}

/* What maildirsize says. */
struct remembered {
	struct quota_usage usage;
	unsigned lines;
	time_t changed_at;
};

/* 1; 0 when there is none of use for this quota; -1. */
static int
load_quota(int maildir_fd, const struct quota *quota, struct remembered *out,
    struct error *err)
{
	AUTO(file_close)
	int fd = openat(maildir_fd, file_name,
	    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	char text[FILE_MAX + 1];
	struct quota old;
	struct stat st;
	ssize_t n;

	/* A link is not a file of ours: rename() will replace it. */
	if (fd == -1 && (errno == ENOENT || errno == ELOOP))
		return 0;
	if (fd == -1)
		return error_sys(err, "cannot open '%s'", file_name);
	n = read(fd, text, sizeof(text));
	if (n == -1 || fstat(fd, &st) == -1)
		return error_sys(err, "cannot read '%s'", file_name);
	if (!quota_read_text(text, (size_t)n, &old, &out->usage, &out->lines))
		return 0;
	out->changed_at = st.st_mtime;
	return old.bytes == quota->bytes && old.count == quota->count;
}

bool
quota_fits(const struct quota *quota, const struct quota_usage *usage,
    const struct quota_usage *added)
{
	return (quota->bytes == 0 ||
		   usage->bytes + added->bytes <= (int64_t)quota->bytes) &&
	    (quota->count == 0 ||
		usage->count + added->count <= (int64_t)quota->count);
}

enum quota_answer
quota_look(int maildir_fd, const struct quota *quota,
    const struct quota_usage *added, time_t now, struct quota_usage *usage_out,
    struct error *err)
{
	struct remembered remembered;
	int result = load_quota(maildir_fd, quota, &remembered, err);

	if (result == -1)
		return QUOTA_FAILED;
	if (result == 0)
		return QUOTA_UNKNOWN;
	*usage_out = remembered.usage;
	if (quota_fits(quota, usage_out, added))
		return QUOTA_FITS;
	/* Dated in the future: by a clock that was wrong; nobody knows when. */
	if (remembered.lines == 1 && remembered.changed_at <= now &&
	    now - remembered.changed_at < STALE_S)
		return QUOTA_FULL;
	return QUOTA_SEEMS_FULL;
}

static int
append_quota(int maildir_fd, const char *text, size_t length, struct error *err)
{
	AUTO(file_close)
	int fd = openat(maildir_fd, file_name,
	    O_WRONLY | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd == -1)
		return error_sys(err, "cannot open '%s'", file_name);
	if (file_write_all(fd, text, length) == -1)
		return error_sys(err, "cannot write to '%s'", file_name);
	return 0;
}

/* Waits that many pauses at most: 1; 0 when another still has it; -1. */
static int
lock_maildir(int maildir_fd, int how, int pauses, struct error *err)
{
	int tries = 0;

	while (flock(maildir_fd, how | LOCK_NB) == -1) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return error_sys(err, "cannot lock the Maildir");
		if (errno == EWOULDBLOCK && tries++ == pauses)
			return 0;
		if (errno == EWOULDBLOCK)
			clock_sleep_ms(LOCK_PAUSE_MS);
	}
	return 1;
}

int
quota_add(int maildir_fd, const struct quota_usage *added, struct error *err)
{
	int locked = lock_maildir(maildir_fd, LOCK_SH, 0, err);
	char line[2 * LINE_VALUE_MAX + 3];
	int result, length;

	if (locked == -1)
		return -1;
	length = snprintf(line, sizeof(line), "%lld %lld\n",
	    (long long)added->bytes, (long long)added->count);
	result = append_quota(maildir_fd, line, (size_t)length, err);
	if (result == -1 && (errno == ENOENT || errno == ELOOP))
		result = 0;
	if (locked == 1)
		flock(maildir_fd, LOCK_UN);
	return result;
}

/*
 * What others append while we count comes behind this place in the old file,
 * which is made when there is none.  -1 in *fd_out: it is a link.
 */
static int
open_old(int maildir_fd, int *fd_out, off_t *end_out, struct error *err)
{
	struct stat st;

	*fd_out = openat(maildir_fd, file_name,
	    O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
	if (*fd_out == -1 && errno == ELOOP)
		return 0;
	if (*fd_out == -1)
		return error_sys(err, "cannot open '%s'", file_name);
	if (fstat(*fd_out, &st) == 0) {
		*end_out = st.st_size;
		return 0;
	}
	return error_sys(err, "cannot stat '%s'", file_name);
}

/*
 * Takes the lines behind end over into the file that has replaced the old one.
 * What does not fit here makes it too large, and so made again.
 */
static int
carry_over(int maildir_fd, int old_fd, off_t end, struct error *err)
{
	char text[FILE_MAX + 1];
	ssize_t n = pread(old_fd, text, sizeof(text), end);

	if (n == -1)
		return error_sys(err, "cannot read '%s'", file_name);
	return n == 0 ? 0 : append_quota(maildir_fd, text, (size_t)n, err);
}

static int
store_quota(int maildir_fd, const struct quota *quota,
    const struct quota_usage *usage, struct error *err)
{
	char path[MAILDIR_NAME_SIZE + 4] = "tmp/", host[MAILDIR_HOST_SIZE];
	char text[4 * LINE_VALUE_MAX + 6];
	AUTO(file_close) int fd = -1;
	int length = 0;

	if (quota->bytes != 0)
		length = snprintf(text, sizeof(text), "%lluS%s",
		    (unsigned long long)quota->bytes,
		    quota->count != 0 ? "," : "");
	if (quota->count != 0)
		length += snprintf(text + length, sizeof(text) - (size_t)length,
		    "%lluC", (unsigned long long)quota->count);
	length += snprintf(text + length, sizeof(text) - (size_t)length,
	    "\n%lld %lld\n", (long long)usage->bytes, (long long)usage->count);
	maildir_host(host);
	maildir_make_name(path + 4, host);
	fd = openat(maildir_fd, path,
	    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd == -1)
		return error_sys(err, "cannot create '%s'", path);
	if (file_write_all(fd, text, (size_t)length) == -1 ||
	    renameat(maildir_fd, path, maildir_fd, file_name) == -1) {
		error_sys(err, "cannot write '%s'", file_name);
		unlinkat(maildir_fd, path, 0);
		return -1;
	}
	return 0;
}

static int
recalculate_locked(int maildir_fd, const struct quota *quota,
    struct quota_usage *usage_out, struct error *err)
{
	off_t old_end = 0;
	AUTO(file_close) int old_fd = -1;
	int result;

	if (open_old(maildir_fd, &old_fd, &old_end, err) == -1)
		return -1;
	result = quota_scan(maildir_fd, usage_out, err);
	if (result == 0)
		result = store_quota(maildir_fd, quota, usage_out, err);
	if (result == 0 && old_fd != -1)
		result = carry_over(maildir_fd, old_fd, old_end, err);
	return result;
}

int
quota_recalculate(int maildir_fd, const struct quota *quota,
    struct quota_usage *usage_out, struct error *err)
{
	int locked = lock_maildir(maildir_fd, LOCK_EX, LOCK_TRIES, err);
	int result, saved_errno;

	if (locked == 0) {
		error_set(err,
		    "another process has the Maildir locked, as "
		    "while its size is counted: try again later");
		errno = EWOULDBLOCK;
	}
	if (locked != 1)
		return -1;
	result = recalculate_locked(maildir_fd, quota, usage_out, err);
	saved_errno = errno;
	flock(maildir_fd, LOCK_UN);
	errno = saved_errno;
	return result;
}
