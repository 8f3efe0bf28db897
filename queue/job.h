/* SPDX-License-Identifier: ISC */
/*
 * The packets between qmail-send and its delivery workers (docs/protocol.md,
 * Deliveries).
 *
 * A worker is a child of qmail-start's; the connection, made with it, is its
 * descriptor 0.  It says hello, then how much it can take, and gets jobs as far
 * as that.  A job is one message for one lane, with one or more recipients;
 * each gets its own result, in any order.  Results that are ready together
 * share a packet.
 */
#ifndef QUEUE_JOB_H
#define QUEUE_JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/uuid.h"

/* Raised with any change of the packets below. */
enum { JOB_VERSION = 5 };

enum {
	JOB_RECIPIENTS_MAX = 100,
	/* a larger body comes as a descriptor */
	JOB_BODY_MAX = 16 * 1024
};

enum job_channel {
	JOB_VIRTUAL = 'v', /* users of virtual domains */
	JOB_LOCAL = 'l',   /* the general local way */
	JOB_REMOTE = 'r'
};

enum job_packet {
	JOB_HELLO = 'h',   /* worker: version, channel */
	JOB_TAKE = 't',    /* worker: from now on at most so much in hand */
	JOB_JOB = 'j',     /* queue; perhaps with a descriptor */
	JOB_RESULTS = 'r', /* worker: one or more results */
	JOB_BACKOFF = 'b', /* worker: a lane rests for a while */
	JOB_ASK = 'a',     /* queue: a remote lane has mail, and no room */
	JOB_ROOM = 'n',    /* worker: so much of that lane it takes */
	JOB_WAKE = 'w'     /* worker: why lanes rest is forgotten */
};

/* A worker's first packet. */
struct job_hello {
	uint32_t version;
	enum job_channel channel;
};

/*
 * What a worker may have in hand at once: recipients, and bytes of messages
 * (one is given to it however large it is, when it has nothing).
 */
struct job_take {
	uint32_t recipients;
	uint64_t bytes;
	/* remote: where a message goes depends on its sender, too, and so a
	 * lane's key is "DOMAIN SENDER" */
	bool by_sender;
};

/* What somebody wants of a lane that asks. */
enum job_wish {
	JOB_WISH_NONE,
	JOB_WISH_NOW,   /* to be tried, whatever qmail-rspawn has learned */
	JOB_WISH_ANYWAY /* ... and what run/tcpto has of its hosts */
};

/* Nothing of this lane for so long. */
struct job_backoff {
	const char *lane;
	uint32_t seconds;
	const char *reason; /* for the log and for people */
};

/* So many jobs of this remote lane at once; before it is told: none. */
struct job_room {
	const char *lane;
	uint32_t jobs;
};

struct job_recipient {
	uint32_t delivery;     /* given back in the result */
	const char *recipient; /* as rewritten: example.test-u0@example.test */
	const char *user;      /* from users/assign; "" for remote */
	const char *home;      /* the virtual domain's folder */
	const char *dash;
	const char *extension; /* the local part, in a virtual domain */
	const char *dsn;       /* for RCPT: " NOTIFY=... ORCPT=...", or "" */
};

/*
 * Behind a remote lane's domain and a blank: its messages may go without the
 * TLS that the domain publishes that it wants (RFC 8689 5).  A sender can be
 * called the same; he had only to say so.
 */
#define JOB_LANE_WITHOUT_TLS_POLICY "TLS-Required:No"

/*
 * One message for one lane.  Texts are borrowed: from the packet after
 * job_get().  What a worker does with its user's rights it must not decide by
 * home alone (docs/protocol.md, Trust).
 */
struct job {
	uint64_t message_id; /* for logs */
	struct uuid uuid;
	const char *lane;
	int64_t birth_s;     /* Unix time */
	uint32_t attempt;    /* 1: the first */
	uint64_t size_bytes; /* committed: who can read less defers */
	const char *sender;  /* "" for the null sender */
	const char *header;  /* lines to put in front (QQEH), or "" */
	const char *dsn;     /* for MAIL: " RET=... ENVID=...", or "" */
	bool needs_tls;      /* REQUIRETLS (RFC 8689) */
	const char *body;    /* size_bytes of them; NULL: a descriptor comes
			      * with the packet, to be read from 0 by pread */
	struct job_recipient *recipients; /* recipient_count of them */
	size_t recipient_count;
};

enum job_outcome {
	JOB_DELIVERED = 'K',
	JOB_TEMPFAIL = 'Z',
	JOB_PERMFAIL = 'D',
	JOB_GENERAL = 'G' /* not for this worker: needs the general way */
};

/* A worker's answer about one recipient. */
struct job_result {
	uint32_t delivery;
	enum job_outcome outcome;
	bool is_dsn_passed; /* with K: the next hop tells the sender (RFC 3461
			     * 6.2.2); else, if it was to be told, we do */
	const char *text;   /* one or more lines for the log and the bounce */
};

/* The type of a packet, its first byte; 0 when it is none of the above. */
int job_packet_type(const void *data, size_t length);

/*
 * Put a packet behind what buf holds.  job_put_result() adds to a JOB_RESULTS
 * packet that buf holds already, or begins one in an empty buf.
 */
void job_put_hello(struct buf *buf, const struct job_hello *hello);
void job_put_take(struct buf *buf, const struct job_take *take);
void job_put_backoff(struct buf *buf, const struct job_backoff *backoff);
void job_put_ask(struct buf *buf, const char *lane, enum job_wish wish);
void job_put_room(struct buf *buf, const struct job_room *room);
/* The lanes of this domain, or ("") all of the worker's, rest no more. */
void job_put_wake(struct buf *buf, const char *domain);
void job_put(struct buf *buf, const struct job *job);
void job_put_result(struct buf *buf, const struct job_result *result);

/*
 * Read a whole packet; false when it is not one.  recipients_out has room for
 * JOB_RECIPIENTS_MAX; out->recipients points to it.
 */
bool job_get_hello(const void *data, size_t length, struct job_hello *out);
bool job_get_take(const void *data, size_t length, struct job_take *out);
bool job_get_backoff(const void *data, size_t length, struct job_backoff *out);
bool job_get_ask(const void *data, size_t length, const char **lane_out,
    enum job_wish *wish_out);
bool job_get_room(const void *data, size_t length, struct job_room *out);
bool job_get_wake(const void *data, size_t length, const char **domain_out);
bool job_get(const void *data, size_t length,
    struct job_recipient recipients_out[JOB_RECIPIENTS_MAX], struct job *out);

/*
 * The results of a packet, one after the other: job_open_results() sets *data
 * and *length to its inside, false when it is no such packet;
 * job_take_result() reads the first of the rest and moves past it, false when
 * there is something else.  Nothing is left after the last one.
 */
bool job_open_results(const char **data, size_t *length);
bool job_take_result(const char **data, size_t *length, struct job_result *out);

#endif
