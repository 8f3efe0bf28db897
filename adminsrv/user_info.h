/* SPDX-License-Identifier: ISC */
/* What is known of a user, for people and as JSON. */
#ifndef ADMINSRV_USER_INFO_H
#define ADMINSRV_USER_INFO_H

#include <stdbool.h>

#include "base/error.h"
#include "lookupd/vpasswd.h"
#include "mailbox/quota.h"

/* In the order of the options "npugcdql" of vuserinfo. */
enum user_info_field {
	USER_INFO_NAME = 0x01,
	USER_INFO_HASH = 0x02,
	USER_INFO_UID = 0x04,
	USER_INFO_GID = 0x08,
	USER_INFO_GECOS = 0x10,
	USER_INFO_DIR = 0x20,
	USER_INFO_QUOTA = 0x40, /* and what is used of it */
	USER_INFO_LOGINS = 0x80, /* adminsrv/last_login.h, not printed here */
	USER_INFO_ALL = 0xff
};

/* A bit of gid_flags; a row with flag 0 ends the table. */
struct user_info_flag {
	unsigned flag;
	int option;       /* of vmoduser */
	const char *name; /* in JSON */
	const char *text; /* for people */
};
extern const struct user_info_flag user_info_flags[];

/*
 * The use of the user's Maildir: by its maildirsize if that fits the quota,
 * else by looking at every message.  1; 0 when there is no Maildir; -1.
 */
int user_info_usage(const struct vpasswd_entry *entry,
    struct quota_usage *usage_out, struct error *err);

/* Prints the fields (enum user_info_field) to stdout.  0 or -1. */
int user_info_print(const struct vpasswd_entry *entry, const char *domain,
    unsigned fields, struct error *err);

/* A user with all fields as a jansson object; NULL when it cannot tell. */
struct json_t;
struct json_t *user_info_json(
    const struct vpasswd_entry *entry, const char *domain, struct error *err);

#endif
