/* SPDX-License-Identifier: ISC */
/*
 * Constant databases.
 *
 * A map that is open for reading may be used by any number of threads.
 *
 * libcdb's cdb_init() maps a file, and a file that is cut while it is mapped
 * ends the process (SIGBUS).  So a file is copied into memory, in which libcdb
 * finds what is asked: one up to 64 KiB at once, one up to 8 MiB when it was
 * asked often, 64 MiB in a process.  Of any other the map reads itself, by
 * pread, since libcdb's cdb_seek() moves the position that threads share.
 *
 * Files are replaced by renaming, as the writer does.  One that is overwritten
 * in place (cp) answers "could not tell" until it is whole, or as before: its
 * tables, which a reader wants first, are written last.  Only a writer that
 * does not cut the file first can show a reader some old and some new bytes.
 */
#ifndef CONTROL_CDBMAP_H
#define CONTROL_CDBMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/error.h"

struct cdbmap;

/*
 * 1 and *map_out; 0 when there is no such file; -1 when it cannot be read, is
 * no cdb file, or a part of one.
 */
int cdbmap_open(const char *path, struct cdbmap **map_out, struct error *err);
void cdbmap_free(struct cdbmap **map);

/*
 * 1 and the value behind what value_out holds (NULL: not wanted); 0 absent; -1
 * damaged, not readable, or changed since it was opened.
 */
int cdbmap_get(const struct cdbmap *map, const void *key, size_t key_length,
    struct buf *value_out, struct error *err);

/* Is it in memory, so that no question of it waits for the disk any more? */
bool cdbmap_is_copied(const struct cdbmap *map);

/*
 * True when the file at the map's path is not the one that was opened, as it
 * was: replaced, removed or changed.  One stat.
 */
bool cdbmap_is_stale(const struct cdbmap *map);

/*
 * Writes a new database and puts it in place as one durable step, as
 * file_commit() does: with mode and owner of the old one, else with the mode
 * that was set, else 0644.
 */
struct cdbmap_writer;
struct cdbmap_writer *cdbmap_writer_new(const char *path, struct error *err);
int cdbmap_writer_add(struct cdbmap_writer *writer, const void *key,
    size_t key_length, const void *value, size_t value_length,
    struct error *err);
void cdbmap_writer_set_mode(struct cdbmap_writer *writer, mode_t mode);

/* Ends and frees the writer; without commit the old database stays. */
int cdbmap_writer_commit(struct cdbmap_writer **writer, struct error *err);
void cdbmap_writer_abort(struct cdbmap_writer **writer); /* keeps errno */

#endif
