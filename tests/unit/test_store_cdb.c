/* SPDX-License-Identifier: ISC */
/* lookupd/store.c, store_cdb.c, cdb_cache.c: a node's files, looked up. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "adminsrv/vpasswd_file.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "control/assign.h"
#include "control/cdb_cache.h"
#include "lookupd/logins.h"
#include "lookupd/store.h"

struct node {
	char root[64];
	struct store *store;
};

static char *
path_of(const struct node *node, const char *name)
{
	return xasprintf("%s/%s", node->root, name);
}

static void
put_file(const struct node *node, const char *name, const char *text)
{
	char *path = path_of(node, name);

	assert_int_equal(file_replace(path, text, strlen(text), 0644, NULL), 0);
	free(path);
}

static void
put_assign(const struct node *node, const char *lines)
{
	char *text = path_of(node, "users/assign");
	char *cdb = path_of(node, "users/cdb");
	struct error err;

	put_file(node, "users/assign", lines);
	if (assign_compile(text, cdb, &err) == -1)
		fail_msg("%s", err.text);
	free(text);
	free(cdb);
}

/* Writes a domain's vpasswd and compiles it. */
static void
put_users(const struct node *node, const char *domain, const char *lines)
{
	char *name = xasprintf("domains/%s/vpasswd", domain);
	char *dir = xasprintf("%s/domains/%s", node->root, domain);
	struct vpasswd_file *file;
	struct error err;

	put_file(node, name, lines);
	if (vpasswd_file_load(dir, &file, &err) != 1 ||
	    vpasswd_file_compile(file, &err) == -1)
		fail_msg("%s", err.text);
	vpasswd_file_free(&file);
	free(name);
	free(dir);
}

static int
set_up(void **state)
{
	struct node *node = xcalloc(1, sizeof(*node));
	char *lines;
	struct error err;

	snprintf(node->root, sizeof(node->root), "/tmp/test-store-XXXXXX");
	assert_non_null(mkdtemp(node->root));
	for (unsigned i = 0; i < 3; i++) {
		static const char *const dirs[] = { "users", "domains/a.test",
			"domains/b.test" };
		char *path = path_of(node, dirs[i]);

		assert_int_equal(file_make_dirs(path, 0755, NULL), 0);
		free(path);
	}
	lines = xasprintf(
	    "+a.test-:a.test:1001:1002:%s/domains/a.test:-::\n"
	    "+alias.test-:a.test:1001:1002:%s/domains/a.test:-::\n"
	    "+b.test-:b.test:1001:1002:%s/domains/b.test:-::\n"
	    "+:alias:7:8:/var/alias:-::\n"
	    ".\n",
	    node->root, node->root, node->root);
	put_assign(node, lines);
	free(lines);
	put_users(node, "a.test",
	    "alice:$6$s$h:0:0:Alice:/m/a/alice:NOQUOTA\n"
	    "inactive:h:16:0:I:/m/a/inactive:NOQUOTA\n"
	    "bouncing:h:0:144:B:/m/a/0/bouncing:5000S,10C\n");
	put_users(node, "b.test", "bob:h:0:0:Bob:/m/b/bob:NOQUOTA\n");
	node->store = store_open_cdb(node->root, &err);
	if (node->store == NULL)
		fail_msg("%s", err.text);
	*state = node;
	return 0;
}

static int
tear_down(void **state)
{
	struct node *node = *state;

	store_free(&node->store);
	file_remove_tree(node->root, NULL);
	free(node);
	return 0;
}

static void
finds_domains(void **state)
{
	static const struct {
		const char *domain;
		int wanted;
		const char *name;
		bool is_alias;
	} rows[] = {
		{ "a.test", 1, "a.test", false },
		{ "A.Test", 1, "a.test", false },
		{ "alias.test", 1, "a.test", true },
		{ "b.test", 1, "b.test", false },
		/* These only match the catch-all line. */
		{ "c.test", 0, NULL, false },
		{ "a.test-x", 0, NULL, false },
		{ "a.tes", 0, NULL, false },
		{ "", 0, NULL, false },
	};
	const struct node *node = *state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct store_domain domain;
		struct error err = { "" };
		int found = store_find_domain(
		    node->store, rows[i].domain, &domain, &err);

		if (found != rows[i].wanted)
			fail_msg("'%s' gave %d (%s), wanted %d", rows[i].domain,
			    found, err.text, rows[i].wanted);
		if (found == 1) {
			assert_string_equal(domain.name, rows[i].name);
			assert_int_equal(domain.is_alias, rows[i].is_alias);
			assert_int_equal(domain.uid, 1001);
			assert_int_equal(domain.gid, 1002);
			store_domain_release(&domain);
		}
	}
}

