/* SPDX-License-Identifier: ISC */
#include "delivery/vdeliver.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

#include "base/buf.h"
#include "tests/unit/vdomain.h"

static const struct vdomain_user users[] = {
	{ "u0", "NOQUOTA", 0, 0, false },
	{ "u1", "NOQUOTA", 0, 0, false },
	{ "small", "1000S", 0, 0, false },
	{ "few", "2C", 0, 0, false },
	{ "inactive", "NOQUOTA", 16, 0, false },
	{ "locked", "NOQUOTA", 0, STORE_BOUNCE_MAIL, false },
	{ "badquota", "much", 0, 0, false },
	{ "nofolder", "NOQUOTA", 0, 0, true },
	{ "forward", "NOQUOTA", 0, 0, false },
	{ "full", "NOQUOTA", 0, 0, false },
	{ "much", "1000000S", 0, 0, false },
};

static struct vdomain node;
static struct store *store;
static struct vdeliver *vdeliver;

/* A descriptor of a message, as qmail-send passes it. */
static int
message(const char *text, size_t length)
{
	char *path = xasprintf("%s/message", node.root);
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_int_equal(file_write_all(fd, text, length), 0);
	close(fd);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	unlink(path);
	free(path);
	return fd;
}

/* One delivery, and what became of it. */
struct item {
	const char *sender, *recipient, *user, *home, *extension, *header;
	struct uuid uuid; /* none: a new one */
	int fd;           /* closed by the delivery */
	uint64_t size;
	enum job_outcome outcome;
	char text[VDELIVER_TEXT_SIZE];
};

/* One item to extension@example.test; item_release() frees its texts. */
static struct item
item_to(const char *extension, const char *text)
{
	return (struct item){
		.sender = "a@example.org",
		.recipient = xasprintf(
		    "example.test-%s@example.test", extension),
		.user = "example.test",
		.home = node.dir,
		.extension = extension,
		.header = "",
		.fd = text == NULL ? -1 : message(text, strlen(text)),
		.size = text == NULL ? 0 : strlen(text),
	};
}

static void
item_release(struct item *item)
{
	free((char *)(uintptr_t)item->recipient);
}

static struct item *running;
static size_t answer_count;

static void
keep_answer(const struct vdeliver_item *answered, void *context)
{
	struct item *item = &running[answered->to->delivery];

	assert_null(context);
	assert_int_equal(item->outcome, 0);
	item->outcome = answered->outcome;
	memcpy(item->text, answered->text, sizeof(item->text));
	answer_count++;
}

static void
start(struct item *item, uint32_t delivery)
{
	struct vdeliver_message *sent = vdeliver_message_new(1);

	sent->job.recipients[0] = (struct job_recipient){
		.delivery = delivery,
		.recipient = item->recipient,
		.user = item->user,
		.home = item->home,
		.dash = "-",
		.extension = item->extension,
	};
	sent->job.sender = item->sender;
	sent->job.header = item->header;
	sent->job.size_bytes = item->size;
	sent->job.uuid = item->uuid;
	if (uuid_is_none(&item->uuid))
		uuid_make(&sent->job.uuid);
	sent->fd = item->fd;
	item->outcome = 0;
	vdeliver_deliver(vdeliver, sent);
}

/* Until so many have been answered. */
static void
wait_for(size_t count)
{
	struct pollfd poll_fd = { .fd = vdeliver_wake_fd(vdeliver),
		.events = POLLIN };

	while (answer_count < count) {
		assert_int_equal(poll(&poll_fd, 1, 60000), 1);
		vdeliver_reap(vdeliver);
	}
	assert_int_equal(answer_count, count);
}

static void
run(struct item *items, size_t count)
{
	uint32_t i;

	running = items;
	answer_count = 0;
	vdeliver_begin(vdeliver);
	for (i = 0; i < count; i++)
		start(&items[i], i);
	vdeliver_end(vdeliver);
	wait_for(count);
}

static void
open_vdeliver(bool hold, uint64_t mailsize)
{
	const struct vdeliver_config config = {
		.store = store,
		.domains = node.domains,
		.host = "host.test",
		.queue = "queue1",
		.cached_maildirs = 8,
		.sync_threads = 4,
		.options = { hold, mailsize },
		.answer = keep_answer,
	};
	struct error err;

	vdeliver_free(&vdeliver);
	vdeliver = vdeliver_new(&config, &err);
	assert_non_null(vdeliver);
}

