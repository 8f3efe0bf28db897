/* SPDX-License-Identifier: ISC */
/*
 * The DNS resolver, libunbound: iterates or forwards, caches, validates.
 *
 * One thread calls these; libunbound has one of its own.
 */
#ifndef RESOLVER_UNBOUND_H
#define RESOLVER_UNBOUND_H

#include "base/error.h"
#include "control/settings.h"
#include "resolver/dns.h"

struct unbound;

/*
 * A resolver by the settings (dnsforward, dnsstub, dnsanchor, dnscache), with
 * all files read that it ever reads.  NULL with the reason.
 */
struct unbound *unbound_new(const struct settings *settings, struct error *err);
/* Questions that are open are answered: unknown. */
void unbound_free(struct unbound **unbound);

/* Starts its thread.  0 or -1. */
int unbound_start(struct unbound *unbound, struct error *err);

/* Readable when answers have come: then unbound_process() calls back. */
int unbound_fd(const struct unbound *unbound);
void unbound_process(struct unbound *unbound);

typedef void unbound_answered(const struct dns_answer *answer, void *context);

/*
 * Asks; answered is called once, from unbound_process(), or from here when
 * nothing need be asked (a name that is none).  Servers that do not answer are
 * given up after some tens of seconds.
 */
void unbound_ask(struct unbound *unbound, enum dns_type type, const char *name,
    unbound_answered *answered, void *context);

#endif
