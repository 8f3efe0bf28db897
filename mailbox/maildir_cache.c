/* SPDX-License-Identifier: ISC */
/* The Maildirs a delivery process has open. */
#include "mailbox/maildir_cache.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "mailbox/maildir_tmp.h"

enum { CLEAN_EVERY_S = 24 * 3600 };

static const char maildir_name[] = "Maildir";

/* A folder; while it is open, no other one's. */
struct identity {
	dev_t dev;
	ino_t ino;
};

struct entry {
	struct maildir maildir; /* first: maildir_cache_put() casts back */
	LIST_ENTRY(entry) bucket;
	TAILQ_ENTRY(entry) age;
	unsigned users;    /* gets without their put */
	time_t cleaned_at; /* its tmp; 0: not yet */
	struct identity tmp, new;
	char *new_path;    /* relative to the root: USERDIR/Maildir/new */
	size_t key_length; /* of USERDIR, the front of new_path */
};

LIST_HEAD(bucket, entry);
TAILQ_HEAD(ages, entry);

struct maildir_cache {
	char *root;
	size_t root_length;
	int root_fd;
	size_t count, limit;
	struct bucket *buckets;
	size_t bucket_count;
	struct ages ages; /* the longest unused first */
};

struct maildir_cache *
maildir_cache_new(const char *root, size_t limit, struct error *err)
{
	struct maildir_cache *cache;
	int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd == -1) {
		error_sys(err, "cannot open folder '%s'", root);
		return NULL;
	}
	cache = xcalloc(1, sizeof(*cache));
	cache->root = xstrdup(root);
	cache->root_length = strlen(root);
	while (cache->root_length > 1 && root[cache->root_length - 1] == '/')
		cache->root_length--;
	cache->root_fd = fd;
	cache->limit = limit;
	cache->bucket_count = limit + 1;
	cache->buckets = xcalloc(cache->bucket_count, sizeof(struct bucket));
	TAILQ_INIT(&cache->ages);
	return cache;
}

static void
entry_drop(struct maildir_cache *cache, struct entry *entry)
{
	assert(entry->users == 0);
	LIST_REMOVE(entry, bucket);
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
		entry_drop(cache, TAILQ_FIRST(&cache->ages));
	close(cache->root_fd);
	free(cache->buckets);
	free(cache->root);
	free(cache);
	*cache_in = NULL;
}

bool
maildir_cache_drop_oldest(struct maildir_cache *cache)
{
	struct entry *entry;

	TAILQ_FOREACH(entry, &cache->ages, age)
		if (entry->users == 0) {
			entry_drop(cache, entry);
			return true;
		}
	return false;
}

static struct bucket *
find_bucket(struct maildir_cache *cache, const char *key, size_t length)
{
	uint64_t hash = 14695981039346656037u; /* FNV-1a */

	for (size_t i = 0; i < length; i++)
		hash = (hash ^ (unsigned char)key[i]) * 1099511628211u;
	return &cache->buckets[hash % cache->bucket_count];
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
is_current(const struct maildir_cache *cache, const struct entry *entry)
{
	return leads_to(cache->root_fd, entry->new_path, &entry->new) &&
	    leads_to(entry->maildir.dir_fd, "tmp", &entry->tmp);
}

/* The part of path below the root, or NULL. */
static const char *
relative_path(
    const struct maildir_cache *cache, const char *path, size_t *length_out)
{
	size_t length = strlen(path);

	if (strncmp(path, cache->root, cache->root_length) != 0)
		return NULL;
	path += cache->root_length;
	length -= cache->root_length;
	if (*path != '/' && cache->root_length > 1)
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

static int
open_user(const struct maildir_cache *cache, const char *user_dir,
    struct maildir *maildir, struct error *err)
{
	int user_fd = maildir_open_beneath(cache->root_fd, user_dir);
	int result, saved_errno;

	if (user_fd == -1)
		return error_sys(err, "cannot open folder '%.*s/%s'",
		    (int)cache->root_length, cache->root, user_dir);
	result = maildir_open(user_fd, maildir_name, maildir, err);
	saved_errno = errno;
	close(user_fd);
	errno = saved_errno;
	if (result == -1)
		error_context(err, "'%.*s/%s'", (int)cache->root_length,
		    cache->root, user_dir);
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

static struct entry *
entry_open(struct maildir_cache *cache, const char *key, size_t length,
    struct error *err)
{
	char *user_dir = xstrndup(key, length);
	struct entry *entry = xcalloc(1, sizeof(*entry));
	int result;

	do
		result = open_user(cache, user_dir, &entry->maildir, err);
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
	entry->new_path = xasprintf("%s/%s/new", user_dir, maildir_name);
	entry->key_length = length;
	free(user_dir);
	LIST_INSERT_HEAD(find_bucket(cache, key, length), entry, bucket);
	TAILQ_INSERT_TAIL(&cache->ages, entry, age);
	cache->count++;
	return entry;
}

static struct entry *
find_entry(struct maildir_cache *cache, const char *key, size_t length)
{
	struct entry *entry;

	LIST_FOREACH(entry, find_bucket(cache, key, length), bucket)
		if (entry->key_length == length &&
		    memcmp(entry->new_path, key, length) == 0)
			return entry;
	return NULL;
}

static void
clean(struct entry *entry)
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
	const char *key = relative_path(cache, user_dir, &length);
	struct entry *entry;

	if (key == NULL) {
		error_set(err, "folder '%s' is not below '%s'", user_dir,
		    cache->root);
		errno = EXDEV;
		return NULL;
	}
	entry = find_entry(cache, key, length);
	if (entry != NULL && entry->users == 0 && !is_current(cache, entry)) {
		entry_drop(cache, entry);
		entry = NULL;
	}
	if (entry == NULL) {
		while (cache->count >= cache->limit &&
		    maildir_cache_drop_oldest(cache))
			continue;
		entry = entry_open(cache, key, length, err);
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
	struct entry *entry = (struct entry *)maildir;

	assert(entry->users > 0);
	entry->users--;
	if (cache->count > cache->limit)
		maildir_cache_drop_oldest(cache);
}
