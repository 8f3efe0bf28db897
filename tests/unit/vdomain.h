/* SPDX-License-Identifier: ISC */
/*
 * A node with one virtual domain, example.test, in a folder of its own:
 * users/cdb and vpasswd.cdb as the tools of an operator make them.
 */
#ifndef TESTS_UNIT_VDOMAIN_H
#define TESTS_UNIT_VDOMAIN_H

#include <cdb.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "control/assign.h"
#include "tests/unit/tempdir.h"

struct vdomain {
	char *root;
	char *domains;
	char *dir; /* of example.test */
};

/* A user; his folder is DIR/NAME, made with the node unless is_bare. */
struct vdomain_user {
	const char *name;
	const char *quota;
	unsigned uid, gid; /* flags: vpasswd(5) */
	bool is_bare;
};

static inline void
vdomain_check(int result, const struct error *err)
{
	if (result == -1) {
		fprintf(stderr, "vdomain: %s\n", err->text);
		abort();
	}
}

/* Writes a file below the node's root. */
static inline void
vdomain_put(const struct vdomain *node, const char *name, const char *text)
{
	char *path = xasprintf("%s/%s", node->root, name);
	struct error err;

	vdomain_check(file_replace(path, text, strlen(text), 0600, &err), &err);
	free(path);
}

static inline void
vdomain_put_users(
    const struct vdomain *node, const struct vdomain_user *users, size_t count)
{
	char *path = xasprintf("%s/vpasswd.cdb", node->dir);
	struct cdb_make cdb;
	struct error err;
	size_t i;
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	cdb_make_start(&cdb, fd);
	for (i = 0; i < count; i++) {
		char *user_dir = xasprintf("%s/%s", node->dir, users[i].name);
		char *value = xasprintf("*:%u:%u:x:%s:%s", users[i].uid,
		    users[i].gid, user_dir, users[i].quota);

		cdb_make_add(&cdb, users[i].name,
		    (unsigned)strlen(users[i].name), value,
		    (unsigned)strlen(value));
		if (!users[i].is_bare)
			vdomain_check(
			    file_make_dirs(user_dir, 0700, &err), &err);
		free(value);
		free(user_dir);
	}
	if (cdb_make_finish(&cdb) == -1)
		abort();
	close(fd);
	free(path);
}

static inline void
vdomain_make(
    struct vdomain *node, const struct vdomain_user *users, size_t count)
{
	char *text, *assign, *cdb;
	struct error err;

	node->root = tempdir_make();
	node->domains = xasprintf("%s/domains", node->root);
	node->dir = xasprintf("%s/example.test", node->domains);
	vdomain_check(file_make_dirs(node->dir, 0700, &err), &err);
	assign = xasprintf("%s/users", node->root);
	vdomain_check(file_make_dirs(assign, 0700, &err), &err);
	free(assign);
	text = xasprintf("+example.test-:example.test:%u:%u:%s:-::\n.\n",
	    (unsigned)getuid(), (unsigned)getgid(), node->dir);
	vdomain_put(node, "users/assign", text);
	assign = xasprintf("%s/users/assign", node->root);
	cdb = xasprintf("%s/users/cdb", node->root);
	vdomain_check(assign_compile(assign, cdb, &err), &err);
	vdomain_put(node, "domains/example.test/.qmail-default",
	    "| /usr/sbin/vdelivermail '' bounce-no-mailbox\n");
	vdomain_put_users(node, users, count);
	free(text);
	free(assign);
	free(cdb);
}

static inline void
vdomain_remove(struct vdomain *node)
{
	tempdir_remove(node->root);
	free(node->domains);
	free(node->dir);
}

#endif
