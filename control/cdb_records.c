/* SPDX-License-Identifier: ISC */
/* Goes through a whole cdb file. */
#include "control/cdb_records.h"

#include <cdb.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"

enum {
	TABLES = 256,
	HEAD_BYTES = TABLES * 8,
	PAIR_BYTES = 8,
	FILE_MAX_BYTES = 1 << 30
};

struct cdb_bytes {
	const unsigned char *data;
	uint64_t size;
	uint64_t records_end;
};

static uint32_t
number_at(const struct cdb_bytes *cdb, uint64_t position)
{
	return cdb_unpack(cdb->data + position);
}

/* The record at a position that is inside the records; false: it is not. */
static bool
read_cdb_record(
    const struct cdb_bytes *cdb, uint64_t position, struct cdb_record *record)
{
	uint64_t key = position + PAIR_BYTES, value;

	if (position < HEAD_BYTES || key > cdb->records_end)
		return false;
	record->key_length = number_at(cdb, position);
	record->value_length = number_at(cdb, position + 4);
	value = key + record->key_length;
	if (value + record->value_length > cdb->records_end)
		return false;
	record->key = (const char *)cdb->data + key;
	record->value = (const char *)cdb->data + value;
	return true;
}

/* Where the tables are; the records end where the first one begins. */
static int
check_heads(struct cdb_bytes *cdb, struct error *err)
{
	cdb->records_end = cdb->size;
	for (unsigned i = 0; i < TABLES; i++) {
		uint64_t position = number_at(cdb, i * PAIR_BYTES);
		uint64_t slots = number_at(cdb, i * PAIR_BYTES + 4);

		if (position < HEAD_BYTES ||
		    position + slots * PAIR_BYTES > cdb->size)
			return error_set(err,
			    "table %u is outside the file of %llu bytes: it is "
			    "cut short, or no cdb file",
			    i, (unsigned long long)cdb->size);
		if (position < cdb->records_end)
			cdb->records_end = position;
	}
	return 0;
}

static int
check_records(const struct cdb_bytes *cdb, size_t *count_out, struct error *err)
{
	uint64_t position = HEAD_BYTES;

	for (*count_out = 0; position < cdb->records_end; ++*count_out) {
		struct cdb_record record;

		if (!read_cdb_record(cdb, position, &record))
			return error_set(err,
			    "the record at byte %llu does not fit: the file is "
			    "damaged",
			    (unsigned long long)position);
		position += PAIR_BYTES + record.key_length +
		    record.value_length;
	}
	return 0;
}

/* Each slot in use must name a record with such a key. */
static int
check_table(const struct cdb_bytes *cdb, unsigned table, uint64_t *used,
    struct error *err)
{
	uint64_t at = number_at(cdb, table * PAIR_BYTES);
	uint64_t slots = number_at(cdb, table * PAIR_BYTES + 4);

	for (; slots > 0; slots--, at += PAIR_BYTES) {
		uint32_t wanted = number_at(cdb, at);
		uint32_t position = number_at(cdb, at + 4);
		struct cdb_record record;

		if (position == 0)
			continue;
		if (!read_cdb_record(cdb, position, &record) ||
		    cdb_hash(record.key, (unsigned)record.key_length) !=
			wanted ||
		    wanted % TABLES != table)
			return error_set(err,
			    "a slot of table %u, at byte %llu, names no record "
			    "of such a key: the file is damaged",
			    table, (unsigned long long)at);
		++*used;
	}
	return 0;
}

static int
check_all(struct cdb_bytes *cdb, size_t *count_out, struct error *err)
{
	uint64_t used = 0;

	if (cdb->size < HEAD_BYTES)
		return error_set(err,
		    "it has %llu bytes, fewer than the %d that any cdb file "
		    "begins with",
		    (unsigned long long)cdb->size, HEAD_BYTES);
	if (cdb->size > UINT32_MAX)
		return error_set(err, "it is larger than a cdb file can be");
	if (check_heads(cdb, err) == -1 ||
	    check_records(cdb, count_out, err) == -1)
		return -1;
	for (unsigned i = 0; i < TABLES; i++)
		if (check_table(cdb, i, &used, err) == -1)
			return -1;
	if (used != *count_out)
		return error_set(err,
		    "it has %zu records, and its tables name %llu: the file "
		    "is damaged",
		    *count_out, (unsigned long long)used);
	return 0;
}

int
cdb_records_check(
    const void *data, size_t size, size_t *count_out, struct error *err)
{
	struct cdb_bytes cdb = { .data = data, .size = size };

	return check_all(&cdb, count_out, err);
}

int
cdb_records_read(
    const char *path, struct cdb_records *records_out, struct error *err)
{
	struct cdb_records *records = records_out;
	struct cdb_bytes cdb;
	struct stat st;
	int result;

	*records = (struct cdb_records){ .bytes = BUF_INIT };
	buf_init(&records->bytes);
	/* Reading a pipe would wait for ever. */
	if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
		return error_set(err, "it is not a file");
	/* Read, not mapped: who cuts it short now would end us by SIGBUS. */
	result = file_read(path, FILE_MAX_BYTES, &records->bytes, err);
	if (result != 1)
		return result;
	cdb = (struct cdb_bytes){ .data = (const void *)records->bytes.data,
		.size = records->bytes.length };
	if (check_all(&cdb, &records->count, err) == -1)
		return -1;
	records->at = HEAD_BYTES;
	records->end = cdb.records_end;
	return 1;
}

void
cdb_records_release(struct cdb_records *records)
{
	buf_release(&records->bytes);
	records->at = records->end = 0;
}

bool
cdb_records_next(struct cdb_records *records, struct cdb_record *record_out)
{
	const struct cdb_bytes cdb = {
		.data = (const void *)records->bytes.data,
		.size = records->bytes.length,
		.records_end = records->end
	};

	if (records->at >= records->end ||
	    !read_cdb_record(&cdb, records->at, record_out))
		return false;
	records->at += PAIR_BYTES + record_out->key_length +
	    record_out->value_length;
	return true;
}
