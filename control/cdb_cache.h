/* SPDX-License-Identifier: ISC */
/*
 * Open cdb maps by path: the file that is there now, or was a moment ago.
 *
 * Any number of threads may use one cache.  A map that somebody holds stays
 * open, also when its file was replaced meanwhile, until it is released; no
 * lock is held while a file is read.  At most max_open maps that nobody holds
 * stay open: those used last.
 */
#ifndef CONTROL_CDB_CACHE_H
#define CONTROL_CDB_CACHE_H

#include "base/error.h"
#include "control/cdbmap.h"

struct cdb_cache;
struct cdb_cache_entry;

struct cdb_cache *cdb_cache_new(unsigned max_open);
/*
 * Before it is used: a file that cannot be read leaves the map that was open
 * before in its place.  One that is gone does not.
 */
void cdb_cache_keep_last(struct cdb_cache *cache);
/* Every map must have been released. */
void cdb_cache_free(struct cdb_cache **cache);

/*
 * The map at path; costs one stat when it is open already, or nothing when the
 * last look at the file is less than max_age_ms ago.  1 and *entry_out, which
 * the caller gives back with cdb_cache_release(); 0 when there is no such file;
 * -1 when it cannot be read.
 */
int cdb_cache_acquire(struct cdb_cache *cache, const char *path,
    unsigned max_age_ms, struct cdb_cache_entry **entry_out, struct error *err);
const struct cdbmap *cdb_cache_map(const struct cdb_cache_entry *entry);
void cdb_cache_release(struct cdb_cache *cache, struct cdb_cache_entry *entry);

#endif
