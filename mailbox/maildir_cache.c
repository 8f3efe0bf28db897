/* SPDX-License-Identifier: ISC */
/* The Maildirs a delivery process has open. */
#include "mailbox/maildir_cache.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <search.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "mailbox/maildir_tmp.h"

enum { CLEAN_EVERY_S = 24 * 3600, ROOTS_MAX = 256 };

static const char maildir_name[] = "Maildir";

/* A folder; while it is open, no other one's. */
struct identity {
	dev_t dev;
	ino_t ino;
};

/* A folder that Maildirs are below. */
struct root {
	char *path;
	size_t length;
	int fd;
};

struct cached {
	struct maildir maildir; /* first: maildir_cache_put() casts back */
	TAILQ_ENTRY(cached) age;
	unsigned users;    /* gets without their put */
	time_t cleaned_at; /* its tmp; 0: not yet */
	struct identity tmp, new;
	const struct root *root;
	char *new_path;  /* relative to the root: USERDIR/Maildir/new */
	const char *key; /* USERDIR, the front of it */
	size_t key_length;
};
TAILQ_HEAD(ages, cached);

struct maildir_cache {
	struct root roots[ROOTS_MAX];
	size_t root_count;
	size_t count, limit;
	void *entries;    /* tsearch(3) */
	struct ages ages; /* the longest unused first */
};

int
maildir_cache_add_root(
    struct maildir_cache *cache, const char *root, struct error *err)
{
	struct root *added = &cache->roots[cache->root_count];
	int fd;

	if (cache->root_count == ROOTS_MAX)
		return error_set(
		    err, "more than %d folders of users", ROOTS_MAX);
	fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1)
		return error_sys(err, "cannot open folder '%s'", root);
	added->path = xstrdup(root);
	added->length = strlen(root);
	while (added->length > 1 && root[added->length - 1] == '/')
		added->length--;
	added->fd = fd;
	cache->root_count++;
	return 0;
}

struct maildir_cache *
maildir_cache_new(const char *root, size_t limit, struct error *err)
{
	struct maildir_cache *cache = xcalloc(1, sizeof(*cache));

	cache->limit = limit;
	TAILQ_INIT(&cache->ages);
	if (maildir_cache_add_root(cache, root, err) == -1)
		maildir_cache_free(&cache);
	return cache;
}

static int
compare_cached(const void *a, const void *b)
{
	const struct cached *first = a, *second = b;

	if (first->root != second->root)
		return first->root < second->root ? -1 : 1;
	if (first->key_length != second->key_length)
		return first->key_length < second->key_length ? -1 : 1;
	return memcmp(first->key, second->key, first->key_length);
}

static void
drop_cached(struct maildir_cache *cache, struct cached *entry)
{
	assert(entry->users == 0);
	tdelete(entry, &cache->entries, compare_cached);
	TAILQ_REMOVE(&cache->ages, entry, age);
	cache->count--;
	maildir_release(&entry->maildir);
	free(entry->new_path);
	free(entry);
}

void
maildir_cache_free(struct maildir_cache **cache_in)
{
	struct maildir_cache *cache = *cache_in;

	if (cache == NULL)
		return;
	while (!TAILQ_EMPTY(&cache->ages))
		drop_cached(cache, TAILQ_FIRST(&cache->ages));
	for (size_t i = 0; i < cache->root_count; i++) {
		close(cache->roots[i].fd);
		free(cache->roots[i].path);
	}
	free(cache);
	*cache_in = NULL;
}

bool
maildir_cache_drop_oldest(struct maildir_cache *cache)
{
	struct cached *entry;

	TAILQ_FOREACH(entry, &cache->ages, age)
		if (entry->users == 0) {
			drop_cached(cache, entry);
			return true;
		}
	return false;
}

