/* SPDX-License-Identifier: ISC */
/*
 * A user as deliveries look it up: the first byte says whether the rest is the
 * user's value in vpasswd.cdb, all of vpasswd.cdb, the domain's value in
 * users/cdb, or all of users/cdb.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "control/cdbmap.h"
#include "lookupd/store.h"
#include "tests/fuzz/scratch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { USER_VALUE, USER_FILE, DOMAIN_VALUE, DOMAIN_FILE, KINDS };

static const char user_row[] = "*:0:0:alice:/d/alice:1000S";

struct node {
	char *home, *users_cdb, *domain_dir, *vpasswd_cdb;
	struct buf domain_row;
	struct store *store;
};

static struct node *
get_node(void)
{
	static struct node node;
	char *users;
	struct error err;

	if (node.store != NULL)
		return &node;
	node.home = xstrdup(scratch_dir());
	users = xasprintf("%s/users", node.home);
	node.users_cdb = xasprintf("%s/cdb", users);
	node.domain_dir = xasprintf("%s/domain", node.home);
	node.vpasswd_cdb = xasprintf("%s/vpasswd.cdb", node.domain_dir);
	if (mkdir(users, 0700) == -1 || mkdir(node.domain_dir, 0700) == -1)
		abort();
	free(users);
	buf_init(&node.domain_row);
	buf_add(&node.domain_row,
	    "a.test\0"
	    "7\0"
	    "7",
	    10);
	buf_addc(&node.domain_row, '\0');
	buf_add(&node.domain_row, node.domain_dir, strlen(node.domain_dir) + 1);
	buf_add(&node.domain_row, "-\0", 2);
	node.store = store_open_cdb(node.home, &err);
	if (node.store == NULL)
		abort();
	return &node;
}

/* A cdb of one record, and a list of wildcards. */
static void
write_map(const char *path, const char *key, const void *value, size_t length)
{
	struct cdbmap_writer *writer = cdbmap_writer_new(path, NULL);

	cdbmap_writer_add(writer, key, strlen(key), value, length, NULL);
	cdbmap_writer_add(writer, "", 0, "-", 1, NULL);
	if (cdbmap_writer_commit(&writer, NULL) == -1)
		abort();
}

static void
write_file(const char *path, const void *data, size_t size)
{
	if (file_replace(path, data, size, 0600, NULL) == -1)
		abort();
}

/* Looks up; what is found must be fit for deliveries. */
static int
find(struct store *store, const char *local)
{
	struct error err = { "" };
	struct store_domain domain;
	struct store_user user;
	int found;

	found = store_find_domain(store, "a.test", &domain, &err);
	assert(found != -1 || err.text[0] != '\0');
	if (found == 1) {
		assert(domain.uid != (uid_t)-1 && domain.gid != (gid_t)-1);
		assert(domain.name != NULL && domain.dir != NULL);
	}
	store_domain_release(&domain);
	err.text[0] = '\0';
	found = store_find_user(store, local, "A.test", &user, &err);
	assert(found != -1 || err.text[0] != '\0');
	if (found == 1) {
		assert(strcasecmp(user.name, local) == 0);
		assert(user.dir[0] == '/' && strstr(user.dir, "/../") == NULL);
		assert(user.quota[0] != '\0');
	}
	store_user_release(&user);
	return found;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct node *node = get_node();
	int kind, found;

	if (size == 0)
		return 0;
	kind = data[0] % KINDS;
	data++;
	size--;
	if (kind == DOMAIN_FILE)
		write_file(node->users_cdb, data, size);
	else if (kind == DOMAIN_VALUE)
		write_map(node->users_cdb, "!a.test-", data, size);
	else
		write_map(node->users_cdb, "!a.test-", node->domain_row.data,
		    node->domain_row.length);
	if (kind == USER_FILE)
		write_file(node->vpasswd_cdb, data, size);
	else if (kind == USER_VALUE)
		write_map(node->vpasswd_cdb, "alice", data, size);
	else
		write_map(
		    node->vpasswd_cdb, "alice", user_row, sizeof(user_row) - 1);
	found = find(node->store, "Alice");
	/* The row is there: what is wrong with it is no absence. */
	assert(kind != USER_VALUE || found != 0);
	found = find(node->store, "bob");
	assert(kind != USER_VALUE || found == 0);
	return 0;
}
