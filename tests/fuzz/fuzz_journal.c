/* SPDX-License-Identifier: ISC */
/*
 * lock/journal.0 to .3 as a broken disk, or somebody else, left them.
 *
 * The input is pieces, one for each segment: a byte that says of what kind it
 * is, the count of its generation, two bytes of its length, and the rest.
 * Kinds: nothing; the file as it is; with a header in front; the same, and what
 * is as long as a record gets the right sum, generation and page.
 */
#include <assert.h>
#include <endian.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "base/file.h"
#include "queue/idmap.h"
#include "queue/journal.h"
#include "queue/journal_record.h"
#include "queue/journal_scan.h"

enum { NOTHING, AS_IT_IS, WITH_HEADER, WITH_SUMS, KINDS };
enum { PIECE_HEADER = 4, CHANCE = 0x1234567 };

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct queue_dir *dir;
static char base[] = "/dev/shm/mqmail-fuzz.XXXXXX";

static void
remove_base(void)
{
	file_remove_tree(base, NULL);
}

/* The log is not read; libFuzzer keeps a standard error of its own. */
int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static char flag[] = "-close_fd_mask=2";
	char **longer = calloc((size_t)*argc + 2, sizeof(*longer));

	if (longer == NULL)
		abort();
	memcpy(longer, *argv, (size_t)*argc * sizeof(*longer));
	longer[(*argc)++] = flag;
	*argv = longer;
	return 0;
}

static void
set_up(void)
{
	static const char *const folders[] = { "mess/0", "info/0", "local/0",
		"remote/0", "todo", "intd", "bounce", "pid", "lock" };
	struct error err;
	char path[64];
	size_t i;

	if (mkdtemp(base) == NULL)
		abort();
	atexit(remove_base);
	for (i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", base, folders[i]);
		if (file_make_dirs(path, 0700, &err) == -1)
			abort();
	}
	dir = queue_dir_open(base, &err);
	if (dir == NULL)
		abort();
}

/* What lies there is made a record of this segment, if it can be. */
static void
set_sums(struct buf *file, uint64_t generation)
{
	size_t at = JOURNAL_PAGE_BYTES;
	uint64_t number = htole64(generation);
	uint32_t length, page, sum;

	while (at + JOURNAL_END_BYTES <= file->length) {
		char *record = file->data + at;

		memcpy(&length, record + 4, sizeof(length));
		length = le32toh(length) % 8192;
		if (length > file->length - at - 8)
			return;
		sum = htole32(length);
		memcpy(record + 4, &sum, sizeof(sum));
		memcpy(record + 8, &number, sizeof(number));
		page = htole32(
		    (uint32_t)(at / JOURNAL_PAGE_BYTES) - (record[16] & 1));
		memcpy(record + 16, &page, sizeof(page));
		sum = htole32(
		    (uint32_t)crc32(0, (const Bytef *)record + 4, 4 + length));
		memcpy(record, &sum, sizeof(sum));
		at += 8 + length;
		if (record[21] & 1) /* by the id: a new batch */
			at = (at + JOURNAL_PAGE_BYTES - 1) /
			    JOURNAL_PAGE_BYTES * JOURNAL_PAGE_BYTES;
	}
}

static void
write_segment(
    unsigned place, int kind, uint32_t count, const uint8_t *data, size_t size)
{
	uint64_t generation = (uint64_t)count << 32 | CHANCE;
	struct buf file = BUF_INIT;
	char name[JOURNAL_NAME_SIZE];
	int fd;

	journal_name(name, place);
	fd = openat(queue_dir_fd(dir, QUEUE_LOCK, 0), name,
	    O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd == -1)
		abort();
	if (kind != AS_IT_IS)
		journal_put_header(&file, generation, count);
	buf_add(&file, data, size);
	if (kind == WITH_SUMS)
		set_sums(&file, generation);
	if (file_write_all(fd, file.data, file.length) == -1 ||
	    ftruncate(fd, JOURNAL_SEGMENT_MIN) == -1)
		abort();
	close(fd);
	buf_release(&file);
}

static void
write_pieces(const uint8_t *data, size_t size)
{
	unsigned place;

	for (place = 0; place < JOURNAL_SEGMENTS && size >= PIECE_HEADER;
	     place++) {
		size_t length = data[2] + 256U * data[3];
		int kind = data[0] % KINDS;
		uint32_t count = data[1] * JOURNAL_SEGMENTS + place;

		if (data[0] & 0x80) /* mostly they are neighbours */
			count = data[1];
		size -= PIECE_HEADER;
		if (length > size)
			length = size;
		if (kind != NOTHING)
			write_segment(
			    place, kind, count, data + PIECE_HEADER, length);
		data += PIECE_HEADER + length;
		size -= length;
	}
}

