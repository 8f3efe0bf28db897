/* SPDX-License-Identifier: ISC */
/* The last known state of the database, on disk. */
#include "lookupd/snapshot.h"

#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "control/cdbmap.h"

enum { VERSION = QUERY_VERSION, SHARDS = 16, HEAD_MAX = 200 };

struct snapshot {
	uint64_t generation;
	uint64_t records;
	int64_t at_s;
	struct cdbmap *maps[SHARDS];
};

struct snapshot_writer {
	char *folder;
	uint64_t generation;
	uint64_t records;
	struct cdbmap_writer *maps[SHARDS];
};

static char *
head_path(const char *folder)
{
	return xasprintf("%s/snapshot", folder);
}

static char *
shard_file(const char *folder, uint64_t generation, unsigned shard)
{
	return xasprintf("%s/%" PRIu64 "-%02u.cdb", folder, generation, shard);
}

/* Users are kept with their passwords. */
static void
set_kept_key(struct cache_key *key, enum query_kind kind, const char *local,
    const char *domain)
{
	cache_key_set(
	    key, kind == QUERY_USER ? QUERY_PASSWORD : kind, local, domain);
}

/* 1, 0 or -1. */
static int
read_head(const char *folder, uint64_t *generation_out, uint64_t *records_out,
    int64_t *at_s_out, struct error *err)
{
	AUTO(buf_release) struct buf text = BUF_INIT;
	OWN_TEXT path = head_path(folder);
	int result = file_read(path, HEAD_MAX, &text, err);
	unsigned version;
	int end = -1;

	if (result != 1)
		return result;
	if (sscanf(text.data, "%u %" SCNu64 " %" SCNu64 " %" SCNd64 "\n%n",
		&version, generation_out, records_out, at_s_out, &end) != 4 ||
	    end == -1 || version != VERSION)
		return error_set(
		    err, "'%s' is not of this version", path);
	return 1;
}

static int
write_head(const char *folder, uint64_t generation, uint64_t records,
    int64_t at_s, struct error *err)
{
	OWN_TEXT path = head_path(folder);
	OWN_TEXT text = xasprintf("%u %" PRIu64 " %" PRIu64 " %" PRId64 "\n",
	    (unsigned)VERSION, generation, records, at_s);

	return file_replace(path, text, strlen(text), 0600, err);
}

int
snapshot_open(
    const char *folder, struct snapshot **snapshot_out, struct error *err)
{
	struct snapshot *snapshot = xcalloc(1, sizeof(*snapshot));
	int result = read_head(folder, &snapshot->generation,
	    &snapshot->records, &snapshot->at_s, err);

	*snapshot_out = NULL;
	for (unsigned i = 0; i < SHARDS && result == 1; i++) {
		OWN_TEXT path = shard_file(folder, snapshot->generation, i);

		result = cdbmap_open(path, &snapshot->maps[i], err);
		if (result == 0)
			result = error_set(err, "'%s' is missing", path);
	}
	if (result == 1)
		*snapshot_out = snapshot;
	else
		snapshot_free(&snapshot);
	return result;
}

void
snapshot_free(struct snapshot **snapshot)
{
	if (*snapshot == NULL)
		return;
	for (unsigned i = 0; i < SHARDS; i++)
		if ((*snapshot)->maps[i] != NULL)
			cdbmap_free(&(*snapshot)->maps[i]);
	free(*snapshot);
	*snapshot = NULL;
}

int64_t
snapshot_at_s(const struct snapshot *snapshot)
{
	return snapshot->at_s;
}

uint64_t
snapshot_records(const struct snapshot *snapshot)
{
	return snapshot->records;
}

/* A user's record is the begin of the one with the password. */
static int
cut_user(struct buf *record, size_t start, struct error *err)
{
	struct query_password password;
	AUTO(buf_release) struct buf user = BUF_INIT;

	if (!query_get_password(record->data + start, record->length - start,
		&password))
		return error_set(err, "a record of the snapshot is damaged");
	query_put_user(&user, &password.user);
	buf_cut(record, start);
	buf_add(record, user.data, user.length);
	return 1;
}

int
snapshot_find(const struct snapshot *snapshot, enum query_kind kind,
    const char *local, const char *domain, struct buf *record_out,
    struct error *err)
{
	size_t start = record_out->length;
	struct cache_key key;
	int result;

	set_kept_key(&key, kind, local, domain);
	result = cdbmap_get(snapshot->maps[key.hash % SHARDS], key.bytes,
	    key.length, record_out, err);
	return result == 1 && kind == QUERY_USER
	    ? cut_user(record_out, start, err)
	    : result;
}

struct snapshot_writer *
snapshot_writer_new(const char *folder, struct error *err)
{
	struct snapshot_writer *writer = xcalloc(1, sizeof(*writer));
	uint64_t records;
	int64_t at_s;
	struct error ignored;

	writer->folder = xstrdup(folder);
	file_sweep(folder, &ignored);
	read_head(folder, &writer->generation, &records, &at_s, &ignored);
	writer->generation++;
	for (unsigned i = 0; i < SHARDS; i++) {
		OWN_TEXT path = shard_file(folder, writer->generation, i);

		writer->maps[i] = cdbmap_writer_new(path, err);
		if (writer->maps[i] == NULL) {
			snapshot_writer_abort(&writer);
			return NULL;
		}
		cdbmap_writer_set_mode(writer->maps[i], 0600);
	}
	return writer;
}

int
snapshot_writer_add(struct snapshot_writer *writer, enum query_kind kind,
    const char *local, const char *domain, const char *record, size_t length,
    struct error *err)
{
	struct cache_key key;

	cache_key_set(&key, kind, local, domain);
	writer->records++;
	return cdbmap_writer_add(writer->maps[key.hash % SHARDS], key.bytes,
	    key.length, record, length, err);
}

static void
free_writer(struct snapshot_writer **writer)
{
	free((*writer)->folder);
	free(*writer);
	*writer = NULL;
}

void
snapshot_writer_abort(struct snapshot_writer **writer)
{
	if (*writer == NULL)
		return;
	for (unsigned i = 0; i < SHARDS; i++)
		if ((*writer)->maps[i] != NULL)
			cdbmap_writer_abort(&(*writer)->maps[i]);
	free_writer(writer);
}

/* The files of other generations; what cannot be removed costs only space. */
static void
remove_others(const char *folder, uint64_t generation)
{
	OWN_TEXT own = xasprintf("%" PRIu64 "-", generation);
	DIR *dir = opendir(folder);
	struct dirent *entry;

	while (dir != NULL && (entry = readdir(dir)) != NULL)
		if (fnmatch("[0-9]*-[0-9][0-9].cdb", entry->d_name, 0) == 0 &&
		    strncmp(entry->d_name, own, strlen(own)) != 0)
			unlinkat(dirfd(dir), entry->d_name, 0);
	if (dir != NULL)
		closedir(dir);
}

int
snapshot_writer_commit(
    struct snapshot_writer **writer_in, int64_t at_s, struct error *err)
{
	struct snapshot_writer *writer = *writer_in;
	int result = 0;

	for (unsigned i = 0; i < SHARDS && result == 0; i++)
		result = cdbmap_writer_commit(&writer->maps[i], err);
	if (result == 0)
		result = write_head(writer->folder, writer->generation,
		    writer->records, at_s, err);
	if (result == 0)
		remove_others(writer->folder, writer->generation);
	snapshot_writer_abort(writer_in);
	return result;
}
