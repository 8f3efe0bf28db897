/* SPDX-License-Identifier: ISC */
/* Looks into lock/journal of older releases. */
#include "queue/journal_old.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "base/wire.h"
#include "queue/dir.h"
#include "queue/idmap.h"

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

/* The whole file; all that is not there is NULs.  0, 1, or -1 with errno. */
static int
read_old(int lock_folder, struct buf *data)
{
	size_t whole = (size_t)HALVES * HALF_BYTES;
	int fd = openat(
	    lock_folder, QUEUE_JOURNAL, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	int result;

	if (fd == -1)
		return errno == ENOENT ? 0 : -1;
	result = queue_read(fd, data);
	close(fd);
	if (result == -1)
		return -1;
	if (data->length < whole) {
		buf_reserve(data, whole - data->length);
		memset(data->data + data->length, 0, whole - data->length);
	}
	return 1;
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
	struct idmap counting = { .slots = NULL };
	bool result;

	if (generations[older] + 1 == generations[!older])
		read_old_half(halves[older], generations[older], &counting);
	if (generations[!older] != 0)
		read_old_half(halves[!older], generations[!older], &counting);
	result = counting.count > 0;
	idmap_release(&counting);
	return result;
}

int
journal_old_check(int lock_folder, const char *queue_path, struct error *err)
{
	struct buf data = BUF_INIT;
	int result = read_old(lock_folder, &data);

	if (result == -1)
		error_sys(
		    err, "cannot read '%s/lock/" QUEUE_JOURNAL "'", queue_path);
	else if (result == 1 && has_counting(data.data))
		result = error_set(err,
		    "'%s/lock/" QUEUE_JOURNAL
		    "' holds mail of an older release (start the release that "
		    "wrote it and stop it cleanly, or run its queue-fix)",
		    queue_path);
	buf_release(&data);
	return result == -1 ? -1 : 0;
}

int
journal_old_remove(int lock_folder, const char *queue_path, struct error *err)
{
	if (journal_old_check(lock_folder, queue_path, err) == -1)
		return -1;
	if (unlinkat(lock_folder, QUEUE_JOURNAL, 0) == -1 && errno != ENOENT)
		return error_sys(err,
		    "cannot remove '%s/lock/" QUEUE_JOURNAL "'", queue_path);
	return 0;
}
