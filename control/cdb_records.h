/* SPDX-License-Identifier: ISC */
/*
 * Goes through a whole cdb file, trusting nothing in it.
 *
 *	file    = 256 head, records, 256 tables
 *	head    = position of a table, its slots
 *	record  = length of the key, length of the value, key, value
 *	slot    = hash of a key, position of its record (0: free)
 *
 * Numbers have 4 bytes, the lowest first.  A key's table is its hash modulo
 * 256.  (https://cr.yp.to/cdb/cdb.txt)
 */
#ifndef CONTROL_CDB_RECORDS_H
#define CONTROL_CDB_RECORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"

struct cdb_record {
	const char *key;
	size_t key_length;
	const char *value;
	size_t value_length;
};

struct cdb_records {
	struct buf bytes; /* of the file */
	size_t count;
	uint64_t at, end; /* of the next record, and of all */
};

/*
 * 1, when the whole file is right; 0 when there is none; -1 with what is wrong,
 * without the file's name.  To be released in any case.
 */
int cdb_records_read(
    const char *path, struct cdb_records *records_out, struct error *err);
void cdb_records_release(struct cdb_records *records);

/* The next one, in the order in which they were written; false: no more. */
bool cdb_records_next(
    struct cdb_records *records, struct cdb_record *record_out);

/* The same check, of a file's bytes.  0 or -1. */
int cdb_records_check(
    const void *data, size_t size, size_t *count_out, struct error *err);

#endif
