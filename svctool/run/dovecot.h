/* SPDX-License-Identifier: ISC */
/*
 * Dovecot, which the service imap runs: what there is of it on this host, and
 * where its configuration has it listen.
 */
#ifndef SVCTOOL_RUN_DOVECOT_H
#define SVCTOOL_RUN_DOVECOT_H

#include "base/error.h"
#include "svctool/node.h"
#include "svctool/run/ports.h"

struct dovecot_listeners {
	struct port_address imap, imaps; /* port 0: none */
};

/*
 * What dovecot.conf says.  1; 0 there is none; -1 it cannot be read, or does
 * not have the listeners.
 */
int dovecot_read_listeners(const struct node *node,
    struct dovecot_listeners *listeners_out, struct error *err);

/* What there is of Dovecot on this host. */
struct dovecot_host {
	const char *dovecot; /* the program */
	bool has_lmtp, has_sieve;
};

/* 0, or -1 with the package that is missing. */
int dovecot_look_at_host(struct dovecot_host *host_out, struct error *err);

#endif
