/* SPDX-License-Identifier: ISC */
/*
 * Which .qmail file decides about an address: in the folder home .qmailDASHEXT,
 * else .qmailDASHpart-default, the longest part first, else .qmailDASHdefault;
 * EXT in lower case, its dots as ':'.
 */
#ifndef DELIVERY_DOTQMAIL_FIND_H
#define DELIVERY_DOTQMAIL_FIND_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/error.h"

struct dotqmail_file {
	struct buf text;
	char *path;
	const char *default_part; /* of extension, what "default" stands for;
				   * NULL: the name is the whole of it */
	bool is_domain_default;   /* .qmailDASHdefault */
	bool is_executable;       /* then only forwards are allowed */
	bool has_owner;           /* .qmailDASHEXT-owner */
	bool has_owner_default;   /* and .qmailDASHEXT-owner-default */
};

/*
 * 1; 0 when there is no such file; -1 with the reason when that cannot be
 * told, or when the folder or the file is one that qmail-local does not trust:
 * others may write it, or (sticky) it is being edited.  Release it in any
 * case.
 */
int dotqmail_find(const char *home, const char *dash, const char *extension,
    struct dotqmail_file *file_out, struct error *err);
void dotqmail_file_release(struct dotqmail_file *file);

/* A file of this path, with the same results. */
int dotqmail_open(
    const char *path, struct dotqmail_file *file_out, struct error *err);

#endif
