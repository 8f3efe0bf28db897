/* SPDX-License-Identifier: ISC */
/*
 * A thread that looks through a queue's folders for messages that an earlier
 * process left, or that qmail-queue alone put into todo/, while new mail is
 * taken already.  It reads names and times, and opens no file of a message but
 * large ones in todo/.
 *
 * The functions here are for one thread, the owner (qmail-send's event loop).
 */
#ifndef QUEUE_SCANNER_H
#define QUEUE_SCANNER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "base/uuid.h"
#include "queue/dir.h"
#include "queue/route.h"

enum found {
	FOUND_TODO,     /* S4 */
	FOUND_TODO_END, /* no message: that was all of todo/, and each UUID that
			 * is wanted was read */
	FOUND_KEPT,     /* S5 */
	FOUND_DAMAGED,  /* local/ID or remote/ID, but neither info nor todo, and
			 * nothing in pid/ that it is being kept */
	FOUND_GARBAGE   /* perhaps S2 or S3 for 36 hours, or interrupted when it
			 * was to be kept; or the body of a large fresh message
			 */
};

struct found_item {
	enum found what;
	uint64_t id;
	/* KEPT: the channels with local/ID, remote/ID; when none is left, its
	 * end was interrupted */
	bool has_channel[ROUTE_CHANNEL_COUNT];
	/* and the file's mtime, when to try again; 0: it cannot be told */
	time_t due[ROUTE_CHANNEL_COUNT];
	/* TODO, if it was too large for a journal, and of a whole scan */
	struct uuid uuid;
};

/* A growing array.  Zeroed storage is an empty one. */
struct found_list {
	struct found_item *at;
	size_t count;
};

void found_list_add(struct found_list *list, const struct found_item *item);
void found_list_release(struct found_list *list);

enum scan_end {
	SCAN_RUNS,
	SCAN_OVER,
	SCAN_FAILED /* not everything was seen; the log says why */
};

struct scanner;

/*
 * dir is borrowed.  A todo/ID of more than record_bytes is read for its UUID:
 * it may never have been in the journal.  When something is found, and at the
 * end, wake_fd (an eventfd) becomes readable, and the owner calls
 * scanner_take().
 */
struct scanner *scanner_new(
    const struct queue_dir *dir, uint64_t record_bytes, int wake_fd);
/* Stops a scan under way; what it found is lost. */
void scanner_free(struct scanner **scanner);

/*
 * Starts to look through todo/; is_whole: through all folders, and what nobody
 * has touched in pid/ for 36 hours is removed, or is FOUND_GARBAGE.  Not while
 * it runs.  0, or -1 when there can be no thread.
 */
int scanner_start(struct scanner *scanner, bool is_whole);
bool scanner_is_running(const struct scanner *scanner);
bool scanner_is_running_whole(const struct scanner *scanner);

/*
 * What was found since the last call, in *found_out, which the caller releases;
 * and whether that was all: SCAN_OVER and SCAN_FAILED are told once.  The
 * scanner waits when it is not called.
 */
enum scan_end scanner_take(
    struct scanner *scanner, struct found_list *found_out);

#endif
