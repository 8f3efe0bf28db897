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
#ifndef SVCTOOL_CHECK_CDB_H
#define SVCTOOL_CHECK_CDB_H

#include <stddef.h>

#include "base/error.h"

/* Texts point into the file's bytes and may hold NUL. */
struct check_cdb_record {
	const char *key;
	size_t key_length;
	const char *value;
	size_t value_length;
};

/* NULL: none.  Called only when the whole file is right. */
typedef void check_cdb_visit(
    const struct check_cdb_record *record, void *context);

/* 0, or -1 with what is wrong, without the file's name. */
int check_cdb_walk(const void *data, size_t size, check_cdb_visit *visit,
    void *context, struct error *err);

/* The same for a file.  1; 0 when there is none; -1. */
int check_cdb_file(
    const char *path, check_cdb_visit *visit, void *context, struct error *err);

#endif
