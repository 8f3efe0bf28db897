/* SPDX-License-Identifier: ISC */
/*
 * A virtual domain a.test in the node of tests/unit/check_node.h, its line of
 * users/assign, and its users.  Include after cmocka.h.
 */
#ifndef TESTS_UNIT_CHECK_USERS_H
#define TESTS_UNIT_CHECK_USERS_H

#include "adminsrv/vpasswd_file.h"
#include "svctool/check/domain.h"
#include "tests/unit/check_node.h"

static char domain_home[160];

/* The line's texts are borrowed. */
static inline struct check_assign
check_users_line(void)
{
	static char address[] = "a.test-", user[] = "a.test", dash[] = "-";

	snprintf(domain_home, sizeof(domain_home), "%s/domains/a.test", folder);
	return (struct check_assign){ .line = 3,
		.is_wildcard = true,
		.address = address,
		.domain_length = 6,
		.user = user,
		.uid = geteuid(),
		.gid = getegid(),
		.home = domain_home,
		.dash = dash };
}

static inline void
check_users_dir(const char *name, mode_t mode)
{
	svc_dir(name);
	assert_int_equal(chmod(folder_path(name), mode), 0);
}

/* A user's folders, all closed. */
static inline void
check_users_make(const char *dir)
{
	static const char *const parts[] = { "", "/Maildir", "/Maildir/tmp",
		"/Maildir/new", "/Maildir/cur" };

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		char path[160];

		snprintf(path, sizeof(path), "%s%s", dir, parts[i]);
		check_users_dir(path, 0700);
	}
}

/* The vpasswd of the domain, with one user of that folder; and its cdb. */
static inline struct vpasswd_file *
check_users_file(
    const char *name, const char *dir, unsigned uid_flags, unsigned gid_flags)
{
	struct vpasswd_file *file;
	struct vpasswd_entry entry = { .name = name,
		.hash = "*",
		.uid_flags = uid_flags,
		.gid_flags = gid_flags,
		.gecos = "",
		.dir = dir,
		.quota = "NOQUOTA" };
	struct error err = { "" };
	char path[160];

	snprintf(path, sizeof(path), "%s/domains/a.test", folder);
	if (vpasswd_file_load(path, &file, &err) == -1 ||
	    vpasswd_file_put(file, &entry, &err) == -1 ||
	    vpasswd_file_save(file, &err) == -1)
		fail_msg("%s", err.text);
	return file;
}

#endif
