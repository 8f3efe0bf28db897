/* SPDX-License-Identifier: ISC */
/* What the first release left in a queue. */
#include "queue/upgrade.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/scan.h"
#include "base/wire.h"
#include "queue/idmap.h"

/* -- its journal */

static const char magic[] = "mqmail journal 1\n";

/* Two halves, each a header and records of its generation. */
enum {
	HALVES = 2,
	HALF_BYTES = 2 * 1024 * 1024,
	HEADER_BYTES = 512,
	RECORD_MIN = 25, /* of an end */
	CRC_BYTES = 4,
	GENERATION_AT = 8
};

/* The whole file; all that is not there is NULs.  0, or -1 with errno. */
static int
read_old(int fd, struct buf *data)
{
	size_t whole = (size_t)HALVES * HALF_BYTES;

	if (queue_read(fd, data) == -1)
		return -1;
	if (data->length < whole) {
		buf_reserve(data, whole - data->length);
		memset(data->data + data->length, 0, whole - data->length);
	}
	return 0;
}

/* 0 when a half has no header, as one that was never used. */
static uint64_t
get_old_generation(const char *half)
{
	struct wire_reader reader;

	if (memcmp(half, magic, strlen(magic)) != 0)
		return 0;
	wire_open(&reader, half + strlen(magic), HEADER_BYTES - strlen(magic));
	return wire_get_u64(&reader);
}

/* The record there; how long it is, or 0 when there is none. */
static size_t
get_old_record(const char *data, size_t length, uint64_t generation,
    bool *is_end_out, uint64_t *id_out)
{
	struct wire_reader reader;
	uint32_t expected, size;

	wire_open(&reader, data, length);
	expected = wire_get_u32(&reader);
	size = wire_get_u32(&reader);
	if (size > reader.left || wire_get_u64(&reader) != generation ||
	    crc32_z(0, (const Bytef *)data + CRC_BYTES,
		CRC_BYTES + (size_t)size) != expected)
		return 0;
	*is_end_out = wire_get_u8(&reader) == '-';
	*id_out = wire_get_u64(&reader);
	return *id_out == 0 ? 0 : GENERATION_AT + (size_t)size;
}

/* Behind a damaged place there may be others. */
static void
read_old_half(const char *half, uint64_t generation, struct idmap *counting)
{
	size_t at = HEADER_BYTES, size;
	bool is_end;
	uint64_t id;

	for (; at + RECORD_MIN <= HALF_BYTES; at += size == 0 ? 1 : size) {
		size = get_old_record(
		    half + at, HALF_BYTES - at, generation, &is_end, &id);
		if (size != 0 && is_end)
			idmap_remove(counting, id);
		else if (size != 0)
			idmap_put(counting, id, NULL);
	}
}

static bool
has_counting(const char *data)
{
	const char *halves[HALVES] = { data, data + HALF_BYTES };
	uint64_t generations[HALVES] = { get_old_generation(halves[0]),
		get_old_generation(halves[1]) };
	unsigned older = generations[1] < generations[0];
	AUTO(idmap_release) struct idmap counting = { .slots = NULL };

	if (generations[older] + 1 == generations[!older])
		read_old_half(halves[older], generations[older], &counting);
	if (generations[!older] != 0)
		read_old_half(halves[!older], generations[!older], &counting);
	return counting.count > 0;
}