static void
finds_users(void **state)
{
	static const struct {
		const char *local, *domain;
		int wanted;
		const char *dir;
		unsigned flags;
		bool is_active;
	} rows[] = {
		{ "alice", "a.test", 1, "/m/a/alice", 0, true },
		{ "ALICE", "A.TEST", 1, "/m/a/alice", 0, true },
		{ "alice", "alias.test", 1, "/m/a/alice", 0, true },
		{ "inactive", "a.test", 1, "/m/a/inactive", 0, false },
		{ "bouncing", "a.test", 1, "/m/a/0/bouncing",
		    STORE_BOUNCE_MAIL | STORE_POSTMASTER, true },
		{ "bob", "b.test", 1, "/m/b/bob", 0, true },
		{ "bob", "a.test", 0, NULL, 0, false },
		{ "alice", "c.test", 0, NULL, 0, false },
		{ "", "a.test", 0, NULL, 0, false }, /* the fingerprint's key */
		{ "alice:x", "a.test", 0, NULL, 0, false },
		{ "alice\n", "a.test", 0, NULL, 0, false },
		{ "0123456789012345678901234567890123456789012345678901234567"
		  "8901234",
		    "a.test", 0, NULL, 0, false },
	};
	const struct node *node = *state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct store_user user;
		struct error err = { "" };
		int found = store_find_user(
		    node->store, rows[i].local, rows[i].domain, &user, &err);

		if (found != rows[i].wanted)
			fail_msg("'%s@%s' gave %d (%s), wanted %d",
			    rows[i].local, rows[i].domain, found, err.text,
			    rows[i].wanted);
		if (found != 1)
			continue;
		assert_string_equal(user.dir, rows[i].dir);
		assert_int_equal(user.flags, rows[i].flags);
		assert_int_equal(user.is_active, rows[i].is_active);
		assert_true(strcmp(user.domain, "a.test") == 0 ||
		    strcmp(user.domain, "b.test") == 0);
		store_user_release(&user);
	}
}

static void
gives_every_field(void **state)
{
	const struct node *node = *state;
	struct store_user user;

	assert_int_equal(
	    store_find_user(node->store, "Bouncing", "alias.test", &user, NULL),
	    1);
	assert_string_equal(user.name, "bouncing");
	assert_string_equal(user.domain, "a.test");
	assert_string_equal(user.quota, "5000S,10C");
	store_user_release(&user);
}

static int
find(const struct node *node, const char *local, struct error *err)
{
	struct store_user user;
	int found = store_find_user(node->store, local, "a.test", &user, err);

	store_user_release(&user);
	return found;
}

static void
notices_replaced_files(void **state)
{
	struct node *node = *state;

	assert_int_equal(find(node, "carol", NULL), 0);
	put_users(node, "a.test", "carol:h:0:0:C:/m/a/carol:NOQUOTA\n");
	assert_int_equal(find(node, "carol", NULL), 1);
	assert_int_equal(find(node, "alice", NULL), 0);
	put_assign(node, ".\n");
	assert_int_equal(find(node, "carol", NULL), 0);
}