static bool
leads_to(int fd, const char *path, const struct identity *folder)
{
	struct stat st;

	return fstatat(fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    st.st_dev == folder->dev && st.st_ino == folder->ino;
}

/*
 * Whether the paths still lead to the folders that are open.  A tmp that was
 * removed alone would take no mail any more.
 */
static bool
is_current(const struct cached *entry)
{
	return leads_to(entry->root->fd, entry->new_path, &entry->new) &&
	    leads_to(entry->maildir.dir_fd, "tmp", &entry->tmp);
}

/* The part of path below the root, or NULL. */
static const char *
relative_path(const struct root *root, const char *path, size_t *length_out)
{
	size_t length = strlen(path);

	if (strncmp(path, root->path, root->length) != 0)
		return NULL;
	path += root->length;
	length -= root->length;
	if (*path != '/' && root->length > 1)
		return NULL;
	while (*path == '/') {
		path++;
		length--;
	}
	while (length > 0 && path[length - 1] == '/')
		length--;
	*length_out = length;
	return length > 0 ? path : NULL;
}

/* The root that a path is below and its part there; or NULL. */
static const struct root *
find_root(const struct maildir_cache *cache, const char *path,
    const char **key_out, size_t *length_out)
{
	for (size_t i = 0; i < cache->root_count; i++) {
		*key_out = relative_path(&cache->roots[i], path, length_out);
		if (*key_out != NULL)
			return &cache->roots[i];
	}
	return NULL;
}

static int
open_user(const struct root *root, const char *user_dir,
    struct maildir *maildir, struct error *err)
{
	AUTO(file_close)
	int user_fd = maildir_open_beneath(root->fd, user_dir);
	int result;

	if (user_fd == -1)
		return error_sys(err, "cannot open folder '%.*s/%s'",
		    (int)root->length, root->path, user_dir);
	result = maildir_open(user_fd, maildir_name, maildir, err);
	if (result == -1)
		error_context(
		    err, "'%.*s/%s'", (int)root->length, root->path, user_dir);
	return result;
}

static int
identify(int fd, struct identity *folder_out)
{
	struct stat st;

	if (fstat(fd, &st) == -1)
		return -1;
	folder_out->dev = st.st_dev;
	folder_out->ino = st.st_ino;
	return 0;
}

static struct cached *
open_cached(struct maildir_cache *cache, const struct root *root,
    const char *key, size_t length, struct error *err)
{
	char *user_dir = xstrndup(key, length);
	struct cached *entry = xcalloc(1, sizeof(*entry));
	int result;

	do
		result = open_user(root, user_dir, &entry->maildir, err);
	while (result == -1 && (errno == EMFILE || errno == ENFILE) &&
	    maildir_cache_drop_oldest(cache));
	if (result == 0 &&
	    (identify(entry->maildir.new_fd, &entry->new) == -1 ||
		identify(entry->maildir.tmp_fd, &entry->tmp) == -1)) {
		result = error_sys(
		    err, "cannot stat '%s/%s'", user_dir, maildir_name);
		maildir_release(&entry->maildir);
	}
	if (result == -1) {
		free(entry);
		free(user_dir);
		return NULL;
	}
	entry->root = root;
	entry->new_path = xasprintf("%s/%s/new", user_dir, maildir_name);
	entry->key = entry->new_path;
	entry->key_length = length;
	free(user_dir);
	if (tsearch(entry, &cache->entries, compare_cached) == NULL)
		fatal(111, "out of memory");
	TAILQ_INSERT_TAIL(&cache->ages, entry, age);
	cache->count++;
	return entry;
}

static struct cached *
find_cached(const struct maildir_cache *cache, const struct root *root,
    const char *key, size_t length)
{
	const struct cached wanted = {
		.root = root, .key = key, .key_length = length
	};
	void *found = tfind(&wanted, &cache->entries, compare_cached);

	return found == NULL ? NULL : *(struct cached **)found;
}

static void
clean(struct cached *entry)
{
	time_t now = time(NULL);

	if (now - entry->cleaned_at < CLEAN_EVERY_S)
		return;
	entry->cleaned_at = now;
	maildir_tmp_clean(entry->maildir.tmp_fd, now);
}

struct maildir *
maildir_cache_get(
    struct maildir_cache *cache, const char *user_dir, struct error *err)
{
	size_t length;
	const char *key;
	const struct root *root = find_root(cache, user_dir, &key, &length);
	struct cached *entry;

	if (root == NULL) {
		error_set(err, "folder '%s' is not below '%s'", user_dir,
		    cache->roots[0].path);
		errno = EXDEV;
		return NULL;
	}
	entry = find_cached(cache, root, key, length);
	if (entry != NULL && entry->users == 0 && !is_current(entry)) {
		drop_cached(cache, entry);
		entry = NULL;
	}
	if (entry == NULL) {
		while (cache->count >= cache->limit &&
		    maildir_cache_drop_oldest(cache))
			continue;
		entry = open_cached(cache, root, key, length, err);
		if (entry == NULL)
			return NULL;
	} else {
		TAILQ_REMOVE(&cache->ages, entry, age);
		TAILQ_INSERT_TAIL(&cache->ages, entry, age);
	}
	clean(entry);
	entry->users++;
	return &entry->maildir;
}

void
maildir_cache_put(struct maildir_cache *cache, struct maildir *maildir)
{
	struct cached *entry = (struct cached *)maildir;

	assert(entry->users > 0);
	entry->users--;
	if (cache->count > cache->limit)
		maildir_cache_drop_oldest(cache);
}
