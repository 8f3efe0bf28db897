/* SPDX-License-Identifier: ISC */
/*
 * The texts of Dovecot's files, from those in svctool/init/dovecot/.
 *
 * HOME/imap holds dovecot.conf and users.lua, which each svctool init makes
 * anew, and the operator's local.conf.  The ports stand in dovecot.conf alone.
 */
#ifndef SVCTOOL_INIT_IMAP_FILES_H
#define SVCTOOL_INIT_IMAP_FILES_H

#include "base/buf.h"
#include "svctool/node.h"
#include "svctool/run/dovecot.h"

/* For whom the files are. */
struct imap_config {
	const struct dovecot_listeners *listeners;
	const struct dovecot_host *host;
	const char *user; /* who reads the store */
	/* All of the node is this user's, who is not root; or NULL. */
	const char *only_user, *only_group;
};

/* The texts of dovecot.conf and users.lua, behind what buf holds. */
void imap_put_conf(
    const struct node *node, const struct imap_config *config, struct buf *buf);
void imap_put_lua(const struct node *node, struct buf *buf);

#endif