/* Each makes a lookup impossible; none may look like an absent user. */
static void
never_takes_damage_for_absence(void **state)
{
	static const struct {
		const char *name, *file, *content; /* NULL: remove the file */
	} rows[] = {
		{ "no cdb", "domains/a.test/vpasswd.cdb", NULL },
		{ "empty cdb", "domains/a.test/vpasswd.cdb", "" },
		{ "short cdb", "domains/a.test/vpasswd.cdb", "no cdb at all" },
		{ "no users/cdb", "users/cdb", NULL },
		{ "empty users/cdb", "users/cdb", "" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct node *node;
		struct error err = { "" };
		char *path;
		int found;

		tear_down(state);
		set_up(state);
		node = *state;
		path = path_of(node, rows[i].file);
		assert_int_equal(find(node, "nobody", NULL), 0);
		if (rows[i].content == NULL)
			assert_int_equal(unlink(path), 0);
		else
			put_file(node, rows[i].file, rows[i].content);
		found = find(node, "nobody", &err);
		if (found != -1 || strstr(err.text, node->root) == NULL)
			fail_msg("%s: got %d (%s), wanted -1 and the file",
			    rows[i].name, found, err.text);
		free(path);
	}
}

/* The first word of a cdb's first table says where it is: past the end. */
static void
says_when_a_cdb_is_damaged_inside(void **state)
{
	struct node *node = *state;
	char *path = path_of(node, "domains/a.test/vpasswd.cdb");
	char *bad = xmalloc(2048);
	struct error err = { "" };

	memset(bad, 0xfe, 2048);
	assert_int_equal(file_replace(path, bad, 2048, 0644, NULL), 0);
	assert_int_equal(find(node, "alice", &err), -1);
	assert_non_null(strstr(err.text, "vpasswd.cdb"));
	free(bad);
	free(path);
}

static void
says_when_an_entry_is_damaged(void **state)
{
	struct node *node = *state;
	char *path = path_of(node, "domains/a.test/vpasswd.cdb");
	struct cdbmap_writer *writer = cdbmap_writer_new(path, NULL);
	struct error err = { "" };

	assert_int_equal(
	    cdbmap_writer_add(writer, "alice", 5, "h:0:0", 5, NULL), 0);
	assert_int_equal(cdbmap_writer_commit(&writer, NULL), 0);
	assert_int_equal(find(node, "alice", &err), -1);
	assert_non_null(strstr(err.text, "alice"));
	free(path);
}

/* What was found may be old, what is absent is so now. */
static void
old_answers_are_never_absent(void **state)
{
	struct node *node = *state;
	char *lines = xasprintf(
	    "+new.test-:new.test:1:2:%s/domains/b.test:-::\n"
	    "+b.test-:b.test:1:2:%s/domains/b.test:-::\n.\n",
	    node->root, node->root);
	struct store_domain domain;

	store_set_max_age(node->store, 1000 * 1000);
	assert_int_equal(find(node, "alice", NULL), 1);
	assert_int_equal(find(node, "carol", NULL), 0);
	put_users(node, "a.test", "dora:h:0:0:D:/m/a/dora:NOQUOTA\n");
	assert_int_equal(find(node, "alice", NULL), 1); /* of the old file */
	assert_int_equal(find(node, "dora", NULL), 1);
	assert_int_equal(find(node, "alice", NULL), 0);
	put_assign(node, lines);
	assert_int_equal(
	    store_find_domain(node->store, "a.test", &domain, NULL), 1);
	store_domain_release(&domain);
	assert_int_equal(
	    store_find_domain(node->store, "new.test", &domain, NULL), 1);
	store_domain_release(&domain);
	assert_int_equal(
	    store_find_domain(node->store, "a.test", &domain, NULL), 0);
	free(lines);
}

static void
without_domains_all_is_absent(void **state)
{
	struct node *node = *state;
	char *text = path_of(node, "users/assign");
	char *cdb = path_of(node, "users/cdb");
	char *users = path_of(node, "users");

	assert_int_equal(unlink(text), 0);
	assert_int_equal(unlink(cdb), 0);
	assert_int_equal(find(node, "alice", NULL), 0);
	/* But not when the folder itself has gone. */
	assert_int_equal(rmdir(users), 0);
	assert_int_equal(find(node, "alice", NULL), -1);
	free(text);
	free(cdb);
	free(users);
}

struct reading {
	struct store *store;
	atomic_bool is_over;
	atomic_uint wrong;
};

static void *
read_until_over(void *context)
{
	struct reading *reading = context;

	while (!atomic_load(&reading->is_over)) {
		struct store_user user;

		/* alice is in every version of the file. */
		if (store_find_user(
			reading->store, "alice", "a.test", &user, NULL) != 1)
			atomic_fetch_add(&reading->wrong, 1);
		store_user_release(&user);
	}
	return NULL;
}

static void
threads_read_while_files_change(void **state)
{
	struct node *node = *state;
	struct reading reading = { .store = node->store };
	pthread_t threads[4];

	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL,
				     read_until_over, &reading),
		    0);
	for (unsigned i = 0; i < 50; i++) {
		char *lines = xasprintf("alice:h%u:0:0:A:/m/alice:NOQUOTA\n"
					"u%u:h:0:0:A:/m/u:NOQUOTA\n",
		    i, i);

		put_users(node, "a.test", lines);
		free(lines);
	}
	atomic_store(&reading.is_over, true);
	for (unsigned i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(atomic_load(&reading.wrong), 0);
}

