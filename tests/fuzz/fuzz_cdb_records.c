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
#include "control/cdb_records.h"
#include "control/cdbmap.h"
#include "tests/fuzz/scratch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The bytes, whose records must lie within. */
static int
look(const void *bytes, size_t size, size_t *count_out)
{
	struct error err = { "" };
	int result = cdb_records_check(bytes, size, count_out, &err);

	assert(result == 0 || err.text[0] != '\0');
	/* A head, the records, and a slot at least for each. */
	assert(result == -1 || 2048 + 16 * *count_out <= size);
	return result;
}

/* Bytes of just that size, for the address sanitizer. */
static int
look_at_copy(const void *bytes, size_t size, size_t *count_out)
{
	char *copy = xmalloc(size > 0 ? size : 1);
	int result;

	memcpy(copy, bytes, size);
	result = look(copy, size, count_out);
	free(copy);
	return result;
}

/* All of a file that is right. */
static size_t
read_bytes(const char *path)
{
	struct cdb_records records;
	struct cdb_record record;
	size_t bytes = 0;

	assert(cdb_records_read(path, &records, NULL) == 1);
	while (cdb_records_next(&records, &record))
		bytes += 8 + record.key_length + record.value_length;
	cdb_records_release(&records);
	return bytes;
}

static void
look_at_record(const uint8_t *data, size_t size)
{
	char *path = xasprintf("%s/cdb", scratch_dir());
	struct cdbmap_writer *writer = cdbmap_writer_new(path, NULL);
	size_t key_length = size / 2, cut;
	size_t count;
	struct buf bytes;

	if (writer == NULL ||
	    cdbmap_writer_add(writer, data, key_length, data + key_length,
		size - key_length, NULL) == -1 ||
	    cdbmap_writer_commit(&writer, NULL) == -1)
		abort();
	assert(read_bytes(path) == 8 + size);
	buf_init(&bytes);
	if (file_read(path, 1 << 30, &bytes, NULL) != 1)
		abort();
	assert(look_at_copy(bytes.data, bytes.length, &count) == 0);
	assert(count == 1);
	cut = size > 0 ? bytes.length * data[0] / 256 : 0;
	assert(look_at_copy(bytes.data, cut, &count) == -1);
	buf_release(&bytes);
	free(path);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t count;

	if (size > 0 && (data[0] & 1) != 0)
		look_at_record(data + 1, size - 1);
	else if (size > 0)
		look_at_copy(data + 1, size - 1, &count);
	return 0;
}
