/* SPDX-License-Identifier: ISC */
/*
 * The directory of one queue, with its folders held open.
 *
 * Names are made here and nowhere else.  The struct is read-only once open, so
 * any thread may use it.
 */
#ifndef QUEUE_DIR_H
#define QUEUE_DIR_H

#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/error.h"

enum { QUEUE_SPLIT = 23, QUEUE_SPLIT_MAX = 1009, QUEUE_NAME_SIZE = 32 };

/* The folders; those before QUEUE_FOLDER_SPLIT_END are split. */
enum queue_folder {
	QUEUE_MESS,
	QUEUE_INFO,
	QUEUE_LOCAL,
	QUEUE_REMOTE,
	QUEUE_FOLDER_SPLIT_END,
	QUEUE_TODO = QUEUE_FOLDER_SPLIT_END,
	QUEUE_INTD,
	QUEUE_BOUNCE,
	QUEUE_PID,
	QUEUE_LOCK,
	QUEUE_FOLDER_COUNT
};

struct queue_dir {
	char *path;
	char *name;                       /* last part of path: "queue1" */
	unsigned split;                   /* found on disk */
	int *folders[QUEUE_FOLDER_COUNT]; /* descriptors, one or split */
};

/* How many folders this one is, numbered if it is split. */
static inline unsigned
queue_parts(const struct queue_dir *dir, enum queue_folder folder)
{
	return folder < QUEUE_FOLDER_SPLIT_END ? dir->split : 1;
}

/* "mess", "info", ... */
const char *queue_folder_name(enum queue_folder folder);

/*
 * Opens the queue's own folder, wherever path leads, for the functions that
 * take a root.  They follow no symbolic link below it.  -1 with the reason.
 */
int queue_open_root(const char *path, struct error *err);

/*
 * The split, as found on disk: one more than the largest number that a folder
 * in mess/, info/, local/ or remote/ has.  0 when they have none, as in no
 * queue; -1 with the reason when it cannot be told.
 */
int queue_find_split(int root, const char *path, struct error *err);

/*
 * Sets the reason for one of these folders that is not there, although the
 * split says that it must have been, and what to do.  Always -1.
 */
int queue_part_missing(const char *path, enum queue_folder folder,
    unsigned part, struct error *err);

/*
 * NULL with the reason (and what to do) when it is not a whole queue.  The
 * root is borrowed, and path is its name.
 */
struct queue_dir *queue_dir_open_at(
    int root, const char *path, struct error *err);
struct queue_dir *queue_dir_open(const char *path, struct error *err);
void queue_dir_close(struct queue_dir **dir);

/* The descriptor of the folder that has, or would have, this message. */
int queue_dir_fd(
    const struct queue_dir *dir, enum queue_folder folder, uint64_t id);

/* A file's name inside its folder: the number. */
void queue_name(char name_out[QUEUE_NAME_SIZE], uint64_t id);

/* Opens a message's file; flags as open(2), always close-on-exec. */
int queue_open_file(const struct queue_dir *dir, enum queue_folder folder,
    uint64_t id, int flags);

/* What a message's file is, unless st_out is NULL.  1; 0 when there is none; -1
 * with errno when that cannot be told. */
int queue_stat(const struct queue_dir *dir, enum queue_folder folder,
    uint64_t id, struct stat *st_out);
int queue_has_file(
    const struct queue_dir *dir, enum queue_folder folder, uint64_t id);

/*
 * Calls visit for each entry of a folder but "." and "..", until it returns
 * something else than 0, which is then the result.  It takes fd.  -1 with the
 * reason, which names the folder so, when that is -1 (with errno) or the folder
 * cannot be listed.
 */
typedef int queue_visit(int folder, const struct dirent *entry, void *context);
int queue_list(int fd, const char *queue_path, const char *name,
    queue_visit *visit, void *context, struct error *err);

/* The same for a folder of an open queue; part is for the split ones. */
int queue_list_folder(const struct queue_dir *dir, enum queue_folder folder,
    unsigned part, queue_visit *visit, void *context, struct error *err);

/*
 * Reads an open file of the queue from its start, whole, behind what buf
 * holds.  0; -1 with errno (EFBIG: over 64 MiB, which no file here may be).
 */
int queue_read(int fd, struct buf *buf);
/* The same, but its first bytes alone, or as many as it has. */
int queue_read_first(int fd, size_t max_bytes, struct buf *buf);

/* Removes a message's file.  0 also when it was not there, else -1. */
int queue_unlink(
    const struct queue_dir *dir, enum queue_folder folder, uint64_t id);

/*
 * Makes the path of something in lock/, like "queue/queue1/lock/intake".  The
 * caller frees.
 */
char *queue_lock_path(const char *queue_path, const char *name);

/*
 * Takes the queue for this process: flock on lock/sendmutex.  Waits up to
 * timeout_ms for another owner to leave.  The lock lasts until the returned
 * descriptor is closed; -1 with the reason.
 */
int queue_take(const char *queue_path, int timeout_ms, struct error *err);
/* The same for who has the queue's own folder open; queue_path is its name. */
int queue_take_at(
    int root, const char *queue_path, int timeout_ms, struct error *err);

/*
 * Keeps qmail-queues that write files alone (QUEUE_FOR_FILES, many at once) and
 * a repair (QUEUE_FOR_REPAIR, one) off each other: flock on pid/.  The same
 * results as queue_take's.
 */
enum queue_lock { QUEUE_FOR_FILES, QUEUE_FOR_REPAIR };
int queue_lock_files(int root, const char *queue_path, enum queue_lock lock,
    int timeout_ms, struct error *err);

/* In lock/: the segments of the journal, .0 to .3 (queue/journal.h). */
#define QUEUE_JOURNAL "journal"
/* And what of it is kept for people: with a number behind it; an older release
 * kept envelopes, too. */
#define QUEUE_DAMAGED "journal.damaged."
#define QUEUE_ASIDE "envelope."
bool queue_is_kept(const char *name);

/*
 * In lock/ while a repair moves messages: they do not lie where their names
 * say, and one that is not found there is not gone.
 */
#define QUEUE_FIXING "fixing"
/* -1 with the reason when such a repair was interrupted; to be asked under one
 * of the locks above. */
int queue_check_fixed_at(int root, const char *queue_path, struct error *err);
int queue_check_fixed(const char *queue_path, struct error *err);

/* Is some process the owner?  1, 0, or -1 when it cannot be told. */
int queue_is_owned(const char *queue_path, struct error *err);

#endif
