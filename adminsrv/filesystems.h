/* SPDX-License-Identifier: ISC */
/*
 * The filesystems that users' folders are spread over (vfstab): of a node whose
 * users are in files, the file users/filesystems; else the table
 * mq.filesystems, where each host has its own.
 *
 * The file's lines are FILESYSTEM HOST STATUS MAX-USERS CUR-USERS MAX-SIZE
 * CUR-SIZE, as the table's columns.
 */
#ifndef ADMINSRV_FILESYSTEMS_H
#define ADMINSRV_FILESYSTEMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "adminsrv/result.h"
#include "base/buf.h"
#include "base/error.h"
#include "control/home.h"

struct filesystem {
	char *path;
	char *host;
	bool is_online;
	uint64_t max_users, cur_users; /* max 0: no limit */
	uint64_t max_bytes, cur_bytes;
};

struct filesystems {
	struct filesystem *items;
	size_t count;
};

/* This host's name in the list: control/me.  The caller frees. */
char *filesystems_host(const struct home *home);

/* All of them.  The caller releases. */
enum admin_result filesystems_load(
    const struct home *home, struct filesystems *list_out, struct error *err);
void filesystems_release(struct filesystems *list);
struct filesystem *filesystems_find(
    const struct filesystems *list, const char *path, const char *host);

/* Adds one, or changes the one of its path and host. */
enum admin_result filesystems_put(const struct home *home,
    const struct filesystem *filesystem, struct error *err);
enum admin_result filesystems_remove(const struct home *home, const char *path,
    const char *host, struct error *err);

/*
 * How full one is, of 1: by users or by bytes, whichever is more.  Of one
 * without limits by what the filesystem itself has.
 */
double filesystem_load(const struct filesystem *filesystem);

/* The one of this host with the most room.  Refused: none has any. */
enum admin_result filesystems_choose(
    const struct home *home, struct buf *path_out, struct error *err);

/* So many users more are on this host's filesystem. */
enum admin_result filesystems_add_users(
    const struct home *home, const char *path, size_t count, struct error *err);

/* Counts the users of all domains, and the bytes used, of this host's anew. */
enum admin_result filesystems_count(const struct home *home, struct error *err);

#endif
