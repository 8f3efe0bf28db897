/* SPDX-License-Identifier: ISC */
/*
 * Questions to the DNS, their answers, and the packets with both between
 * resolverd and whoever asks (docs/protocol.md, Resolver).
 *
 * Names are texts without a dot at their end.  A domain is asked for in ASCII
 * (control/idn.h makes U-labels so).
 */
#ifndef RESOLVER_DNS_H
#define RESOLVER_DNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/buf.h"

enum dns_type { /* as numbered by IANA */
	DNS_A = 1,
	DNS_PTR = 12,
	DNS_MX = 15,
	DNS_TXT = 16,
	DNS_AAAA = 28,
	DNS_TLSA = 52
};

/* Never confused: what is absent may bounce, what is unknown is deferred. */
enum dns_state {
	DNS_FOUND = 1,
	DNS_ABSENT, /* the name or such records of it do not exist */
	DNS_UNKNOWN /* no answer, a failure, or one that DNSSEC refutes */
};

enum {
	DNS_NAME_SIZE = 256, /* of a name as text, with its NUL */
	DNS_RECORDS_MAX = 2000
};

/* One record's data as RFC 1035 3.3 has it, names in it not compressed. */
struct dns_record {
	const unsigned char *data;
	size_t length;
};

/* The texts and records lie in storage. */
struct dns_answer {
	enum dns_state state;
	bool is_secure;     /* DNSSEC proves it, the absence too */
	bool is_no_name;    /* ABSENT: nothing has this name (NXDOMAIN) */
	uint32_t ttl_s;     /* how long it holds */
	const char *name;   /* the name behind all CNAMEs; "" if not told */
	const char *reason; /* UNKNOWN: for the log; else "" */
	struct dns_record *records;
	size_t record_count;
	struct buf storage;
};

/* Of an answer that a function here has made; it is zero then. */
void dns_answer_release(struct dns_answer *answer);
/* UNKNOWN, for this reason. */
void dns_answer_unknown(struct dns_answer *answer, const char *reason);

/* -- what records say; false: the data is not such a record */

struct dns_mx {
	unsigned preference;
	char host[DNS_NAME_SIZE]; /* "": the null MX of RFC 7505 */
};
/*
 * A host whose name has other characters than letters, digits, '-' and '_' has
 * no address that anybody could ask for: false.
 */
bool dns_read_mx(const struct dns_record *record, struct dns_mx *mx_out);
/* PTR: the name. */
bool dns_read_name(
    const struct dns_record *record, char name_out[DNS_NAME_SIZE]);
/* TXT: its strings one behind the other (RFC 7208 3.3), added to out. */
bool dns_read_text(const struct dns_record *record, struct buf *out);
/* A or AAAA, with this port. */
bool dns_read_address(const struct dns_record *record, uint16_t port,
    struct sockaddr_storage *address_out);

struct dns_tlsa { /* RFC 6698 2.1 */
	uint8_t usage, selector, matching;
	const unsigned char *data; /* in the record */
	size_t length;
};
bool dns_read_tlsa(const struct dns_record *record, struct dns_tlsa *tlsa_out);

/* The name that a PTR query for the address is about (RFC 1035 3.5, 3596 2.5).
 */
void dns_reverse_name(
    const struct sockaddr *address, char name_out[DNS_NAME_SIZE]);

/* -- packets */

enum { DNS_VERSION = 1 }; /* raised with any change of them */

struct dns_query {
	uint32_t id; /* the asker's, told in the answer */
	enum dns_type type;
	const char *name;
};

void dns_put_query(struct buf *buf, const struct dns_query *query);
/* False when it is not a query.  The name points into data. */
bool dns_get_query(
    const void *data, size_t length, struct dns_query *query_out);

void dns_put_answer(
    struct buf *buf, uint32_t id, const struct dns_answer *answer);
/* False when it is not an answer; *answer_out is a copy to be released. */
bool dns_get_answer(const void *data, size_t length, uint32_t *id_out,
    struct dns_answer *answer_out);

#endif
