/* SPDX-License-Identifier: ISC */
/* What a client keeps to resume sessions of TLS. */
#include "base/tls_tickets.h"

#include <pthread.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/log.h"
#include "base/mem.h"

struct ticket {
	unsigned char key[TLS_TICKETS_KEY_SIZE]; /* first: compared by it */
	TAILQ_ENTRY(ticket) by_use;
	int64_t proven_at_ms;
	size_t length;
	char data[];
};
TAILQ_HEAD(ticket_list, ticket);

struct tls_tickets {
	int64_t life_ms;
	pthread_mutex_t lock;      /* of what follows */
	void *table;               /* of search.h */
	struct ticket_list by_use; /* the last used first */
	size_t bytes;
};

struct tls_tickets *
tls_tickets_new(int64_t life_ms)
{
	struct tls_tickets *tickets = xcalloc(1, sizeof(*tickets));

	tickets->life_ms = life_ms;
	pthread_mutex_init(&tickets->lock, NULL);
	TAILQ_INIT(&tickets->by_use);
	return tickets;
}

void
tls_tickets_free(struct tls_tickets **tickets)
{
	if (*tickets == NULL)
		return;
	tdestroy((*tickets)->table, free);
	pthread_mutex_destroy(&(*tickets)->lock);
	free(*tickets);
	*tickets = NULL;
}

static int
compare_tickets(const void *a, const void *b)
{
	return memcmp(a, b, TLS_TICKETS_KEY_SIZE);
}

static struct ticket *
find_ticket(const struct tls_tickets *tickets, const unsigned char *key)
{
	struct ticket *const *node = tfind(
	    key, &tickets->table, compare_tickets);

	return node == NULL ? NULL : *node;
}

static size_t
bytes_of(const struct ticket *ticket)
{
	/* with its node in the table, and what malloc() adds to both */
	return sizeof(*ticket) + ticket->length + 64;
}

static void
remove_ticket(struct tls_tickets *tickets, struct ticket *ticket)
{
	if (ticket == NULL)
		return;
	tickets->bytes -= bytes_of(ticket);
	tdelete(ticket->key, &tickets->table, compare_tickets);
	TAILQ_REMOVE(&tickets->by_use, ticket, by_use);
	free(ticket);
}

void
tls_tickets_put(struct tls_tickets *tickets,
    const unsigned char key[TLS_TICKETS_KEY_SIZE], const void *data,
    size_t length, int64_t proven_at_ms)
{
	struct ticket *ticket;

	if (length > TLS_TICKET_MAX_BYTES)
		return;
	ticket = xmalloc(sizeof(*ticket) + length);
	memcpy(ticket->key, key, TLS_TICKETS_KEY_SIZE);
	ticket->proven_at_ms = proven_at_ms;
	ticket->length = length;
	memcpy(ticket->data, data, length);
	pthread_mutex_lock(&tickets->lock);
	remove_ticket(tickets, find_ticket(tickets, key));
	if (tsearch(ticket, &tickets->table, compare_tickets) == NULL)
		fatal(111, "out of memory");
	TAILQ_INSERT_HEAD(&tickets->by_use, ticket, by_use);
	tickets->bytes += bytes_of(ticket);
	while (tickets->bytes > TLS_TICKETS_MAX_BYTES)
		remove_ticket(
		    tickets, TAILQ_LAST(&tickets->by_use, ticket_list));
	pthread_mutex_unlock(&tickets->lock);
}

bool
tls_tickets_get(struct tls_tickets *tickets,
    const unsigned char key[TLS_TICKETS_KEY_SIZE], int64_t now_ms,
    struct buf *data, int64_t *proven_at_ms_out)
{
	struct ticket *ticket;

	pthread_mutex_lock(&tickets->lock);
	ticket = find_ticket(tickets, key);
	if (ticket != NULL &&
	    now_ms - ticket->proven_at_ms >= tickets->life_ms) {
		remove_ticket(tickets, ticket);
		ticket = NULL;
	}
	if (ticket != NULL) {
		TAILQ_REMOVE(&tickets->by_use, ticket, by_use);
		TAILQ_INSERT_HEAD(&tickets->by_use, ticket, by_use);
		buf_add(data, ticket->data, ticket->length);
		*proven_at_ms_out = ticket->proven_at_ms;
	}
	pthread_mutex_unlock(&tickets->lock);
	return ticket != NULL;
}

void
tls_tickets_drop(
    struct tls_tickets *tickets, const unsigned char key[TLS_TICKETS_KEY_SIZE])
{
	pthread_mutex_lock(&tickets->lock);
	remove_ticket(tickets, find_ticket(tickets, key));
	pthread_mutex_unlock(&tickets->lock);
}