int
upgrade_check_journal(const struct queue_dir *dir, struct error *err)
{
	AUTO(file_close)
	int fd = openat(queue_dir_fd(dir, QUEUE_LOCK, 0), QUEUE_JOURNAL,
	    O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	AUTO(buf_release) struct buf data = BUF_INIT;

	if (fd == -1 && errno == ENOENT)
		return 0;
	if (fd == -1 || read_old(fd, &data) == -1)
		return error_sys(
		    err, "cannot read '%s/lock/" QUEUE_JOURNAL "'", dir->path);
	if (!has_counting(data.data))
		return 0;
	return error_set(err,
	    "'%s/lock/" QUEUE_JOURNAL
	    "' holds mail of an older release (start the release that "
	    "wrote it and stop it cleanly, or run its queue-fix)",
	    dir->path);
}

/* -- its files */

enum { PATH_SIZE = 272 }; /* of a name in a folder */

struct upgrade {
	const struct queue_dir *dir;
	const struct upgrade_options *options;
	struct error *err;
	unsigned count;
};

/* "ID.e", the envelope file of a pair? */
static bool
read_spare_name(const char *name, uint64_t *id_out)
{
	size_t length = strlen(name);

	return length > 2 && strcmp(name + length - 2, ".e") == 0 &&
	    scan_u64n(name, length - 2, UINT64_MAX, id_out) && *id_out != 0;
}

/* 1, 0, or -1 with the reason. */
static int
has(const struct upgrade *upgrade, enum queue_folder folder, uint64_t id)
{
	int result = queue_stat(upgrade->dir, folder, id, NULL);

	return result != -1
	    ? result
	    : error_sys(upgrade->err, "cannot look for '%s/%s/%llu'",
		  upgrade->dir->path, queue_folder_name(folder),
		  (unsigned long long)id);
}

/* Removes a file of a folder, whose path in the queue is for people. */
static int
drop(struct upgrade *upgrade, int folder, const char *name, const char *path)
{
	const struct upgrade_options *options = upgrade->options;

	upgrade->count++;
	if (options->say != NULL)
		options->say(path, options->context);
	if (options->is_test || unlinkat(folder, name, 0) == 0 ||
	    errno == ENOENT)
		return 0;
	return error_sys(
	    upgrade->err, "cannot remove '%s/%s'", upgrade->dir->path, path);
}

/* Whatever is interrupted leaves pid/ID.e, to be found again. */
static int
drop_pair(struct upgrade *upgrade, const char *envelope_name, uint64_t id)
{
	const struct queue_dir *dir = upgrade->dir;
	char name[QUEUE_NAME_SIZE], path[PATH_SIZE];
	int is_queued = has(upgrade, QUEUE_TODO, id);
	int has_mess = has(upgrade, QUEUE_MESS, id);

	if (is_queued == 0)
		is_queued = has(upgrade, QUEUE_INFO, id);
	if (is_queued == -1 || has_mess == -1)
		return -1;
	queue_name(name, id);
	snprintf(
	    path, sizeof(path), "mess/%" PRIu64 "/%s", id % dir->split, name);
	if (!is_queued && has_mess &&
	    drop(upgrade, queue_dir_fd(dir, QUEUE_MESS, id), name, path) == -1)
		return -1;
	snprintf(path, sizeof(path), "pid/%s", envelope_name);
	return drop(
	    upgrade, queue_dir_fd(dir, QUEUE_PID, 0), envelope_name, path);
}

static int
visit_pid(int folder, const struct dirent *entry, void *context)
{
	uint64_t id;

	(void)folder;
	return read_spare_name(entry->d_name, &id)
	    ? drop_pair(context, entry->d_name, id)
	    : 0;
}

/* In lock/, if it is there and of that type. */
static int
drop_from_lock(struct upgrade *upgrade, const char *path, mode_t type)
{
	int lock = queue_dir_fd(upgrade->dir, QUEUE_LOCK, 0);
	const char *name = path + strlen("lock/");
	struct stat st;

	return fstatat(lock, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		(st.st_mode & S_IFMT) == type
	    ? drop(upgrade, lock, name, path)
	    : 0;
}

int
queue_drop_spares(const struct queue_dir *dir,
    const struct upgrade_options *options, struct error *err)
{
	static const struct upgrade_options plain = { .is_test = false };
	struct upgrade upgrade = { .dir = dir,
		.options = options == NULL ? &plain : options,
		.err = err };

	/* First, as messages in it would look like spare files. */
	if (upgrade_check_journal(dir, err) == -1 ||
	    queue_list_folder(dir, QUEUE_PID, 0, visit_pid, &upgrade, err) ==
		-1 ||
	    drop_from_lock(&upgrade, "lock/" QUEUE_JOURNAL, S_IFREG) == -1 ||
	    drop_from_lock(&upgrade, "lock/workers", S_IFSOCK) == -1)
		return -1;
	if (upgrade.count > 0 && upgrade.options->say == NULL)
		log_line("removed %u files that an older release left",
		    upgrade.count);
	return 0;
}
