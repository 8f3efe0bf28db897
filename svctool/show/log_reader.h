/* SPDX-License-Identifier: ISC */
/*
 * The lines of one folder of multilog's: the files that it has put aside
 * (@...), in their order, and then current.  One file is open at a time, and
 * 64 KiB of it in memory.
 */
#ifndef SVCTOOL_SHOW_LOG_READER_H
#define SVCTOOL_SHOW_LOG_READER_H

#include <stdbool.h>
#include <time.h>

#include "base/error.h"

struct log_reader;

struct log_entry {
	struct timespec when; /* of a line without a time: of that before it */
	const char *text;     /* without its time; log_clean() has seen it */
};

/*
 * Files that ended before since are not read; lines may still be earlier.  In
 * one that is_following, the beginning of a line in current waits for its end.
 */
struct log_reader *log_reader_new(
    const char *folder, const struct timespec *since, bool is_following);
void log_reader_free(struct log_reader **reader);

/*
 * 1 and the next line, whose text is valid until the next call; a line longer
 * than the buffer is cut.  0 when there is none yet: later there may be, also
 * behind files that multilog puts aside meanwhile.  -1 with the reason.
 */
int log_reader_next(
    struct log_reader *reader, struct log_entry *entry_out, struct error *err);

#endif