static void
remove_files(void)
{
	int lock = queue_dir_fd(dir, QUEUE_LOCK, 0), number;
	char name[32];

	for (number = 0; number < JOURNAL_SEGMENTS; number++) {
		journal_name(name, (unsigned)number);
		unlinkat(lock, name, 0);
	}
	for (number = 1; number <= JOURNAL_SEGMENTS; number++) {
		snprintf(name, sizeof(name), QUEUE_DAMAGED "%d", number);
		unlinkat(lock, name, 0);
	}
	snprintf(name, sizeof(name), QUEUE_DAMAGED "%d", number);
	assert(faccessat(lock, name, F_OK, 0) == -1);
}

/* -- what is found */

struct counted {
	struct idmap ids;
	const struct journal_view *view; /* what counts must be the same */
	size_t messages;
};

static void
message_found(
    const struct journal_message *message, uint64_t segment, void *context)
{
	struct counted *counted = context;
	const struct journal_message *same;

	assert(message->id != 0 && segment != 0);
	assert(idmap_put(&counted->ids, message->id, NULL));
	if (counted->view == NULL)
		return;
	assert(counted->messages < counted->view->count);
	same = &counted->view->messages[counted->messages++];
	assert(same->id == message->id);
	assert(same->size_bytes == message->size_bytes);
	assert(same->record_length == message->record_length);
	assert(message->record_length == 0 ||
	    memcmp(same->record, message->record, message->record_length) == 0);
	assert((same->body == NULL) == (message->body == NULL));
	assert(message->body == NULL || message->size_bytes == 0 ||
	    memcmp(same->body, message->body, message->size_bytes) == 0);
}

static void
end_found(uint64_t id, const struct uuid *uuid, void *context)
{
	struct counted *counted = context;

	(void)uuid;
	assert(id != 0);
	assert(idmap_put(&counted->ids, id, NULL));
}

static struct journal *
open_journal(struct counted *counted)
{
	struct journal_finder finder = {
		.message = message_found, .ended = end_found, .context = counted
	};
	struct journal *journal;
	struct error err;

	if (journal_open(dir, JOURNAL_SEGMENTS * JOURNAL_SEGMENT_MIN, &finder,
		&journal, &err) == -1)
		abort();
	return journal;
}

/* All texts are inside of the data, one behind the other. */
static void
check_view(const struct journal_view *view)
{
	const char *at = view->data.data;
	size_t i;

	for (i = 0; i < view->count; i++) {
		const struct journal_message *message = &view->messages[i];

		assert(message->record == at);
		at += message->record_length;
		assert(message->body == NULL || message->body == at);
		at += message->body == NULL ? 0 : message->size_bytes;
	}
	assert(at == view->data.data + view->data.length);
}

/* All that counts can be ended, and new mail comes behind it. */
static void
go_on(struct journal *journal, struct journal_view *view)
{
	struct journal_message message = { .id = journal_next_id(journal),
		.record = "Fr",
		.record_length = 3,
		.body = "" };
	struct counted counted = { .view = NULL };
	size_t i;

	for (i = 0; i < view->count; i++)
		journal_end(journal, view->messages[i].id);
	journal_view_release(view);
	if (message.id == UINT64_MAX) /* nobody ever gets there */
		message.id = 1;
	assert(journal_wanted(journal) == 0);
	assert(journal_add(journal, &message));
	assert(journal_commit(journal) == 0);
	assert(!journal_has_unwritten(journal));
	assert(journal_close(&journal) == 0);
	journal = open_journal(&counted);
	assert(idmap_has(&counted.ids, message.id));
	idmap_release(&counted.ids);
	assert(journal_next_id(journal) > message.id || message.id == 1);
	assert(journal_close(&journal) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct journal_view view;
	struct counted counted = { .view = &view };
	struct journal *journal;
	struct journal_stats stats;
	struct error err;

	if (dir == NULL)
		set_up();
	write_pieces(data, size);
	if (journal_view_open(dir, &view, &err) == -1)
		abort();
	check_view(&view);
	journal = open_journal(&counted);
	assert(counted.messages == view.count);
	journal_read_stats(journal, &stats);
	assert(stats.messages == view.count);
	idmap_release(&counted.ids);
	go_on(journal, &view);
	remove_files();
	return 0;
}
