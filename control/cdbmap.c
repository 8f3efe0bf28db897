/* SPDX-License-Identifier: ISC */
/*
 * Constant databases, by libcdb.
 *
 *	file   = 256 tables (position, slots), records, the tables' slots
 *	slot   = hash, position of a record; 0: an empty slot
 *	record = length of the key, length of the value, key, value
 *
 * All numbers have 32 bits.  A key's hash says which table has it, and in which
 * slot to begin; an empty slot ends the search.
 */
#include "control/cdbmap.h"

#include <cdb.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/budget.h"
#include "base/file.h"
#include "base/mem.h"

enum {
	TABLES = 256,
	PAIR_SIZE = 8, /* two numbers: a table, a slot, a record's lengths */
	HEAD_SIZE = TABLES * PAIR_SIZE,
	COPY_AT_OPEN_MAX = 64 * 1024,
	COPY_MAX = 8 * 1024 * 1024,
	COPIES_MAX = 64 * 1024 * 1024, /* of all maps of the process */
	/*
	 * Reading that many bytes costs about what a question of the file
	 * costs more than one of memory: by then the copy pays.
	 */
	COPY_BYTES_A_QUESTION = 8192
};

static struct budget copies = { .limit = COPIES_MAX };

/* A whole file in memory. */
struct copy {
	struct cdb cdb; /* as cdb_init() fills it of a mapped file */
	unsigned char bytes[];
};

/* What questions change, shared by the threads that ask. */
struct memory {
	atomic_uint questions;     /* of the file */
	struct copy *_Atomic copy; /* NULL: not yet */
};

struct cdbmap {
	char *path;
	struct stat st; /* when it was opened */
	struct memory *memory;
	int fd; /* -1: it was copied when it was opened */
	unsigned char head[HEAD_SIZE];
};

/* Reads exactly length bytes.  0, or -1 with errno (0: the file is shorter). */
static int
read_exactly(int fd, void *bytes, size_t length, uint64_t at)
{
	size_t done = 0;

	while (done < length) {
		ssize_t n = pread(fd, (char *)bytes + done, length - done,
		    (off_t)(at + done));

		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0) {
			if (n == 0)
				errno = 0;
			return -1;
		}
		done += (size_t)n;
	}
	return 0;
}