static int
setup(void **state)
{
	struct error err;

	(void)state;
	vdomain_make(&node, users, sizeof(users) / sizeof(*users));
	store = store_open_cdb(node.root, &err);
	assert_non_null(store);
	open_vdeliver(false, 0);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	vdeliver_free(&vdeliver);
	store_free(&store);
	vdomain_remove(&node);
	return 0;
}

/* How many messages a user has in new; the text of the last in text_out. */
static int
count_new(const char *user, struct buf *text_out)
{
	char *path = xasprintf("%s/%s/Maildir/new", node.dir, user);
	DIR *dir = opendir(path);
	struct dirent *entry;
	int count = 0;

	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		count++;
		if (text_out != NULL) {
			char *file = xasprintf("%s/%s", path, entry->d_name);

			buf_reset(text_out);
			assert_int_equal(
			    file_read(file, 100000000, text_out, NULL), 1);
			free(file);
		}
	}
	if (dir != NULL)
		closedir(dir);
	free(path);
	return count;
}

static void
assert_outcome(
    const struct item *item, enum job_outcome outcome, const char *text)
{
	if (item->outcome != outcome || strstr(item->text, text) == NULL)
		fail_msg("%s: '%c' %s, wanted '%c' %s", item->recipient,
		    item->outcome, item->text, outcome, text);
	assert_int_equal(item->text[strlen(item->text) - 1], '\n');
}

static void
deliver(const char *extension, const char *text, enum job_outcome outcome,
    const char *wanted)
{
	struct item item = item_to(extension, text);

	run(&item, 1);
	assert_outcome(&item, outcome, wanted);
	item_release(&item);
}

static void
what_a_message_looks_like(void **state)
{
	struct item item = item_to("U0", "Subject: x\n\nbody\n");
	struct buf text;

	(void)state;
	buf_init(&text);
	item.header = "DKIM-Signature: y";
	run(&item, 1);
	assert_outcome(&item, JOB_DELIVERED, "did 1+0+0\n");
	item_release(&item);
	assert_int_equal(count_new("u0", &text), 1);
	assert_string_equal(text.data,
	    "Return-Path: <a@example.org>\n"
	    "Delivered-To: example.test-U0@example.test\n"
	    "DKIM-Signature: y\n"
	    "Subject: x\n\nbody\n");
	buf_release(&text);
}

static void
messages_of_every_size(void **state)
{
	static const size_t sizes[] = { 0, 1, 65535, 65536, 65537, 300000,
		1048576, 1048577, 6000000 };
	char *body = xmalloc(6000000);
	size_t i;

	(void)state;
	for (i = 0; i < 6000000; i++)
		body[i] = (char)(i * 2654435761u >> 24);
	memcpy(body, "A: b\n\n", 6);
	for (i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		struct item item = item_to("u0", NULL);
		char *path = xasprintf("%s/u0/Maildir", node.dir);
		struct buf text, front;

		item.fd = message(body, sizes[i]);
		item.size = sizes[i];
		run(&item, 1);
		assert_outcome(&item, JOB_DELIVERED, "did");
		item_release(&item);
		buf_init(&text);
		buf_init(&front);
		buf_adds(&front,
		    "Return-Path: <a@example.org>\n"
		    "Delivered-To: example.test-u0@example.test\n");
		assert_int_equal(count_new("u0", &text), 1);
		assert_int_equal(text.length, front.length + sizes[i]);
		assert_memory_equal(text.data, front.data, front.length);
		assert_memory_equal(text.data + front.length, body, sizes[i]);
		assert_int_equal(file_remove_tree(path, NULL), 0);
		buf_release(&front);
		buf_release(&text);
		free(path);
	}
	free(body);
}

