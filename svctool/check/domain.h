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

/* users/cdb, against good lines that are all lines of users/assign. */
void check_assign_cdb(struct check *check, const struct check_assigns *assigns);

/* control/virtualdomains and rcpthosts, against the lines of users/assign. */
void check_virtual(struct check *check, const struct check_assigns *assigns);

/* What is delivered here. */
struct check_routes {
	struct check *check;
	const struct settings *settings;
	const struct check_assigns *assigns;
	/* Has virtualdomains a line for the key (a domain, .domain or "")? */
	bool (*has_rule)(const void *rules, const char *key);
	const void *rules;
};

/* Lines of rcpthosts and morercpthosts. */
void check_rcpthosts(const struct check_routes *routes);

/* A domain's folder: .qmail-default, vpasswd and its cdb, the users. */
void check_domain(struct check *check, const struct check_assigns *assigns,
    const struct check_assign *domain);

struct vpasswd_file;
/* Its postmaster: there, and such as gets mail. */
void check_postmaster(struct check *check, const struct check_assign *domain,
    const struct vpasswd_file *users);

/* The folders of the users, as vpasswd has them. */
void check_domain_users(struct check *check, const struct check_assign *domain,
    const struct vpasswd_file *users);

#endif