static bool
is_same_content(const struct stat *a, const struct stat *b)
{
	return a->st_size == b->st_size &&
	    a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	    a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* The file's content is still what it was when the map was opened. */
static bool
is_map_unchanged(const struct cdbmap *map)
{
	struct stat now;

	return fstat(map->fd, &now) == 0 && is_same_content(&now, &map->st);
}

/* The programs that make the files of a node, by name. */
static const char *
cdb_remedy(const char *path)
{
	static const struct {
		const char *name, *remedy;
	} rows[] = {
		{ "cdb", "qmail-newu makes it again, from 'assign'" },
		{ "morercpthosts.cdb",
		    "qmail-newmrh makes it again, from 'morercpthosts'" },
		{ "tcp.smtp.cdb",
		    "'tcprules tcp.smtp.cdb tcp.smtp.tmp < tcp.smtp' there "
		    "makes it again" },
		{ "vpasswd.cdb",
		    "vpasswd, vadduser and vmoduser make it again, from "
		    "'vpasswd'" },
	};
	const char *slash = strrchr(path, '/');
	const char *name = slash == NULL ? path : slash + 1;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (strcmp(name, rows[i].name) == 0)
			return rows[i].remedy;
	return "make it again from its source";
}

static int
report_damaged_cdb(const struct cdbmap *map, struct error *err)
{
	return error_set(
	    err, "'%s' is damaged; %s", map->path, cdb_remedy(map->path));
}

/*
 * Each table lies behind the head and within the file: so neither a file that
 * is being written, whose tables come last, nor one of zeros is taken for one
 * without records.
 */
static bool
is_head_good(const struct cdbmap *map)
{
	for (unsigned i = 0; i < TABLES; i++) {
		const unsigned char *table = map->head + i * PAIR_SIZE;
		unsigned at = cdb_unpack(table);

		if (at < HEAD_SIZE ||
		    at + (uint64_t)cdb_unpack(table + 4) * PAIR_SIZE >
			(uint64_t)map->st.st_size)
			return false;
	}
	return true;
}

/*
 * The records fill all that is before the first table.  libcdb says "absent" of
 * a key whose record has a wrong length.
 */
static bool
are_records_good(const unsigned char *copy)
{
	uint64_t at = HEAD_SIZE, end = cdb_unpack(copy);

	while (at + PAIR_SIZE <= end)
		at += PAIR_SIZE + (uint64_t)cdb_unpack(copy + at) +
		    cdb_unpack(copy + at + 4);
	return at == end;
}

static void
free_copy(const struct cdbmap *map, struct copy *copy)
{
	if (copy != NULL)
		budget_give(&copies, (uint64_t)map->st.st_size);
	free(copy);
}

/*
 * Copies the file: 1; 0 when there is no memory for it, and it is read when it
 * is asked (the reserve that is given back when memory is short is not for
 * this); -1: it is damaged, or has changed.
 */
static int
copy_cdb(const struct cdbmap *map)
{
	size_t size = (size_t)map->st.st_size;
	struct copy *copy;

	if (mem_is_short() || !budget_take(&copies, size))
		return 0;
	copy = malloc(sizeof(*copy) + size);
	if (copy == NULL) {
		budget_give(&copies, size);
		return 0;
	}
	if (read_exactly(map->fd, copy->bytes, size, 0) == -1 ||
	    !is_map_unchanged(map) || !are_records_good(copy->bytes)) {
		free_copy(map, copy);
		return -1;
	}
	copy->cdb = (struct cdb){ .cdb_fd = -1,
		.cdb_fsize = (unsigned)size,
		.cdb_dend = cdb_unpack(copy->bytes),
		.cdb_mem = copy->bytes };
	atomic_store_explicit(&map->memory->copy, copy, memory_order_release);
	return 1;
}

/*
 * The copy, or NULL.  The one question that makes it worth while makes it; one
 * that could not be made is not tried again.
 */
static const struct copy *
get_copy(const struct cdbmap *map)
{
	size_t size = (size_t)map->st.st_size;

	if (map->fd != -1 && size <= COPY_MAX &&
	    atomic_load_explicit(&map->memory->copy, memory_order_acquire) ==
		NULL &&
	    atomic_fetch_add(&map->memory->questions, 1) ==
		size / COPY_BYTES_A_QUESTION)
		copy_cdb(map);
	return atomic_load_explicit(&map->memory->copy, memory_order_acquire);
}

static int
read_cdb(struct cdbmap *map, struct error *err)
{
	if (fstat(map->fd, &map->st) == -1)
		return error_sys(err, "cannot stat '%s'", map->path);
	if (!S_ISREG(map->st.st_mode) || map->st.st_size < HEAD_SIZE)
		return error_set(err, "'%s' is not a cdb file; %s", map->path,
		    cdb_remedy(map->path));
	if (read_exactly(map->fd, map->head, HEAD_SIZE, 0) == -1 && errno != 0)
		return error_sys(err, "cannot read '%s'", map->path);
	if (!is_head_good(map))
		return report_damaged_cdb(map, err);
	if (map->st.st_size > COPY_AT_OPEN_MAX)
		return 0;
	switch (copy_cdb(map)) {
	case 1:
		close(map->fd);
		map->fd = -1;
		return 0;
	case 0:
		return 0;
	default:
		return report_damaged_cdb(map, err);
	}
}

int
cdbmap_open(const char *path, struct cdbmap **map_out, struct error *err)
{
	struct cdbmap *map;
	int fd;

	*map_out = NULL;
	/* A fifo in its place must not make us wait. */
	fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd == -1 && errno == ENOENT)
		return 0;
	if (fd == -1)
		return error_sys(err, "cannot open '%s'", path);
	map = xcalloc(1, sizeof(*map));
	map->fd = fd;
	map->path = xstrdup(path);
	map->memory = xcalloc(1, sizeof(*map->memory));
	if (read_cdb(map, err) == -1) {
		cdbmap_free(&map);
		return -1;
	}
	*map_out = map;
	return 1;
}

void
cdbmap_free(struct cdbmap **map_in)
{
	struct cdbmap *map = *map_in;

	if (map == NULL)
		return;
	if (map->fd != -1)
		close(map->fd);
	free_copy(map, atomic_load(&map->memory->copy));
	free(map->memory);
	free(map->path);
	free(map);
	*map_in = NULL;
}

static int
find_in_copy(const struct copy *copy, const void *key, unsigned length,
    struct buf *value_out)
{
	struct cdb cdb = copy->cdb; /* libcdb puts into it what it finds */
	int found = cdb_find(&cdb, key, length);

	if (found == 1 && value_out != NULL)
		buf_add(value_out, cdb_getdata(&cdb), cdb_datalen(&cdb));
	return found;
}

/* Is the record at a position the key's?  Then its value.  1, 0, -1. */
static int
read_record_of(const struct cdbmap *map, uint64_t at, const void *key,
    unsigned length, struct buf *value_out)
{
	unsigned char lengths[PAIR_SIZE];
	AUTO(buf_release) struct buf record = BUF_INIT;
	unsigned value_length;
	int result = -1;

	if (read_exactly(map->fd, lengths, PAIR_SIZE, at) == -1)
		return -1;
	value_length = cdb_unpack(lengths + 4);
	/* Before memory is taken. */
	if (at + PAIR_SIZE + cdb_unpack(lengths) + value_length >
	    (uint64_t)map->st.st_size)
		return -1;
	if (cdb_unpack(lengths) != length)
		return 0;
	record.length = (size_t)length + (value_out != NULL ? value_length : 0);
	buf_reserve(&record, record.length);
	if (read_exactly(map->fd, record.data, record.length, at + PAIR_SIZE) ==
	    0)
		result = memcmp(record.data, key, length) == 0;
	if (result == 1 && value_out != NULL)
		buf_add(value_out, record.data + length, value_length);
	return result;
}

