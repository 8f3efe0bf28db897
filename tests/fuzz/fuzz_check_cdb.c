/* SPDX-License-Identifier: ISC */
/*
 * A cdb file of any bytes, gone through whole.  When the first byte is odd the
 * rest becomes a record of a good file, which must be found right, and wrong
 * when it is cut.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "control/cdbmap.h"
#include "svctool/check/cdb.h"
#include "tests/fuzz/scratch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The file that is gone through, and what was seen of it. */
struct walk {
	const char *bytes;
	size_t size;
	size_t records, record_bytes;
};

static void
see(const struct check_cdb_record *record, void *context)
{
	struct walk *walk = context;

	assert(record->key >= walk->bytes &&
	    record->key + record->key_length == record->value &&
	    record->value + record->value_length <= walk->bytes + walk->size);
	walk->records++;
	walk->record_bytes += 8 + record->key_length + record->value_length;
}

static int
look(const void *bytes, size_t size, struct walk *walk)
{
	struct error err = { "" };
	int result;

	*walk = (struct walk){ .bytes = bytes, .size = size };
	result = check_cdb_walk(bytes, size, see, walk, &err);
	assert(result == 0 || (err.text[0] != '\0' && walk->records == 0));
	/* A head, the records, and a slot at least for each. */
	assert(result == -1 ||
	    2048 + walk->record_bytes + 8 * walk->records <= size);
	return result;
}

/* Bytes of just that size, for the address sanitizer. */
static int
look_at_copy(const void *bytes, size_t size, struct walk *walk)
{
	char *copy = xmalloc(size > 0 ? size : 1);
	int result;

	memcpy(copy, bytes, size);
	result = look(copy, size, walk);
	free(copy);
	return result;
}

static void
look_at_record(const uint8_t *data, size_t size)
{
	char *path = xasprintf("%s/cdb", scratch_dir());
	struct cdbmap_writer *writer = cdbmap_writer_new(path, NULL);
	size_t key_length = size / 2, cut;
	struct walk walk;
	struct buf bytes;

	if (writer == NULL ||
	    cdbmap_writer_add(writer, data, key_length, data + key_length,
		size - key_length, NULL) == -1 ||
	    cdbmap_writer_commit(&writer, NULL) == -1)
		abort();
	assert(check_cdb_file(path, NULL, NULL, NULL) == 1);
	buf_init(&bytes);
	if (file_read(path, 1 << 30, &bytes, NULL) != 1)
		abort();
	assert(look_at_copy(bytes.data, bytes.length, &walk) == 0);
	assert(walk.records == 1 && walk.record_bytes == 8 + size);
	cut = size > 0 ? bytes.length * data[0] / 256 : 0;
	assert(look_at_copy(bytes.data, cut, &walk) == -1);
	buf_release(&bytes);
	free(path);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct walk walk;

	if (size > 0 && (data[0] & 1) != 0)
		look_at_record(data + 1, size - 1);
	else if (size > 0)
		look_at_copy(data + 1, size - 1, &walk);
	return 0;
}
