/* SPDX-License-Identifier: ISC */
/* Users from the files of other systems. */
#ifndef ADMINSRV_IMPORT_H
#define ADMINSRV_IMPORT_H

#include <stdio.h>

#include "adminsrv/names.h"
#include "adminsrv/progress.h"
#include "adminsrv/result.h"

enum import_format {
	IMPORT_PASSWD,   /* name:hash:uid:gid:comment:folder:shell */
	IMPORT_VPOPMAIL, /* vpopmail's vpasswd */
	IMPORT_INDIMAIL /* its table, with a line of the columns' names; CSV, or
			   as mysql --batch */
};

struct import_user {
	struct names_address address;
	char *hash, *scram, *secret, *gecos, *quota; /* the last two not NULL */
	unsigned flags, uid_flags;
	unsigned line;
};

struct import {
	struct import_user *users;
	size_t count;
};

/*
 * Reads a file.  domain is that of files whose lines have none.  is_inactive:
 * all of them are.  0; or -1 with the line that is wrong.  The caller releases
 * in any case.
 */
int import_read(FILE *file, enum import_format format, const char *domain,
    bool is_inactive, struct import *import_out, struct error *err);
void import_release(struct import *import);

/*
 * Adds them to the node's domains, with folders, some thousand at a time.  Who
 * is there already stays as he is, and counts in *kept_out: so the same again
 * goes on where a run was killed.
 */
enum admin_result import_add(struct import *import, const char *home_root,
    struct progress *progress, size_t *added_out, size_t *kept_out,
    struct error *err);

#endif
