/* SPDX-License-Identifier: ISC */
/*
 * lock/journal as a broken disk, or somebody else, left it.
 *
 * The first byte says how the rest becomes the file: 0 it is the file; else it
 * is two generations (a byte each, 0: no header), the length of the first
 * half's records (2 bytes), and those of both halves; with 2 they get right
 * sums.
 */
#include <assert.h>
#include <endian.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "base/file.h"
#include "queue/fix.h"
#include "queue/journal.h"
#include "queue/journal_view.h"

enum { AS_IT_IS, IN_HALVES, WITH_SUMS, KINDS };
enum { INPUT_HEADER = 5, MESSAGE_ID = 7, MESSAGE_BYTES = 5 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct queue_dir *dir;
static char base[] = "/dev/shm/mqmail-fuzz.XXXXXX";

static void
remove_base(void)
{
	file_remove_tree(base, NULL);
}

/* A queue with one message. */
static void
set_up(void)
{
	struct fix_options options = {
		.split = 1, .uid = (uid_t)-1, .gid = (gid_t)-1
	};
	struct error err;
	char path[64];
	int fd;

	if (mkdtemp(base) == NULL || freopen("/dev/null", "w", stdout) == NULL)
		abort();
	atexit(remove_base);
	snprintf(path, sizeof(path), "%s/q", base);
	if (queue_fix(path, &options, &err) == -1)
		abort();
	dir = queue_dir_open(path, &err);
	fd = queue_open_file(dir, QUEUE_MESS, MESSAGE_ID, O_WRONLY | O_CREAT);
	if (fd == -1 || ftruncate(fd, MESSAGE_BYTES) == -1)
		abort();
	close(fd);
}

/* Gives what is as long as a record the sum of one. */
static void
set_sums(struct buf *half)
{
	size_t at = JOURNAL_HEADER_BYTES;
	uint32_t length, sum;

	while (at + 8 <= half->length) {
		memcpy(&length, half->data + at + 4, sizeof(length));
		length = le32toh(length);
		if (length > half->length - at - 8)
			return;
		sum = htole32((uint32_t)crc32(
		    0, (const Bytef *)half->data + at + 4, 4 + length));
		memcpy(half->data + at, &sum, sizeof(sum));
		at += 8 + length;
	}
}

static void
add_half(struct buf *file, unsigned half, int kind, uint8_t generation,
    const uint8_t *data, size_t size)
{
	struct buf content = BUF_INIT;

	buf_init(&content);
	if (generation != 0)
		journal_put_header(&content, generation);
	if (size > JOURNAL_HALF_BYTES - content.length)
		size = JOURNAL_HALF_BYTES - content.length;
	buf_add(&content, data, size);
	if (kind == WITH_SUMS)
		set_sums(&content);
	memcpy(file->data + half * (size_t)JOURNAL_HALF_BYTES, content.data,
	    content.length);
	buf_release(&content);
}

static void
write_file(const void *data, size_t size)
{
	int fd = openat(queue_dir_fd(dir, QUEUE_LOCK, 0), QUEUE_JOURNAL,
	    O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd == -1 || file_write_all(fd, data, size) == -1)
		abort();
	close(fd);
}

static void
write_halves(int kind, const uint8_t *data, size_t size)
{
	size_t first, left = size - INPUT_HEADER,
		      whole = JOURNAL_HALVES * (size_t)JOURNAL_HALF_BYTES;
	struct buf file = BUF_INIT;

	buf_reserve(&file, whole);
	memset(file.data, 0, whole);
	first = data[3] + 256U * data[4];
	if (first > left)
		first = left;
	add_half(&file, 0, kind, data[1], data + INPUT_HEADER, first);
	add_half(
	    &file, 1, kind, data[2], data + INPUT_HEADER + first, left - first);
	write_file(file.data, whole);
	buf_release(&file);
}

/* No number is 0 or there twice, and each envelope is inside of the file. */
static void
check_view(const struct journal_view *view)
{
	const char *data = view->data.data;
	size_t i, other;

	for (i = 0; i < view->count; i++) {
		const struct journal_record *record = &view->records[i];

		assert(record->id != 0 && !record->is_over);
		assert(record->envelope >= data &&
		    record->envelope + record->length <=
			data + view->data.length);
		for (other = 0; other < i; other++)
			assert(view->records[other].id != record->id);
	}
}

/* Each envelope has its file, unless its message is another one. */
static void
check_files(const struct journal_view *view)
{
	size_t i;

	for (i = 0; i < view->count; i++) {
		const struct journal_record *record = &view->records[i];
		int fd = queue_open_file(dir, QUEUE_TODO, record->id, O_RDONLY);
		struct buf content = BUF_INIT;

		if (record->id == MESSAGE_ID &&
		    record->size_bytes != MESSAGE_BYTES) {
			assert(fd == -1);
			continue;
		}
		if (record->id == MESSAGE_ID && fd == -1)
			continue; /* by its time */
		assert(fd != -1);
		if (queue_read(fd, &content) == -1)
			abort();
		close(fd);
		assert(content.length == record->length);
		assert(record->length == 0 ||
		    memcmp(content.data, record->envelope, record->length) ==
			0);
		buf_release(&content);
		queue_unlink(dir, QUEUE_TODO, record->id);
	}
}

/*
 * Are there records of the generations that come next?  No process wrote them
 * below these headers, and they will count.
 */
static bool
has_later(const struct journal_view *view)
{
	uint64_t newest = view->generations[0] > view->generations[1]
	    ? view->generations[0]
	    : view->generations[1];
	struct journal_record record;
	unsigned half, next;

	for (half = 0; half < JOURNAL_HALVES && view->data.length > 0; half++)
		for (next = 1; next <= JOURNAL_HALVES; next++) {
			size_t at = 0;

			if (journal_get_record(view->data.data +
				    half * (size_t)JOURNAL_HALF_BYTES,
				JOURNAL_HALF_BYTES, newest + next, &at,
				&record))
				return true;
		}
	return false;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct journal_view view, empty;
	bool is_forged;
	struct journal *journal;
	struct error err;

	if (dir == NULL)
		set_up();
	if (size < INPUT_HEADER)
		return 0;
	if (data[0] % KINDS == AS_IT_IS)
		write_file(data + 1, size - 1);
	else
		write_halves(data[0] % KINDS, data, size);
	if (journal_view_open(dir, &view, &err) == -1)
		abort();
	check_view(&view);
	is_forged = has_later(&view);
	if (journal_open(dir, true, &journal, &err) == -1 || journal == NULL)
		abort();
	check_files(&view);
	journal_view_release(&view);
	if (journal_view_open(dir, &empty, &err) == -1)
		abort();
	assert(is_forged || (empty.count == 0 && !empty.is_damaged));
	journal_view_release(&empty);
	journal_close(&journal);
	return 0;
}
