/* SPDX-License-Identifier: ISC */
/*
 * What a cdb store keeps in text files beside vpasswd.cdb: aliases, limits and
 * filters (vpasswd(5)).  1, 0 or -1 as lookups.
 */
#ifndef LOOKUPD_DOMAIN_FILES_H
#define LOOKUPD_DOMAIN_FILES_H

#include "lookupd/store.h"

/* The file .qmail-NAME in the domain's folder, dots of the name as ':'. */
int domain_files_alias(const char *domain_dir, const char *name,
    struct store_alias *alias_out, struct error *err);

/* A file of lines NAME VALUE; limits_out is zero before. */
int domain_files_limits(
    const char *path, struct store_limits *limits_out, struct error *err);

/*
 * A file of lines NUMBER NAME HEADER COMPARISON KEYWORD DESTINATION BOUNCE
 * with one tab between.
 */
int domain_files_filters(
    const char *path, struct store_filters *filters_out, struct error *err);

#endif
