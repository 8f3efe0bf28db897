/* SPDX-License-Identifier: ISC */
/*
 * The last known state of the database, on disk: records by key, in several cdb
 * files, since one ends at 4 GiB.
 *
 * The file "snapshot" in the folder names those that count:
 *
 *	VERSION GENERATION RECORDS SECONDS
 *
 * with SECONDS since 1970 of what the database then had.  The cdb files are
 * GENERATION-XX.cdb.  They are durable before "snapshot" names them.
 */
#ifndef LOOKUPD_SNAPSHOT_H
#define LOOKUPD_SNAPSHOT_H

#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "lookupd/cache.h"

struct snapshot;

/* 1 and *snapshot_out; 0: there is none; -1: it cannot be read. */
int snapshot_open(
    const char *folder, struct snapshot **snapshot_out, struct error *err);
void snapshot_free(struct snapshot **snapshot);

/* When the database had it. */
int64_t snapshot_at_s(const struct snapshot *snapshot);
uint64_t snapshot_records(const struct snapshot *snapshot);

/*
 * 1 and the record behind what record_out holds, 0, or -1.  A user is kept once,
 * with the password: the record of QUERY_USER is the first part of it.
 */
int snapshot_find(const struct snapshot *snapshot, enum query_kind kind,
    const char *local, const char *domain, struct buf *record_out,
    struct error *err);

/* Writes a new one; one writer at a time. */
struct snapshot_writer;
struct snapshot_writer *snapshot_writer_new(
    const char *folder, struct error *err);
/* Each key once; never of QUERY_USER.  0 or -1. */
int snapshot_writer_add(struct snapshot_writer *writer, enum query_kind kind,
    const char *local, const char *domain, const char *record, size_t length,
    struct error *err);
/*
 * Puts it in the place of the one before, whose files go; frees the writer.
 * at_s is the time of what it has.  0 or -1.
 */
int snapshot_writer_commit(
    struct snapshot_writer **writer, int64_t at_s, struct error *err);
void snapshot_writer_abort(struct snapshot_writer **writer);

#endif
