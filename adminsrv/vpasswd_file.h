/* SPDX-License-Identifier: ISC */
/*
 * A domain's users: the files vpasswd and vpasswd.cdb in its folder.
 *
 * The text is the source; the cdb is made from it.  Whoever changes them holds
 * the domain's lock (adminsrv/lock.h).  Lines that are not changed stay as they
 * are, byte by byte.
 */
#ifndef ADMINSRV_VPASSWD_FILE_H
#define ADMINSRV_VPASSWD_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "lookupd/vpasswd.h"

struct vpasswd_file;

/*
 * Loads the text.  1; 0 when the domain has none yet, *file_out is empty then;
 * -1 when it cannot be read or a line is wrong (VPASSWD:LINE: what), *file_out
 * is NULL then.
 */
int vpasswd_file_load(
    const char *domain_dir, struct vpasswd_file **file_out, struct error *err);
void vpasswd_file_free(struct vpasswd_file **file);

/*
 * Goes through the users in the file's order: start with *at 0; NULL after the
 * last.  An entry is valid until the user is put or removed.
 */
const struct vpasswd_entry *vpasswd_file_next(
    const struct vpasswd_file *file, size_t *at);
const struct vpasswd_entry *vpasswd_file_find(
    const struct vpasswd_file *file, const char *name);

/* Adds a user or replaces the one of that name.  0, or -1 for a bad field. */
int vpasswd_file_put(struct vpasswd_file *file,
    const struct vpasswd_entry *entry, struct error *err);
/* True when there was such a user. */
bool vpasswd_file_remove(struct vpasswd_file *file, const char *name);

/*
 * Puts the text, then the cdb in place, each as one durable step.  What a crash
 * between the two leaves, vpasswd_file_is_compiled() tells.  0 or -1.
 */
int vpasswd_file_save(struct vpasswd_file *file, struct error *err);
/* Makes the cdb from the text as loaded or saved.  0 or -1. */
int vpasswd_file_compile(const struct vpasswd_file *file, struct error *err);
/*
 * True when the cdb is whole and was made from the text as loaded or saved: it
 * has the text's fingerprint, under the empty key, which is no user's.
 */
bool vpasswd_file_is_compiled(const struct vpasswd_file *file);

#endif