static void
cache_keeps_its_limit(void **state)
{
	struct node *node = *state;
	struct cdb_cache *cache = cdb_cache_new(2);
	struct cdb_cache_entry *held;
	char *first = path_of(node, "domains/a.test/vpasswd.cdb");

	assert_int_equal(cdb_cache_acquire(cache, first, 0, &held, NULL), 1);
	for (unsigned i = 0; i < 20; i++) {
		char *path = xasprintf("%s/copy%u.cdb", node->root, i);
		struct cdb_cache_entry *entry;

		assert_int_equal(link(first, path), 0);
		assert_int_equal(
		    cdb_cache_acquire(cache, path, 0, &entry, NULL), 1);
		assert_int_equal(
		    cdbmap_get(cdb_cache_map(entry), "alice", 5, NULL, NULL),
		    1);
		cdb_cache_release(cache, entry);
		free(path);
	}
	/* What is held is neither closed nor forgotten. */
	assert_int_equal(
	    cdbmap_get(cdb_cache_map(held), "alice", 5, NULL, NULL), 1);
	cdb_cache_release(cache, held);
	cdb_cache_free(&cache);
	free(first);
}

/* A lookup is on the way of every recipient: some microseconds. */
static void
is_quick(void **state)
{
	enum { LOOKUPS = 20000 };
	const struct node *node = *state;
	int64_t start = clock_us();
	int64_t spent;

	for (int i = 0; i < LOOKUPS; i++) {
		struct store_user user;

		assert_int_equal(store_find_user(node->store, "alice", "a.test",
				     &user, NULL),
		    1);
		store_user_release(&user);
	}
	spent = clock_us() - start;
	print_message("a lookup takes %.2f us\n", (double)spent / LOOKUPS);
	/* Far off, so that a busy machine and sanitizers do not matter. */
	assert_true(spent < LOOKUPS * 100);
}

static void
finds_passwords(void **state)
{
	struct node *node = *state;
	struct store_password password;

	put_users(node, "a.test",
	    "alice:$6$s$h:0:4:A:/m/alice:NOQUOTA:clear text\n"
	    "sam:{SCRAM-SHA-256}4096,c2FsdA==,a=,b=,$6$x$y:16:8196:S:/m/sam:9S\n"
	    "only:{SCRAM-SHA-256}4096,c2FsdA==,a=,b=:0:0:O:/m/only:9S\n");
	assert_int_equal(store_find_password(
			     node->store, "nobody", "a.test", &password, NULL),
	    0);
	assert_int_equal(store_find_password(node->store, "Alice", "ALIAS.test",
			     &password, NULL),
	    1);
	assert_string_equal(password.hash, "$6$s$h");
	assert_null(password.scram);
	assert_string_equal(password.secret, "clear text");
	assert_string_equal(password.domain, "a.test");
	assert_string_equal(password.dir, "/m/alice");
	assert_int_equal(password.flags, STORE_NO_WEBMAIL);
	assert_true(password.may_log_in);
	assert_int_equal(password.uid, 1001);
	assert_int_equal(password.gid, 1002);
	store_password_release(&password);

	put_file(node, "domains/a.test/.domain_limits",
	    "# of the domain\ndisable_pop 1\nmaxpopaccounts\t-1\r\n");
	assert_int_equal(
	    store_find_password(node->store, "sam", "a.test", &password, NULL),
	    1);
	assert_string_equal(password.hash, "$6$x$y");
	assert_string_equal(
	    password.scram, "{SCRAM-SHA-256}4096,c2FsdA==,a=,b=");
	assert_null(password.secret);
	assert_int_equal(
	    password.flags, STORE_NO_WEBMAIL | STORE_OVERRIDE_LIMITS);
	assert_false(password.may_log_in);
	store_password_release(&password);
	assert_int_equal(
	    store_find_password(node->store, "only", "a.test", &password, NULL),
	    1);
	assert_string_equal(password.hash, "*");
	assert_int_equal(password.flags, STORE_NO_POP);
	store_password_release(&password);
}

static void
finds_aliases(void **state)
{
	struct node *node = *state;
	struct store_alias alias;

	put_file(node, "domains/a.test/.qmail-list:x",
	    "# comment\n&a@b.test\n\n./Maildir/  \n");
	put_file(node, "domains/a.test/.qmail-default", "| vdelivermail '' x\n");
	assert_int_equal(
	    store_find_alias(node->store, "List.X", "a.test", &alias, NULL), 1);
	assert_int_equal(alias.lines.count, 2);
	assert_string_equal(alias.lines.items[0], "&a@b.test");
	assert_string_equal(alias.lines.items[1], "./Maildir/");
	store_alias_release(&alias);
	assert_int_equal(
	    store_find_alias(node->store, "default", "a.test", &alias, NULL), 0);
	assert_int_equal(store_find_alias(node->store, "../b.test/x", "a.test",
			     &alias, NULL),
	    0);
	assert_int_equal(
	    store_find_alias(node->store, "list", "c.test", &alias, NULL), 0);
}

