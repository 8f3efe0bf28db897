/* SPDX-License-Identifier: ISC */
/*
 * The UUIDs of messages that were committed lately, or are being committed: so
 * that a client whose answer was lost can ask again.  Used by one thread.
 */
#ifndef QUEUE_RECENT_H
#define QUEUE_RECENT_H

#include <stdint.h>

#include "base/uuid.h"

/* As many as there can be small messages in a journal. */
enum { RECENT_MAX = 65536 };

struct recent;

struct recent *recent_new(void);
void recent_free(struct recent **recent);

/* Remembers it, and forgets the oldest when there are too many. */
void recent_add(struct recent *recent, const struct uuid *uuid, uint64_t id);
/* Forgets one that was added: its commit has failed. */
void recent_remove(struct recent *recent, const struct uuid *uuid);
/* The number of the message, or 0: it is not known. */
uint64_t recent_find(const struct recent *recent, const struct uuid *uuid);

#endif