static void
users_who_get_no_mail(void **state)
{
	static const struct {
		const char *extension;
		enum job_outcome outcome;
		const char *text;
	} rows[] = {
		{ "absent", JOB_PERMFAIL,
		    "no account absent@example.test here by that name. "
		    "(#5.1.1)\n" },
		{ "", JOB_PERMFAIL, "no account @example.test" },
		{ "../u0", JOB_PERMFAIL, "no account ../u0@" },
		{ "u0\nD", JOB_PERMFAIL, "no account u0?D@" },
		{ "inactive", JOB_PERMFAIL,
		    "account inactive@example.test is inactive. (#5.2.1)\n" },
		{ "locked", JOB_PERMFAIL, "locked/overquota. (#5.2.1)\n" },
		{ "nofolder", JOB_TEMPFAIL, "example.test/nofolder'" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		deliver(
		    rows[i].extension, "x\n", rows[i].outcome, rows[i].text);
}

/* A quota that nobody can read is not the sender's fault, nor the user's. */
static void
a_bad_quota_is_no_limit(void **state)
{
	(void)state;
	deliver("badquota", "x\n", JOB_DELIVERED, "did");
	assert_int_equal(count_new("badquota", NULL), 1);
}

/* What the server always takes, it took before we know better. */
static void
a_postmaster_that_is_closed_is_deferred(void **state)
{
	static const struct {
		unsigned uid, gid;
		enum job_outcome outcome;
		const char *text;
	} rows[] = {
		{ 0, STORE_POSTMASTER, JOB_DELIVERED, "did" },
		{ 16, 0, JOB_TEMPFAIL,
		    "account postmaster@example.test is inactive, but every "
		    "domain's postmaster gets mail: 'vmoduser -n "
		    "postmaster@example.test' mends it. (#4.2.1)\n" },
		{ 0, STORE_BOUNCE_MAIL, JOB_TEMPFAIL, "'vmoduser -tb " },
		{ 16, STORE_BOUNCE_MAIL, JOB_TEMPFAIL, "is inactive" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const struct vdomain_user user = { "postmaster", "NOQUOTA",
			rows[i].uid, rows[i].gid, false };
		struct error err;

		vdeliver_free(&vdeliver);
		store_free(&store);
		vdomain_put_users(&node, &user, 1);
		store = store_open_cdb(node.root, &err);
		assert_non_null(store);
		open_vdeliver(false, 0);
		deliver("PostMaster", "x\n", rows[i].outcome, rows[i].text);
	}
}

/* For whom there is no account, or one that is not the postmaster's own. */
static void
a_postmaster_that_is_absent_is_deferred(void **state)
{
	static const struct {
		const char *action;
		enum job_outcome outcome;
		const char *text;
	} rows[] = {
		{ "bounce-no-mailbox", JOB_TEMPFAIL,
		    "there is no account postmaster@example.test, but every "
		    "domain's postmaster gets mail: 'vadduser -n "
		    "postmaster@example.test' mends it. (#4.3.5)\n" },
		{ "delete", JOB_TEMPFAIL, "'vadduser -n " },
		{ "none@example.test", JOB_TEMPFAIL, "'vadduser -n " },
		{ "u0@example.test", JOB_DELIVERED, "did" },
		{ "inactive@example.test", JOB_TEMPFAIL,
		    "account inactive@example.test is inactive, but every "
		    "domain's postmaster gets mail: 'vmoduser -n "
		    "inactive@example.test' mends it. (#4.2.1)\n" },
		{ "locked@example.test", JOB_TEMPFAIL, "'vmoduser -tb " },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		char *line = xasprintf(
		    "| vdelivermail '' %s\n", rows[i].action);

		vdomain_put(&node, "domains/example.test/.qmail-default", line);
		deliver("Postmaster", "x\n", rows[i].outcome, rows[i].text);
		free(line);
	}
}

/* Not even that of who gets it instead; others' mail for that one bounces. */
static void
a_postmasters_mail_has_no_quota(void **state)
{
	char body[500];

	(void)state;
	memset(body, 'x', sizeof(body) - 1);
	body[sizeof(body) - 1] = '\0';
	vdomain_put(&node, "domains/example.test/.qmail-default",
	    "| vdelivermail '' small@example.test\n");
	deliver("small", body, JOB_DELIVERED, "did");
	deliver("POSTMASTER", body, JOB_DELIVERED, "did");
	deliver("postmaster", body, JOB_DELIVERED, "did");
	/* What came counts. */
	deliver("small", "", JOB_PERMFAIL, "(#5.2.2)");
	assert_int_equal(count_new("small", NULL), 3);
}

static void
quotas(void **state)
{
	char body[500];

	(void)state;
	memset(body, 'x', sizeof(body) - 1);
	body[sizeof(body) - 1] = '\0';
	deliver("small", body, JOB_DELIVERED, "did");
	deliver("small", body, JOB_PERMFAIL,
	    "account small@example.test has insufficient quota. "
	    "574/574/1:0/1000. (bytes of this message/bytes kept/messages kept:"
	    "most messages/most bytes; 0 is no limit) (#5.2.2)\n");
	deliver("few", "x", JOB_DELIVERED, "did");
	deliver("few", "x", JOB_DELIVERED, "did");
	deliver("few", "x", JOB_PERMFAIL, "/2:2/0. (bytes");
	open_vdeliver(true, 0);
	deliver("small", body, JOB_TEMPFAIL, "(#4.2.2)");
	open_vdeliver(false, 200);
	deliver("small", body, JOB_PERMFAIL, "(#5.2.2)");
	deliver("small", "small mail", JOB_DELIVERED, "did");
	assert_int_equal(count_new("small", NULL), 2);
	assert_int_equal(count_new("few", NULL), 2);
}

/* Five for a user of whose quota three are left, among others. */
static void
a_quota_holds_within_a_batch(void **state)
{
	struct item items[10];
	struct quota_usage usage;
	struct quota quota;
	struct buf text;
	unsigned lines;
	char *path;
	int i, delivered = 0;

	(void)state;
	for (i = 0; i < 10; i++)
		items[i] = item_to(i % 2 ? "small" : "u0", "0123456789");
	/* 85 bytes each: 11 fit into 1000; let 8 be there already. */
	for (i = 0; i < 8; i++)
		deliver("small", "0123456789", JOB_DELIVERED, "did");
	run(items, 10);
	for (i = 0; i < 10; i++) {
		if (i % 2 == 0 || i < 6)
			assert_outcome(&items[i], JOB_DELIVERED, "did");
		else
			assert_outcome(&items[i], JOB_PERMFAIL, "quota");
		delivered += items[i].outcome == JOB_DELIVERED;
		item_release(&items[i]);
	}
	assert_int_equal(count_new("small", NULL), 11);
	assert_int_equal(delivered, 8);
	path = xasprintf("%s/small/Maildir/maildirsize", node.dir);
	buf_init(&text);
	assert_int_equal(file_read(path, 10000, &text, NULL), 1);
	assert_true(
	    quota_read_text(text.data, text.length, &quota, &usage, &lines));
	assert_int_equal(usage.bytes, 935);
	assert_int_equal(usage.count, 11);
	buf_release(&text);
	free(path);
}

/* One wait for the lock, not one for each message; other users get theirs. */
static void
a_locked_quota_stops_nobody(void **state)
{
	struct item items[60];
	struct timespec start, end;
	char *path;
	int i, fd;

	(void)state;
	deliver("few", "x", JOB_DELIVERED, "did");
	path = xasprintf("%s/few/Maildir/maildirsize", node.dir);
	assert_int_equal(unlink(path), 0);
	free(path);
	path = xasprintf("%s/few/Maildir", node.dir);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	free(path);
	for (i = 0; i < 60; i++)
		items[i] = item_to(i % 6 ? "few" : "u0", "0123456789");
	clock_gettime(CLOCK_MONOTONIC, &start);
	run(items, 60);
	clock_gettime(CLOCK_MONOTONIC, &end);
	for (i = 0; i < 60; i++) {
		assert_outcome(&items[i], i % 6 ? JOB_TEMPFAIL : JOB_DELIVERED,
		    i % 6 ? "4.3.0" : "did");
		item_release(&items[i]);
	}
	/* 50 waits would be 5 s. */
	assert_true(end.tv_sec - start.tv_sec < 4);
	close(fd);
	deliver("few", "x", JOB_DELIVERED, "did");
}

static void
rules_for_absent_users(void **state)
{
	static const struct {
		const char *line; /* %s is the domain's folder */
		enum job_outcome outcome;
		const char *text;
		int in_u1; /* messages of u1 after it */
	} rows[] = {
		{ "| vdelivermail '' delete\n", JOB_DELIVERED,
		    "deleted: no account absent@example.test", 0 },
		{ "| vdelivermail '' %s/u1\n", JOB_DELIVERED, "did", 1 },
		{ "| vdelivermail '' %s/u1/\n", JOB_DELIVERED, "did", 2 },
		{ "| vdelivermail '' %s/u1/Maildir\n", JOB_DELIVERED, "did",
		    3 },
		{ "| vdelivermail '' %s/u1/Maildir/\n", JOB_DELIVERED, "did",
		    4 },
		{ "| vdelivermail '' U1@example.TEST\n", JOB_DELIVERED, "did",
		    5 },
		{ "| vdelivermail '' u9@example.test\n", JOB_PERMFAIL,
		    "no account absent@example.test", 5 },
		{ "| vdelivermail '' u1@example.org\n", JOB_GENERAL, "", 5 },
		{ "| vdelivermail '' /etc\n", JOB_TEMPFAIL, "(#4.3.5)", 5 },
		{ "| vdelivermail '' %s/../../x\n", JOB_TEMPFAIL, "", 5 },
		{ "| vdelivermail '' %s/none\n", JOB_TEMPFAIL, "/none'", 5 },
		{ "./Maildir/\n", JOB_GENERAL, "", 5 },
		{ "| vdelivermail '' bounce-no-mailbox\n", JOB_PERMFAIL,
		    "(#5.1.1)", 5 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const char *mark = strstr(rows[i].line, "%s");
		char *line = mark == NULL
		    ? xstrdup(rows[i].line)
		    : xasprintf("%.*s%s%s", (int)(mark - rows[i].line),
			  rows[i].line, node.dir, mark + 2);

		vdomain_put(&node, "domains/example.test/.qmail-default", line);
		deliver("absent", "x\n", rows[i].outcome, rows[i].text);
		if (count_new("u1", NULL) != rows[i].in_u1)
			fail_msg(
			    "%s: %d messages", line, count_new("u1", NULL));
		free(line);
	}
	assert_int_equal(count_new("..", NULL), 0);
}

static void
files_that_need_the_general_way(void **state)
{
	(void)state;
	vdomain_put(&node, "domains/example.test/.qmail-u0", "&x@y\n");
	deliver("u0", "x\n", JOB_GENERAL, "");
	vdomain_put(&node, "domains/example.test/forward/.qmail", "&x@y\n");
	deliver("forward", "x\n", JOB_GENERAL, "");
	deliver("u1", "x\n", JOB_DELIVERED, "did");
	assert_int_equal(count_new("u0", NULL), 0);
	assert_int_equal(count_new("forward", NULL), 0);
}

static void
loops_are_ended(void **state)
{
	struct buf text;

	(void)state;
	deliver("u0",
	    "Received: x\nDelivered-To: example.test-u0@example.test\n\n",
	    JOB_PERMFAIL, "(#5.4.6)");
	deliver("u1",
	    "Received: x\nDelivered-To: example.test-u0@example.test\n\n",
	    JOB_DELIVERED, "did");
	/* Far down in a long header. */
	buf_init(&text);
	while (text.length < 200000)
		buf_adds(&text, "X-Filler: ...............................\n");
	buf_adds(&text, "Delivered-To: example.test-u0@example.test\n\n");
	deliver("u0", text.data, JOB_PERMFAIL, "(#5.4.6)");
	assert_int_equal(count_new("u0", NULL), 0);
	buf_release(&text);
}

static void
nothing_outside_the_domains(void **state)
{
	struct item item = item_to("u0", "x\n");
	char *beside = xasprintf("%s-evil/example.test", node.domains);
	char *maildir = xasprintf("%s/u0/Maildir", node.dir);

	(void)state;
	item.home = "/etc";
	run(&item, 1);
	assert_outcome(&item, JOB_TEMPFAIL, "'/etc'");
	item_release(&item);
	item = item_to("u0", "x\n");
	item.home = beside;
	run(&item, 1);
	assert_outcome(&item, JOB_TEMPFAIL, "(#4.3.5)");
	item_release(&item);
	assert_int_equal(symlink("/tmp", maildir), 0);
	deliver("u0", "x\n", JOB_TEMPFAIL, "'Maildir'");
	free(maildir);
	free(beside);
}

static void
one_failure_leaves_the_others_alone(void **state)
{
	struct item items[4];
	struct rlimit old, small;
	char *body = xcalloc(1, 200001);
	int i;

	(void)state;
	memset(body, 'x', 200000);
	items[0] = item_to("u0", "before\n");
	items[1] = item_to("full", body);
	items[2] = item_to("u1", NULL); /* came without a descriptor */
	items[3] = item_to("u0", "after\n");
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small = old;
	small.rlim_cur = 100000;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	run(items, 4);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_outcome(&items[0], JOB_DELIVERED, "did");
	assert_outcome(&items[1], JOB_TEMPFAIL,
	    "Unable to deliver to full@example.test: Maildir '");
	assert_outcome(&items[1], JOB_TEMPFAIL,
	    "/domains/example.test/full/Maildir': cannot write to 'tmp'");
	assert_outcome(&items[2], JOB_TEMPFAIL, "Unable to read message");
	assert_outcome(&items[3], JOB_DELIVERED, "did");
	assert_int_equal(count_new("u0", NULL), 2);
	assert_int_equal(count_new("full", NULL), 0);
	for (i = 0; i < 4; i++)
		item_release(&items[i]);
	free(body);
}

/* At each place where a descriptor is opened: an unused Maildir gives way. */
static void
descriptors_that_run_out_are_taken_from_the_cache(void **state)
{
	static const struct {
		const char *name, *user;
		bool is_open; /* its Maildir, before */
		int left;     /* free descriptors */
	} rows[] = {
		{ "no file for tmp", "u0", true, 0 },
		{ "no rules", "u0", false, 0 },
		{ "no file of a quota", "small", true, 0 },
		{ "no Maildir", "u0", false, 1 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct item item;
		struct rlimit old, low;
		int next;

		open_vdeliver(false, 0);
		/* Opening a Maildir takes five for a while: enough are unused.
		 */
		deliver("u1", "x", JOB_DELIVERED, "did");
		deliver("small", "", JOB_DELIVERED, "did");
		deliver("full", "x", JOB_DELIVERED, "did");
		if (rows[i].is_open)
			deliver(rows[i].user, "x", JOB_DELIVERED, "did");
		item = item_to(rows[i].user, "x");
		next = dup(0);
		close(next);
		assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
		low = old;
		low.rlim_cur = (rlim_t)(next + rows[i].left);
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
		run(&item, 1);
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
		if (item.outcome != JOB_DELIVERED)
			fail_msg("%s: %s", rows[i].name, item.text);
		item_release(&item);
	}
}

static void
what_the_store_cannot_tell_is_deferred(void **state)
{
	struct item item = item_to("u0", "x\n");
	char *path = xasprintf("%s/vpasswd.cdb", node.dir);

	(void)state;
	/* A domain that users/assign no longer has: nothing is known. */
	item.user = "gone.test";
	run(&item, 1);
	assert_outcome(&item, JOB_TEMPFAIL, "'gone.test'");
	item_release(&item);
	assert_int_equal(unlink(path), 0);
	deliver("u0", "x\n", JOB_TEMPFAIL, "vpasswd.cdb");
	deliver("absent", "x\n", JOB_TEMPFAIL, "vpasswd.cdb");
	free(path);
}

/* The text of maildirsize. */
static void
assert_maildirsize(const char *user, const char *wanted)
{
	char *path = xasprintf("%s/%s/Maildir/maildirsize", node.dir, user);
	struct buf text;

	buf_init(&text);
	assert_int_equal(file_read(path, 10000, &text, NULL), 1);
	assert_string_equal(text.data, wanted);
	buf_release(&text);
	free(path);
}

/* What was committed is delivered, or nothing is. */
static void
the_committed_length_decides(void **state)
{
	static const struct {
		uint64_t size;
		enum job_outcome outcome;
		const char *text;
	} rows[] = {
		{ 5, JOB_TEMPFAIL,
		    "Unable to read message: it ends after 4 of 5 bytes. "
		    "(#4.3.0)\n" },
		{ 1048576, JOB_TEMPFAIL, "after 4 of 1048576 bytes" },
		{ 1048577, JOB_TEMPFAIL, "after 4 of 1048577 bytes" },
		{ (uint64_t)1 << 40, JOB_TEMPFAIL, "after 4 of 109951" },
		{ 3, JOB_DELIVERED, "did" },
	};
	struct buf text;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct item item = item_to("u0", "abc\n");

		item.size = rows[i].size;
		run(&item, 1);
		assert_outcome(&item, rows[i].outcome, rows[i].text);
		item_release(&item);
		assert_int_equal(
		    count_new("u0", NULL), rows[i].outcome == JOB_DELIVERED);
	}
	buf_init(&text);
	assert_int_equal(count_new("u0", &text), 1);
	assert_string_equal(text.data + text.length - 4, "\nabc");
	buf_release(&text);
}

static void
what_cannot_be_read_is_deferred(void **state)
{
	static const uint64_t sizes[] = { 10, 2000000 };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		struct item item = item_to("u0", NULL);
		int ends[2];

		item.size = sizes[i];
		item.fd = open(node.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		run(&item, 1);
		assert_outcome(&item, JOB_TEMPFAIL,
		    "Unable to read message: at byte 0: Is a directory");
		assert_int_equal(pipe(ends), 0);
		item.fd = ends[0];
		run(&item, 1);
		assert_outcome(&item, JOB_TEMPFAIL, "Illegal seek");
		close(ends[1]);
		item_release(&item);
	}
	assert_int_equal(count_new("u0", NULL), 0);
}

/* As after a crash before the result was heard. */
static void
a_delivery_made_again_makes_no_second_file(void **state)
{
	char body[500];
	struct item item;
	int i;

	(void)state;
	memset(body, 'x', sizeof(body) - 1);
	body[sizeof(body) - 1] = '\0';
	item = item_to("small", body);
	uuid_make(&item.uuid);
	for (i = 0; i < 4; i++) {
		if (i > 0)
			item.fd = message(body, strlen(body));
		if (i == 3)
			open_vdeliver(false, 0); /* another process */
		run(&item, 1);
		/* 574 bytes: two of them would be over the quota. */
		assert_outcome(&item, JOB_DELIVERED, "did");
		assert_int_equal(count_new("small", NULL), 1);
	}
	assert_maildirsize("small", "1000S\n574 1\n");
	item_release(&item);
	deliver("small", body, JOB_PERMFAIL, "quota");
}

/* One who is named twice, in whatever case, has one file and two answers. */
static void
a_recipient_named_twice(void **state)
{
	static const char *const names[] = { "u0", "u1", "U0", "u0", "U1" };
	struct vdeliver_message *sent = vdeliver_message_new(5);
	struct item items[5];
	uint32_t i;

	(void)state;
	for (i = 0; i < 5; i++) {
		items[i] = item_to(names[i], NULL);
		sent->job.recipients[i] = (struct job_recipient){
			.delivery = i,
			.recipient = items[i].recipient,
			.user = items[i].user,
			.home = items[i].home,
			.dash = "-",
			.extension = items[i].extension,
		};
	}
	sent->job.sender = "";
	sent->job.header = "";
	sent->job.body = "body\n";
	sent->job.size_bytes = 5;
	uuid_make(&sent->job.uuid);
	running = items;
	answer_count = 0;
	vdeliver_begin(vdeliver);
	vdeliver_deliver(vdeliver, sent);
	vdeliver_end(vdeliver);
	wait_for(5);
	for (i = 0; i < 5; i++) {
		assert_outcome(&items[i], JOB_DELIVERED, "did");
		item_release(&items[i]);
	}
	assert_int_equal(count_new("u0", NULL), 1);
	assert_int_equal(count_new("u1", NULL), 1);
}

static void
sizes_of_a_group_are_one_line(void **state)
{
	struct item items[5];
	int i;

	(void)state;
	deliver("much", "first", JOB_DELIVERED, "did");
	for (i = 0; i < 5; i++)
		items[i] = item_to("much", "0123456789");
	run(items, 5);
	for (i = 0; i < 5; i++) {
		assert_outcome(&items[i], JOB_DELIVERED, "did");
		item_release(&items[i]);
	}
	assert_maildirsize("much", "1000000S\n0 0\n79 1\n420 5\n");
}

/* Of 64 MiB; others are delivered while it is still being written. */
static void
a_large_message_delays_no_small_one(void **state)
{
	enum { LARGE = 64 * 1024 * 1024 };
	struct item items[21];
	int i;

	(void)state;
	items[0] = item_to("u0", "x\n\n");
	items[0].size = LARGE;
	close(items[0].fd);
	items[0].fd = memfd_create("large", MFD_CLOEXEC);
	assert_int_equal(ftruncate(items[0].fd, LARGE), 0);
	assert_int_equal(pwrite(items[0].fd, "x\n\n", 3, 0), 3);
	running = items;
	answer_count = 0;
	vdeliver_begin(vdeliver);
	start(&items[0], 0);
	for (i = 1; i <= 20; i++) {
		items[i] = item_to("u0", "small\n");
		start(&items[i], (uint32_t)i);
	}
	vdeliver_end(vdeliver);
	wait_for(20);
	assert_int_equal(items[0].outcome, 0);
	assert_int_equal(count_new("u0", NULL), 20);
	wait_for(21);
	for (i = 0; i <= 20; i++) {
		assert_outcome(&items[i], JOB_DELIVERED, "did");
		item_release(&items[i]);
	}
}

static void
options_of_the_environment(void **state)
{
	static const struct {
		const char *hold, *mailsize;
		int result;
		bool is_held;
		uint64_t size;
	} rows[] = {
		{ NULL, NULL, 0, false, 0 },
		{ "", NULL, 0, true, 0 },
		{ "1", "1024", 0, true, 1024 },
		{ NULL, "1k", -1, false, 0 },
		{ NULL, "", -1, false, 0 },
		{ NULL, "-1", -1, false, 0 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct vdeliver_options options;
		struct error err;

		unsetenv("HOLDOVERQUOTA");
		unsetenv("OVERQUOTA_MAILSIZE");
		if (rows[i].hold != NULL)
			setenv("HOLDOVERQUOTA", rows[i].hold, 1);
		if (rows[i].mailsize != NULL)
			setenv("OVERQUOTA_MAILSIZE", rows[i].mailsize, 1);
		assert_int_equal(
		    vdeliver_read_options(&options, &err), rows[i].result);
		if (rows[i].result == -1) {
			assert_non_null(strstr(err.text, "OVERQUOTA_MAILSIZE"));
			continue;
		}
		assert_int_equal(options.hold_over_quota, rows[i].is_held);
		assert_int_equal(options.over_quota_mailsize, rows[i].size);
	}
}

static void
names_of_folders(void **state)
{
	static const struct {
		const char *name;
		bool is_folder;
	} rows[] = {
		{ "Lists", true },
		{ "Lists.One Two", true },
		{ "", false },
		{ ".Lists", false },
		{ "a..b", false },
		{ "a.", false },
		{ "a/b", false },
		{ "..", false },
		{ "a\nb", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		assert_int_equal(
		    vdeliver_is_folder(rows[i].name), rows[i].is_folder);
}

int
main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(what_a_message_looks_like),
		CASE(names_of_folders),
		CASE(messages_of_every_size),
		CASE(users_who_get_no_mail),
		CASE(a_postmaster_that_is_closed_is_deferred),
		CASE(a_postmaster_that_is_absent_is_deferred),
		CASE(a_bad_quota_is_no_limit),
		CASE(a_postmasters_mail_has_no_quota),
		CASE(quotas),
		CASE(a_quota_holds_within_a_batch),
		CASE(a_locked_quota_stops_nobody),
		CASE(rules_for_absent_users),
		CASE(files_that_need_the_general_way),
		CASE(loops_are_ended),
		CASE(nothing_outside_the_domains),
		CASE(one_failure_leaves_the_others_alone),
		CASE(descriptors_that_run_out_are_taken_from_the_cache),
		CASE(what_the_store_cannot_tell_is_deferred),
		CASE(the_committed_length_decides),
		CASE(what_cannot_be_read_is_deferred),
		CASE(a_delivery_made_again_makes_no_second_file),
		CASE(a_recipient_named_twice),
		CASE(sizes_of_a_group_are_one_line),
		CASE(a_large_message_delays_no_small_one),
		cmocka_unit_test(options_of_the_environment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
