/* SPDX-License-Identifier: ISC */
/* Whole files and folders, for configuration; not for queued mail. */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/error.h"

/*
 * Reads a whole file of at most max bytes behind what buf holds.  Returns 1;
 * 0 when there is no such file; -1, with the reason, when it cannot be read or
 * is larger.
 */
int file_read(const char *path, size_t max, struct buf *buf, struct error *err);

/*
 * Replaces (or makes) a file as one durable step: a new file beside it is
 * written, synced and renamed over it, and the folder is synced.  Mode and
 * owner of an existing file are kept; a new one gets mode.  Returns 0 or -1.
 */
int file_replace(const char *path, const char *data, size_t length, mode_t mode,
    struct error *err);

/*
 * The same in steps, for who writes the new file himself.  file_begin: the new
 * file, which nobody but its owner may read until it is in place, and its name,
 * of which one of the others disposes; or -1.
 */
int file_begin(const char *path, char **temporary_out, struct error *err);
int file_commit(
    int fd, char *temporary, const char *path, mode_t mode, struct error *err);
void file_abort(int fd, char *temporary); /* keeps errno */

/* Makes the names in a folder, or in that which holds path, durable.  0 or -1.
 */
int file_sync_folder(const char *path, struct error *err);
int file_sync_parent(const char *path, struct error *err);

/*
 * Copies all that can be read from it into a file without a name: for what
 * comes by a pipe and is to be read more than once.  Its descriptor, which
 * stays open until the process exits; or -1 with errno.
 */
int file_copy_unnamed(int from);

/* Writes all bytes to a descriptor.  Returns 0 or -1 with errno. */
int file_write_all(int fd, const char *data, size_t length);

/*
 * Makes a folder and those above it where missing, with mode (not umask).
 * Returns 0 or -1.
 */
int file_make_dirs(const char *path, mode_t mode, struct error *err);

/*
 * Removes a tree, also when others put some more files in meanwhile; symbolic
 * links are removed, not followed.  0 or -1 with errno.
 */
int file_remove_tree(const char *path, struct error *err);

/*
 * Removes what programs that were killed left of files that they wrote: the
 * files NAME.tmp.PID of a folder whose process is no more.  Gives how many, or
 * -1.
 */
int file_sweep(const char *folder, struct error *err);

/* Closes it unless it is -1, which it is then; errno stays.  As for AUTO(). */
void file_close(int *fd);

/*
 * The folder that holds the running program, where its companions are.
 * The caller frees.
 */
char *file_program_dir(void);

#endif
