/* SPDX-License-Identifier: ISC */
/*
 * What a client keeps to resume sessions of TLS (RFC 8446 2.2), by a key that
 * says all that a session must have in common with the one before.
 *
 * Any thread.  At most TLS_TICKETS_MAX_BYTES are kept, those longest not used
 * go first.  A ticket may serve several connections at once: what RFC 8446 C.4
 * has against that is no matter between mail hosts, whom their addresses name.
 */
#ifndef BASE_TLS_TICKETS_H
#define BASE_TLS_TICKETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

enum {
	TLS_TICKETS_KEY_SIZE = 32,
	TLS_TICKET_MAX_BYTES = 16 * 1024, /* a larger one is not kept */
	TLS_TICKETS_MAX_BYTES = 4 * 1024 * 1024
};

struct tls_tickets;

/* Nothing older than life_ms is given out. */
struct tls_tickets *tls_tickets_new(int64_t life_ms);
void tls_tickets_free(struct tls_tickets **tickets);

/*
 * Takes the place of an older one.  proven_at_ms: when the peer last showed its
 * certificate, which resumed sessions do not.
 */
void tls_tickets_put(struct tls_tickets *tickets,
    const unsigned char key[TLS_TICKETS_KEY_SIZE], const void *data,
    size_t length, int64_t proven_at_ms);

/* Adds it to data; false: there is none. */
bool tls_tickets_get(struct tls_tickets *tickets,
    const unsigned char key[TLS_TICKETS_KEY_SIZE], int64_t now_ms,
    struct buf *data, int64_t *proven_at_ms_out);

void tls_tickets_drop(
    struct tls_tickets *tickets, const unsigned char key[TLS_TICKETS_KEY_SIZE]);

#endif