static void
finds_limits(void **state)
{
	struct node *node = *state;
	struct store_limits limits;
	struct error err;

	assert_int_equal(
	    store_find_limits(node->store, NULL, "a.test", &limits, NULL), 0);
	put_file(node, "domains/a.test/.domain_limits",
	    "maxaliases 0\ndisable_imap 1\n");
	assert_int_equal(
	    store_find_limits(node->store, NULL, "A.test", &limits, NULL), 1);
	assert_true(limits.has[STORE_LIMIT_maxaliases]);
	assert_false(limits.has[STORE_LIMIT_diskquota]);
	assert_int_equal(store_limits_flags(&limits), STORE_NO_IMAP);
	put_file(node, "domains/a.test/.domain_limits", "maxalias 1\n");
	assert_int_equal(
	    store_find_limits(node->store, NULL, "a.test", &limits, &err), -1);
	assert_non_null(strstr(err.text, "'maxalias' is not a limit"));
}

static void
finds_filters(void **state)
{
	struct node *node = *state;
	struct store_filters filters;
	char *line = xasprintf("u:h:0:0::%s/domains/a.test:9S\n", node->root);

	put_users(node, "a.test", line);
	free(line);
	put_file(node, "domains/a.test/.vfilter",
	    "2\tb\t1\t0\tspam: yes\t/NoDeliver\t2\n"
	    "1\ta\t0\t3\tx\tJunk\t0\n");
	assert_int_equal(
	    store_find_filters(node->store, "u", "a.test", &filters, NULL), 1);
	assert_int_equal(filters.count, 2);
	assert_string_equal(filters.items[0].name, "a");
	assert_int_equal(filters.items[0].comparison, 3);
	assert_string_equal(filters.items[1].keyword, "spam: yes");
	assert_string_equal(filters.items[1].bounce_action, "2");
	store_filters_release(&filters);
	put_file(node, "domains/a.test/.vfilter", "2\tb\n");
	assert_int_equal(
	    store_find_filters(node->store, "u", "a.test", &filters, NULL), -1);
}

static void
count_login(const char *service, const char *ip, int64_t at_s, void *context)
{
	(void)service;
	(void)ip;
	(void)at_s;
	++*(unsigned *)context;
}

static void
remembers_logins(void **state)
{
	struct node *node = *state;
	char *folder = path_of(node, "users/logins");
	unsigned count = 0;
	struct error err;

	assert_int_equal(store_note_login(node->store, "alice", "a.test", "pop3",
			     "192.0.2.1", true, &err),
	    -1); /* no folder */
	assert_int_equal(file_make_dirs(folder, 0770, NULL), 0);
	assert_int_equal(store_find_relay(node->store, "alice", "a.test",
			     "192.0.2.1", 3600, NULL),
	    0);
	for (unsigned i = 0; i < 2; i++)
		if (store_note_login(node->store, "alice", "alias.test", "pop3",
			"192.0.2.1", true, &err) == -1)
			fail_msg("%s", err.text);
	assert_int_equal(store_note_login(node->store, "alice", "a.test", "imap",
			     "::1", false, &err),
	    0);
	assert_int_equal(store_find_relay(node->store, "alice", "a.test",
			     "192.0.2.1", 3600, NULL),
	    1);
	assert_int_equal(
	    store_find_relay(node->store, "alice", "a.test", "::1", 3600, NULL),
	    0);
	assert_int_equal(logins_each(folder, "alice", "a.test", count_login,
			     &count, NULL),
	    1);
	assert_int_equal(count, 3); /* pop3, imap, relay */
	assert_int_equal(store_note_login(node->store, "alice", "a.test",
			     "pop3\nrelay x", "192.0.2.1", true, &err),
	    -1);
	free(folder);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(finds_domains),
		TEST(finds_users),
		TEST(gives_every_field),
		TEST(notices_replaced_files),
		TEST(never_takes_damage_for_absence),
		TEST(says_when_a_cdb_is_damaged_inside),
		TEST(says_when_an_entry_is_damaged),
		TEST(old_answers_are_never_absent),
		TEST(without_domains_all_is_absent),
		TEST(threads_read_while_files_change),
		TEST(cache_keeps_its_limit),
		TEST(is_quick),
		TEST(finds_passwords),
		TEST(finds_aliases),
		TEST(finds_limits),
		TEST(finds_filters),
		TEST(remembers_logins),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
