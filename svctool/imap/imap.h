/* SPDX-License-Identifier: ISC */
/*
 * The service imap: Dovecot, configured from the node's own users.
 *
 * HOME/imap holds dovecot.conf and users.lua, which are made anew by each
 * svctool init, and the operator's local.conf.  The ports stand in dovecot.conf
 * alone.
 */
#ifndef SVCTOOL_IMAP_IMAP_H
#define SVCTOOL_IMAP_IMAP_H

#include "base/buf.h"
#include "base/error.h"
#include "svctool/node.h"
#include "svctool/run/ports.h"

struct imap_listeners {
	struct port_address imap, imaps; /* port 0: none */
};

/*
 * What dovecot.conf says.  1; 0 there is none; -1 it cannot be read, or does
 * not have the listeners.
 */
int imap_read_listeners(const struct node *node,
    struct imap_listeners *listeners_out, struct error *err);

/* What there is of Dovecot on this host. */
struct imap_host {
	const char *dovecot; /* the program */
	bool has_lmtp, has_sieve;
};

/* 0, or -1 with the package that is missing. */
int imap_look_at_host(struct imap_host *host_out, struct error *err);

/* For whom the files are. */
struct imap_config {
	const struct imap_listeners *listeners;
	const struct imap_host *host;
	const char *user; /* who reads the store */
	/* All of the node is this user's, who is not root; or NULL. */
	const char *only_user, *only_group;
};

/* The texts of dovecot.conf and users.lua, behind what buf holds. */
void imap_put_conf(const struct node *node, const struct imap_config *config,
    struct buf *buf);
void imap_put_lua(const struct node *node, struct buf *buf);

#endif
