/* SPDX-License-Identifier: ISC */
/*
 * What is on disk of a message in S5 (docs/queue.md):
 *
 *	info         = "F" sender NUL ["A" attempts NUL "W" told NUL "I" uuid
 *NUL "S" size NUL "B" birth NUL ["E" dsn NUL]
 *	               *("N" list offset dsn NUL) ["H" header lines NUL]]
 *	attempts     = 6DIGIT, written over in place
 *	told         = 2("0" / "1"), the same: was the sender told of a delay of
 *	               local, of remote recipients?
 *	dsn          = of the message, or of the recipient whose mark is at this
 *	               offset of local/ID ("l") or remote/ID ("r"): dsn.h; in
 *	               the order of the offsets
 *	size         = the committed length of mess/ID, in bytes
 *	local/remote = 1*(mark address NUL)
 *	mark         = "T" to be done / "D" done
 *
 * Nothing in the bytes is trusted; results point into them.
 */
#ifndef QUEUE_REMEMBERED_H
#define QUEUE_REMEMBERED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/uuid.h"

enum {
	REMEMBERED_ATTEMPT_MAX = 999999,
	REMEMBERED_ATTEMPT_DIGITS = 6,
	/* digits NUL "W" told */
	REMEMBERED_TRY_BYTES = REMEMBERED_ATTEMPT_DIGITS + 2 + 2
};

struct remembered {
	const char *address;
	size_t offset; /* of its mark, in the list */
	bool is_done;
};

/*
 * The recipient at *at (0: the first) of a local/ID or remote/ID; *at becomes
 * the next one's.  1; 0 when there is no more; -1 with the reason when the list
 * is damaged.  One that is empty is: a list is never written so, and it must
 * not pass for one whose recipients are all done.
 */
int remembered_next(const char *list, size_t length, size_t *at,
    struct remembered *recipient_out, struct error *err);

/*
 * The text of the first record of info/ID that has this type; NULL when there
 * is none, or when the last one is cut off: its text would be another one.
 */
const char *remembered_field(const char *info, size_t length, char type);

/* What info/ID says.  Texts point into it. */
struct remembered_info {
	const char *sender;
	/* the rest is none, 0, false, "" in another system's file */
	unsigned attempt;  /* tries so far */
	size_t attempt_at; /* where its six digits are, to be written over */
	bool has_told;     /* "W" is there, right behind them */
	bool is_told[2];   /* local's, remote's sender; true without "W" */
	struct uuid uuid;
	bool has_size;
	uint64_t size_bytes; /* the message's committed length */
	time_t birth;        /* see remembered_birth() */
	const char *header;
	const char *dsn; /* the message's, or "" */
};

/* What info/ID says of one recipient's reports. */
struct remembered_dsn {
	bool is_remote;
	size_t offset; /* of the recipient's mark in its list */
	const char *dsn;
};

/*
 * Puts a whole info/ID behind what buf holds, but for recipients' reports,
 * which may follow.  An attempt above the largest is the largest.
 */
void remembered_put_info(struct buf *buf, const struct remembered_info *info);
void remembered_put_dsn(struct buf *buf, const struct remembered_dsn *dsn);

/*
 * The next recipient's, from *at (0: the first) of info/ID on.  1; 0 when there
 * is no more; -1 with the reason when it is damaged.
 */
int remembered_next_dsn(const char *info, size_t length, size_t *at,
    struct remembered_dsn *dsn_out, struct error *err);

/* 0, or -1 with the reason when it is damaged, a field of ours in it also. */
int remembered_get_info(const char *info, size_t length,
    struct remembered_info *info_out, struct error *err);

/*
 * When the message came, whose info/ID has that mtime.  Noting a try is two
 * steps, and a kill between them leaves the time of the try: hence the record.
 * A time before that one is somebody's will: who wants the message to be old.
 */
time_t remembered_birth(const struct remembered_info *info, time_t mtime);

/* What is written over at attempt_at, with has_told. */
void remembered_try(unsigned attempt, const bool is_told[2],
    char bytes_out[REMEMBERED_TRY_BYTES + 1]);

#endif
