/* SPDX-License-Identifier: ISC */
/* The virtual domains of a node, for svctool check. */
#ifndef SVCTOOL_CHECK_DOMAIN_H
#define SVCTOOL_CHECK_DOMAIN_H

#include "svctool/check/check.h"

/* A line of users/assign. */
struct check_assign {
	unsigned line;
	bool is_wildcard;
	char *address; /* in lower case; "example.org-" of a domain */
	/*
	 * A virtual domain's line is +DOMAIN-:REALDOMAIN:uid:gid:DIR:-:: with
	 * DIR below domains/: the domain's length, or 0.
	 */
	size_t domain_length;
	char *user; /* the real domain */
	uid_t uid;
	gid_t gid;
	char *home;
	char *dash;
};

/* All good lines of users/assign, sorted by address and line. */
struct check_assigns {
	const char *path;
	struct check_assign *items;
	size_t count;
};

/* Is path inside the folder?  By their names. */
bool check_is_below(const char *path, const char *folder);

/* A line that has exactly this address, or NULL. */
const struct check_assign *check_assign_find(
    const struct check_assigns *assigns, const char *address, size_t length);

/* virtualdomains, rcpthosts and morercpthosts, against users/assign. */
void check_routes(struct check *check, const struct check_assigns *assigns);

/* A domain's folder: .qmail-default, vpasswd and its cdb, the users. */
void check_domain(struct check *check, const struct check_assigns *assigns,
    const struct check_assign *domain);

#endif
