/* SPDX-License-Identifier: ISC */
/*
 * Questions to lookupd, its answers, and the packets with both (docs/protocol.md,
 * Lookups).  What is known of a user, an alias and so on is one record of bytes,
 * the same in a packet, in the cache and in the snapshot.
 *
 * Local parts and domains are as store.c folds them.
 */
#ifndef LOOKUPD_QUERY_H
#define LOOKUPD_QUERY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/wire.h"
#include "lookupd/store_backend.h"

enum { QUERY_VERSION = 1 }; /* raised with any change of packets or records */

enum query_kind {
	QUERY_USER = 1,
	QUERY_PASSWORD,
	QUERY_ALIAS,
	QUERY_LIMITS,  /* of a user; local "": of the domain */
	QUERY_FILTERS,
	QUERY_DOMAIN,  /* local is "" */
	QUERY_RELAY,   /* with ip and max_age_s */
	QUERY_LOGIN,   /* a login to be remembered, with service, ip and at_s */
	QUERY_STATS,   /* lookupd's own figures, as JSON */
	QUERY_PLACE,   /* of a clustered domain's other mail; local is "" */
	QUERY_KIND_COUNT
};

/* The name in commands and logs. */
const char *query_kind_name(enum query_kind kind);
bool query_kind_find(const char *name, enum query_kind *kind_out);
/* Those that the cache and the snapshot hold. */
bool query_kind_is_kept(enum query_kind kind);

enum {
	QUERY_COUNT_MAX = 256, /* questions in a packet */
	/* No record, nor reason, is larger: a packet has room for it. */
	QUERY_RECORD_MAX = 50000
};

struct query {
	enum query_kind kind;
	const char *local;
	const char *domain;
	const char *ip;      /* of RELAY and LOGIN, else "" */
	const char *service; /* of LOGIN, else "" */
	bool opens_relay;    /* of LOGIN */
	uint64_t number;     /* RELAY: max_age_s; LOGIN: at_s, 0 is now */
};

/* As in all lookups: found, absent, could not tell. */
enum query_state { QUERY_FOUND = 1, QUERY_ABSENT, QUERY_UNKNOWN };

enum query_source {
	QUERY_FROM_NOWHERE, /* unknown */
	QUERY_FROM_CACHE,
	QUERY_FROM_DATABASE,
	QUERY_FROM_SNAPSHOT,
	QUERY_FROM_SPOOL, /* of LOGIN: will be written later */
	QUERY_SOURCE_COUNT
};
const char *query_source_name(enum query_source source);

struct query_answer {
	enum query_state state;
	enum query_source source;
	uint64_t age_ms;    /* since the database said so */
	const char *record; /* UNKNOWN: the reason, for logs */
	size_t length;
};

/* -- packets */

struct query_request {
	uint32_t id; /* the asker's, told in the answers */
	/*
	 * When nobody waits any more, by clock_ms(); between nodes, whose clocks
	 * are others, so many milliseconds after it came.  0: never.
	 */
	uint64_t deadline_ms;
	size_t count;
	struct query queries[QUERY_COUNT_MAX];
};

/*
 * May the database be asked so: names of a length that it has, an address, a
 * service and a time that it takes?
 */
bool query_is_sound(const struct query *query);

void query_put_request(struct buf *buf, const struct query_request *request);
/* False when it is no request, or one is not sound.  The texts point into data. */
bool query_get_request(
    const void *data, size_t length, struct query_request *request_out);

/*
 * Answers to a request may be in several packets, each with those of the
 * questions from first on.
 */
struct query_answers {
	uint32_t id;
	size_t first;
	size_t total; /* of all packets */
	size_t count;
	struct query_answer answers[QUERY_COUNT_MAX];
};

/* As many of the answers as one packet has room for; gives how many. */
size_t query_put_answers(struct buf *buf, uint32_t id, size_t first,
    const struct query_answer *answers, size_t total);
/* False when it is no such packet.  The records point into data. */
bool query_get_answers(
    const void *data, size_t length, struct query_answers *answers_out);

/* -- records; a get is false when the record is none */

/* Who serves a mailbox of a clustered domain. */
struct query_place {
	const char *store; /* "": none */
	const char *node;  /* "": no node serves it now */
	uint64_t epoch;    /* of the store */
	bool is_moving, is_many_served;
};
void query_put_place(struct buf *buf, const struct query_place *place);
bool query_get_place(
    const void *data, size_t length, struct query_place *place_out);

struct query_user {
	unsigned flags, uid_flags; /* uid_flags: VPASSWD_INACTIVE and others */
	const char *dir, *quota;
	/* False: he may have some, or whoever answered did not look. */
	bool has_no_filters;
	/* The store is not NULL: of his store; a local domain's has none. */
	struct query_place place;
};
void query_put_user(struct buf *buf, const struct query_user *user);
bool query_get_user(
    const void *data, size_t length, struct query_user *user_out);

struct query_password {
	struct query_user user;
	unsigned limits_flags; /* what the domain's limits forbid */
	const char *hash, *scram, *secret; /* "": none */
	const char *gecos;
};
void query_put_password(struct buf *buf, const struct query_password *password);
bool query_get_password(
    const void *data, size_t length, struct query_password *password_out);

/* Lines with a '\0' behind each. */
bool query_get_alias(
    const void *data, size_t length, struct store_alias *alias_out);

void query_put_limits(struct buf *buf, const struct store_limits *limits);
bool query_get_limits(
    const void *data, size_t length, struct store_limits *limits_out);

void query_put_filter(struct buf *buf, const struct store_filter *filter);
/* A record is a filter behind the other.  To be released also when false. */
bool query_get_filters(
    const void *data, size_t length, struct store_filters *filters_out);

/* The real name of a domain, with its '\0'; NULL: the record is none. */
const char *query_get_domain(const void *data, size_t length);

#endif