static int
find_in_file(const struct cdbmap *map, const void *key, unsigned length,
    struct buf *value_out)
{
	unsigned hash = cdb_hash(key, length);
	const unsigned char *table = map->head + hash % TABLES * PAIR_SIZE;
	unsigned slots = cdb_unpack(table + 4);
	int found = 0;

	for (unsigned i = 0; i < slots && found == 0; i++) {
		unsigned char slot[PAIR_SIZE];

		if (read_exactly(map->fd, slot, PAIR_SIZE,
			cdb_unpack(table) +
			    (uint64_t)((hash / TABLES + i) % slots) *
				PAIR_SIZE) == -1)
			return -1;
		if (cdb_unpack(slot + 4) == 0)
			return 0;
		if (cdb_unpack(slot) == hash)
			found = read_record_of(
			    map, cdb_unpack(slot + 4), key, length, value_out);
	}
	return found;
}

int
cdbmap_get(const struct cdbmap *map, const void *key, size_t key_length,
    struct buf *value_out, struct error *err)
{
	size_t start = value_out == NULL ? 0 : value_out->length;
	const struct copy *copy = get_copy(map);
	int found;

	if (key_length > UINT_MAX)
		return 0;
	if (copy != NULL)
		found = find_in_copy(
		    copy, key, (unsigned)key_length, value_out);
	else
		found = find_in_file(map, key, (unsigned)key_length, value_out);
	if (copy == NULL && !is_map_unchanged(map)) {
		if (value_out != NULL && value_out->length > start)
			buf_cut(value_out, start);
		return error_set(err,
		    "'%s' was overwritten while it was open; make it again "
		    "from its source, by a program that renames it into place",
		    map->path);
	}
	return found == -1 ? report_damaged_cdb(map, err) : found;
}

bool
cdbmap_is_copied(const struct cdbmap *map)
{
	return atomic_load_explicit(&map->memory->copy, memory_order_acquire) !=
	    NULL;
}

bool
cdbmap_is_stale(const struct cdbmap *map)
{
	const struct stat *old = &map->st;
	struct stat now;

	return stat(map->path, &now) == -1 || !is_same_content(&now, old) ||
	    now.st_ino != old->st_ino || now.st_dev != old->st_dev ||
	    now.st_ctim.tv_sec != old->st_ctim.tv_sec ||
	    now.st_ctim.tv_nsec != old->st_ctim.tv_nsec;
}

struct cdbmap_writer {
	struct cdb_make make;
	int fd;
	char *path, *temporary;
	mode_t mode; /* if there is no old one */
};

static void
writer_free(struct cdbmap_writer **writer_in)
{
	free((*writer_in)->path);
	free(*writer_in);
	*writer_in = NULL;
}

struct cdbmap_writer *
cdbmap_writer_new(const char *path, struct error *err)
{
	struct cdbmap_writer *writer = xcalloc(1, sizeof(*writer));

	writer->path = xstrdup(path);
	writer->mode = 0644;
	writer->fd = file_begin(path, &writer->temporary, err);
	if (writer->fd == -1)
		writer_free(&writer);
	else if (cdb_make_start(&writer->make, writer->fd) == -1) {
		error_sys(err, "cannot write '%s'", writer->temporary);
		cdbmap_writer_abort(&writer);
	}
	return writer;
}

void
cdbmap_writer_set_mode(struct cdbmap_writer *writer, mode_t mode)
{
	writer->mode = mode;
}

int
cdbmap_writer_add(struct cdbmap_writer *writer, const void *key,
    size_t key_length, const void *value, size_t value_length,
    struct error *err)
{
	if (key_length > UINT_MAX || value_length > UINT_MAX)
		return error_set(err,
		    "cannot write '%s': a cdb holds at most 4 GiB",
		    writer->temporary);
	if (cdb_make_add(&writer->make, key, (unsigned)key_length, value,
		(unsigned)value_length) == -1)
		return error_sys(err, "cannot write '%s'", writer->temporary);
	return 0;
}

int
cdbmap_writer_commit(struct cdbmap_writer **writer_in, struct error *err)
{
	struct cdbmap_writer *writer = *writer_in;
	int result = 0;

	if (cdb_make_finish(&writer->make) == -1) {
		result = error_sys(err, "cannot write '%s'", writer->temporary);
		file_abort(writer->fd, writer->temporary);
	} else
		result = file_commit(writer->fd, writer->temporary,
		    writer->path, writer->mode, err);
	writer_free(writer_in);
	return result;
}

void
cdbmap_writer_abort(struct cdbmap_writer **writer_in)
{
	int saved_errno = errno;

	if (*writer_in == NULL)
		return;
	cdb_make_finish(&(*writer_in)->make); /* frees what it gathered */
	file_abort((*writer_in)->fd, (*writer_in)->temporary);
	writer_free(writer_in);
	errno = saved_errno;
}
