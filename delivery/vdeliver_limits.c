/* SPDX-License-Identifier: ISC */
/*
 * What operators may ask of each Maildir besides its quota: that a message
 * which came before is dropped, and how much may come in a day.
 *
 * Both are remembered in files of the Maildir, behind a delivery; they are not
 * synced, since what a crash loses of them lets in a message too many.
 *
 * maildirdups: 256 records of three numbers: when, a hash of the Message-ID,
 * and one of the message's UUID, since a delivery that is made again is no
 * second message.  The oldest makes room.
 *
 * maildirday: "YYYYMMDD BYTES COUNT" LF, of the last day with mail.
 */
#include <openssl/sha.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "delivery/header.h"
#include "delivery/outcome.h"
#include "delivery/vdeliver_private.h"

enum { RECORDS = 256, DAY_TEXT_MAX = 64 };

struct record {
	int64_t at_s;
	uint64_t message_id;
	uint64_t uuid;
};

static int
open_in_maildir(const struct maildir *maildir, const char *name, int flags)
{
	return openat(maildir->dir_fd, name,
	    flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
}

/* -- duplicates */

static uint64_t
hash_bytes(const void *data, size_t length)
{
	unsigned char digest[SHA256_DIGEST_LENGTH];
	uint64_t value;

	SHA256(data, length, digest);
	memcpy(&value, digest, sizeof(value));
	return value != 0 ? value : 1;
}

/* Of the Message-ID; 0: it has none, or it cannot be read. */
static uint64_t
hash_message_id(const struct vdeliver_message *message)
{
	AUTO(header_release) struct header header = { .text = BUF_INIT };
	const struct job *job = &message->job;
	const char *id;

	if (job->body != NULL)
		header_read(&header, job->body,
		    job->size_bytes < HEADER_BYTES_MAX ? job->size_bytes
						       : HEADER_BYTES_MAX);
	else if (header_read_fd(&header, message->fd, job->size_bytes, NULL) ==
	    -1)
		return 0;
	id = header_get(&header, "Message-ID");
	return id == NULL || *id == '\0' ? 0 : hash_bytes(id, strlen(id));
}

static uint64_t
hash_uuid(const struct vdeliver_item *item)
{
	return hash_bytes(item->message->job.uuid.bytes, UUID_BYTES);
}

static bool
read_records(int fd, struct record records[RECORDS])
{
	size_t size = RECORDS * sizeof(*records);

	memset(records, 0, size);
	return pread(fd, records, size, 0) >= 0;
}

static bool
was_here(struct vdeliver_item *item, time_t now)
{
	const struct vdeliver *vdeliver = item->message->vdeliver;
	struct record records[RECORDS];
	AUTO(file_close) int fd = -1;
	uint64_t uuid = hash_uuid(item);

	item->duplicate_hash = hash_message_id(item->message);
	if (item->duplicate_hash == 0)
		return false;
	fd = open_in_maildir(item->maildir, "maildirdups", O_RDONLY);
	if (fd == -1 || !read_records(fd, records))
		return false;
	for (size_t i = 0; i < RECORDS; i++)
		if (records[i].message_id == item->duplicate_hash &&
		    records[i].uuid != uuid && records[i].at_s <= now &&
		    (uint64_t)(now - records[i].at_s) <
			vdeliver->config.options.duplicates_s)
			return true;
	return false;
}

static void
remember_message(const struct vdeliver_item *item, time_t now)
{
	AUTO(file_close)
	int fd = open_in_maildir(
	    item->maildir, "maildirdups", O_RDWR | O_CREAT);
	struct record records[RECORDS];
	struct record mine = { now, item->duplicate_hash, hash_uuid(item) };
	size_t oldest = 0;

	if (fd == -1 || flock(fd, LOCK_EX | LOCK_NB) == -1 ||
	    !read_records(fd, records))
		return;
	for (size_t i = 1; i < RECORDS; i++)
		if (records[i].at_s < records[oldest].at_s)
			oldest = i;
	if (pwrite(fd, &mine, sizeof(mine), (off_t)(oldest * sizeof(mine))) ==
	    -1)
		return; /* the next one comes, too */
}

/* -- a day's mail */

struct day {
	unsigned long date;
	struct quota_usage usage;
};

static unsigned long
date_of(time_t now)
{
	struct tm tm;

	localtime_r(&now, &tm);
	return (unsigned long)(tm.tm_year + 1900) * 10000 +
	    (unsigned long)(tm.tm_mon + 1) * 100 + (unsigned long)tm.tm_mday;
}

/* What has come today. */
static struct day
read_day(int fd, time_t now)
{
	char text[DAY_TEXT_MAX];
	struct day day = { .date = 0 };
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	if (sscanf(text, "%8lu %18" SCNd64 " %18" SCNd64, &day.date,
		&day.usage.bytes, &day.usage.count) != 3 ||
	    day.date != date_of(now))
		day = (struct day){ .date = date_of(now) };
	return day;
}

static bool
is_day_full(const struct vdeliver_item *item, time_t now)
{
	const struct vdeliver_options *options =
	    &item->message->vdeliver->config.options;
	const struct maildir *maildir = item->maildir;
	AUTO(file_close)
	int fd = open_in_maildir(maildir, "maildirday", O_RDONLY);
	struct day day = { .date = 0 };
	const struct quota_usage *waiting = &maildir->waiting;

	if (fd != -1)
		day = read_day(fd, now);
	return (options->day_count > 0 &&
		   (uint64_t)(day.usage.count + waiting->count) >=
		       options->day_count) ||
	    (options->day_bytes > 0 &&
		(uint64_t)(day.usage.bytes + waiting->bytes) + item->size >
		    options->day_bytes);
}

static void
add_to_day(const struct vdeliver_item *item, time_t now)
{
	AUTO(file_close)
	int fd = open_in_maildir(item->maildir, "maildirday", O_RDWR | O_CREAT);
	char text[DAY_TEXT_MAX];
	struct day day;
	int length;

	if (fd == -1 || flock(fd, LOCK_EX | LOCK_NB) == -1)
		return;
	day = read_day(fd, now);
	length = snprintf(text, sizeof(text),
	    "%08lu %18" PRId64 " %18" PRId64 "\n", day.date,
	    day.usage.bytes + (int64_t)item->size, day.usage.count + 1);
	if (pwrite(fd, text, (size_t)length, 0) == -1)
		return; /* one message more today */
}

/* -- the step */

void
item_check_limits(struct vdeliver_item *item)
{
	const struct vdeliver_options *options =
	    &item->message->vdeliver->config.options;
	time_t now;

	item_make_front(item);
	if (!options->drops_duplicates && options->day_count == 0 &&
	    options->day_bytes == 0) {
		item_check_quota(item);
		return;
	}
	now = time(NULL);
	if (options->drops_duplicates && was_here(item, now))
		outcome_duplicate(item);
	else if (!item_is_for_postmaster(item) && is_day_full(item, now))
		outcome_day_full(item);
	else {
		item_check_quota(item);
		return;
	}
	item_end(item);
}

void
limits_remember(const struct vdeliver_item *item)
{
	const struct vdeliver_options *options =
	    &item->message->vdeliver->config.options;
	time_t now;

	if (item->duplicate_hash == 0 && options->day_count == 0 &&
	    options->day_bytes == 0)
		return;
	now = time(NULL);
	if (item->duplicate_hash != 0)
		remember_message(item, now);
	if (options->day_count > 0 || options->day_bytes > 0)
		add_to_day(item, now);
}
