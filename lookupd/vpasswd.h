/* SPDX-License-Identifier: ISC */
/*
 * One user's line of a vpasswd file (vpasswd(5)), vpopmail's format:
 *
 *	name ":" [ scram "," ] hash ":" uid ":" gid ":" gecos ":" dir ":" quota
 *	    [ ":" secret ]
 *	scram = "{" mechanism "}" iterations "," salt "," stored-key ","
 *	    server-key
 *
 * In vpasswd.cdb the name is the key and what follows its ':' the value.  uid
 * and gid are flags, not identities: a domain's users share the domain's.
 * secret is the clear password, for APOP and CRAM-MD5, where one is stored.
 */
#ifndef LOOKUPD_VPASSWD_H
#define LOOKUPD_VPASSWD_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/error.h"

/*
 * Flags in uid: the low four bits are the cluster state (reference 4.1; 0 on
 * a node of its own), and these.
 */
enum {
	VPASSWD_INACTIVE = 0x10,
	/* Made inactive for not having logged in for long: a login ends it.
	 * Without VPASSWD_INACTIVE: one has ended it, and nobody was told. */
	VPASSWD_AWAY = 0x20
};

/* Active, or inactive only until a login. */
bool vpasswd_may_log_in(unsigned uid_flags);

/* A hash that no password has: crypt(3) never gives this text. */
#define VPASSWD_NO_PASSWORD "*"

struct vpasswd_entry {
	const char *name;
	const char *hash;
	unsigned uid_flags; /* VPASSWD_INACTIVE ..., and the cluster state */
	unsigned gid_flags; /* enum store_flag */
	const char *gecos;
	const char *dir;    /* absolute, without "." and ".." in it */
	const char *quota;  /* never empty: "NOQUOTA" when there is none */
	const char *scram;  /* a verifier (RFC 5803), or NULL */
	const char *secret; /* the clear password, or NULL */
};

/*
 * Takes "scram,hash", which is changed, apart: what stands before the hash, or
 * NULL, and the hash.
 */
void vpasswd_split_hash(
    char *text, const char **scram_out, const char **hash_out);

/*
 * Takes a line without its newline apart, in place: line[length] must be
 * writable, and the entry's texts point into line.  0, or -1 with what is
 * wrong in it.
 */
int vpasswd_parse_line(char *line, size_t length,
    struct vpasswd_entry *entry_out, struct error *err);

/* The same for what follows the name; entry_out->name becomes name. */
int vpasswd_parse_value(const char *name, char *value, size_t length,
    struct vpasswd_entry *entry_out, struct error *err);

/*
 * Adds the entry as a line with its newline.  0; or -1 with the field that no
 * line can hold (a ':', a control character, a relative folder), and then
 * nothing is added.
 */
int vpasswd_format(
    const struct vpasswd_entry *entry, struct buf *line, struct error *err);

#endif
