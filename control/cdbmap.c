/* SPDX-License-Identifier: ISC */
/*
 * Constant databases, read.
 *
 *	file   = 256 tables (position, slots), records, the tables' slots
 *	slot   = hash, position of a record; 0: an empty slot
 *	record = length of the key, length of the value, key, value
 *
 * All numbers have 32 bits, low byte first.  A key's hash says which table has
 * it, and in which slot to begin; an empty slot ends the search.
 *
 * Nothing is mapped, since a file that is cut while it is mapped ends the
 * process (SIGBUS).  Three reads answer a question; a small file that is asked
 * often is read into memory.
 */
#include "control/cdbmap.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/budget.h"
#include "base/mem.h"

enum {
	TABLES = 256,
	PAIR_SIZE = 8, /* of two numbers: a table, a slot, a record's lengths */
	HEAD_SIZE = TABLES * PAIR_SIZE,
	WINDOW_SIZE = 1024,
	COPY_MAX = 8 * 1024 * 1024,
	COPIES_MAX = 64 * 1024 * 1024, /* of all maps of the process */
	/*
	 * Reading that many bytes costs about what a question of the file
	 * costs more than one of memory: by then the copy pays.
	 */
	COPY_BYTES_A_QUESTION = 8192
};

static struct budget copies = { .limit = COPIES_MAX };

/* What questions change, shared by the threads that ask. */
struct memory {
	atomic_uint questions; /* since a copy was last thought of */
	char *_Atomic copy; /* NULL: not yet; else of the size that st says */
};

struct cdbmap {
	int fd;
	char *path;
	struct stat st; /* when it was opened */
	unsigned char head[HEAD_SIZE];
	struct memory *memory;
};

struct pair {
	uint32_t first, second;
};

/* One question: the bytes at hand, of the copy or of the file. */
struct reader {
	const struct cdbmap *map;
	const char *copy;
	uint64_t size;
	uint64_t window_at;
	size_t window_length;
	char window[WINDOW_SIZE];
};

static uint32_t
get_number(const unsigned char *bytes)
{
	return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
	    (uint32_t)bytes[3] << 24;
}

static struct pair
get_pair(const void *bytes)
{
	return (struct pair){ get_number(bytes),
		get_number((const unsigned char *)bytes + 4) };
}

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

/* The file's content is still what it was when the map was opened. */
static bool
is_same_content(const struct cdbmap *map)
{
	struct stat now;

	return fstat(map->fd, &now) == 0 && now.st_size == map->st.st_size &&
	    now.st_mtim.tv_sec == map->st.st_mtim.tv_sec &&
	    now.st_mtim.tv_nsec == map->st.st_mtim.tv_nsec;
}

/* The programs that make the files of a node, by name. */
static const char *
remedy(const char *path)
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
say_damaged(const char *path, struct error *err)
{
	return error_set(err, "'%s' is damaged; %s", path, remedy(path));
}

/*
 * Each table lies behind the head and within the file: so neither a file that
 * is written just now, whose tables come last, nor one of zeros is taken for
 * one without records.
 */
static bool
is_head_good(const struct cdbmap *map)
{
	uint64_t size = (uint64_t)map->st.st_size;

	for (unsigned i = 0; i < TABLES; i++) {
		struct pair table = get_pair(map->head + i * PAIR_SIZE);

		if (table.first < HEAD_SIZE ||
		    table.first + (uint64_t)table.second * PAIR_SIZE > size)
			return false;
	}
	return true;
}

static int
read_head(struct cdbmap *map, struct error *err)
{
	if (fstat(map->fd, &map->st) == -1)
		return error_sys(err, "cannot stat '%s'", map->path);
	if (!S_ISREG(map->st.st_mode) || map->st.st_size < HEAD_SIZE)
		return error_set(err, "'%s' is not a cdb file; %s", map->path,
		    remedy(map->path));
	if (read_exactly(map->fd, map->head, HEAD_SIZE, 0) == -1)
		return errno == 0
		    ? say_damaged(map->path, err)
		    : error_sys(err, "cannot read '%s'", map->path);
	return is_head_good(map) ? 0 : say_damaged(map->path, err);
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
	if (read_head(map, err) == -1) {
		cdbmap_free(&map);
		return -1;
	}
	*map_out = map;
	return 1;
}

static void
free_copy(const struct cdbmap *map, char *copy)
{
	free(copy);
	budget_give(&copies, (uint64_t)map->st.st_size);
}

void
cdbmap_free(struct cdbmap **map_in)
{
	struct cdbmap *map = *map_in;
	char *copy;

	if (map == NULL)
		return;
	close(map->fd);
	copy = atomic_load(&map->memory->copy);
	if (copy != NULL)
		free_copy(map, copy);
	free(map->memory);
	free(map->path);
	free(map);
	*map_in = NULL;
}

/*
 * Reads the file into memory; NULL when that cannot be.  The reserve that is
 * given back when memory is short is not for this.
 */
static char *
make_copy(const struct cdbmap *map)
{
	size_t size = (size_t)map->st.st_size;
	char *copy;

	if (mem_is_short() || !budget_take(&copies, size))
		return NULL;
	copy = malloc(size);
	if (copy != NULL && read_exactly(map->fd, copy, size, 0) == 0 &&
	    is_same_content(map))
		return copy;
	free_copy(map, copy);
	return NULL;
}

/*
 * The copy in memory, or NULL.  The one question that makes it worth while
 * reads it; when the file has changed by then the map is of no more use.  One
 * that no memory is left for is done without, since nothing else shall end for
 * it, until as many questions were asked again.
 */
static const char *
get_copy(const struct cdbmap *map)
{
	char *copy = atomic_load_explicit(
	    &map->memory->copy, memory_order_acquire);
	size_t size = (size_t)map->st.st_size;

	if (copy != NULL || size > COPY_MAX ||
	    atomic_fetch_add(&map->memory->questions, 1) !=
		size / COPY_BYTES_A_QUESTION)
		return copy;
	copy = make_copy(map);
	if (copy == NULL)
		atomic_store(&map->memory->questions, 0);
	else
		atomic_store_explicit(
		    &map->memory->copy, copy, memory_order_release);
	return copy;
}

/*
 * The length bytes (at most WINDOW_SIZE) at a position, valid until the next
 * call; NULL when they are not in the file or cannot be read.
 */
static const char *
get_bytes(struct reader *reader, uint64_t at, size_t length)
{
	size_t wanted = WINDOW_SIZE;

	if (length > reader->size || at > reader->size - length)
		return NULL;
	if (reader->copy != NULL)
		return reader->copy + at;
	if (at >= reader->window_at &&
	    at + length <= reader->window_at + reader->window_length)
		return reader->window + (at - reader->window_at);
	if (wanted > reader->size - at)
		wanted = (size_t)(reader->size - at);
	reader->window_length = 0;
	if (read_exactly(reader->map->fd, reader->window, wanted, at) == -1)
		return NULL;
	reader->window_at = at;
	reader->window_length = wanted;
	return reader->window;
}

/* Is this key at the position?  1, 0, -1. */
static int
is_key(struct reader *reader, uint64_t at, const char *key, size_t length)
{
	while (length > 0) {
		size_t piece = length < WINDOW_SIZE ? length : WINDOW_SIZE;
		const char *bytes = get_bytes(reader, at, piece);

		if (bytes == NULL)
			return -1;
		if (memcmp(bytes, key, piece) != 0)
			return 0;
		at += piece;
		key += piece;
		length -= piece;
	}
	return 1;
}

/* Adds bytes that lie within the file.  1 or -1. */
static int
add_value(struct reader *reader, uint64_t at, size_t length, struct buf *value)
{
	buf_reserve(value, length);
	while (length > 0) {
		size_t piece = length < WINDOW_SIZE ? length : WINDOW_SIZE;
		const char *bytes = get_bytes(reader, at, piece);

		if (bytes == NULL)
			return -1;
		buf_add(value, bytes, piece);
		at += piece;
		length -= piece;
	}
	return 1;
}

/* Is the record at a position the key's?  Then its value.  1, 0, -1. */
static int
read_record(struct reader *reader, uint64_t at, const char *key, size_t length,
    struct buf *value_out)
{
	const char *bytes = get_bytes(reader, at, PAIR_SIZE);
	struct pair lengths;
	int result;

	if (bytes == NULL)
		return -1;
	lengths = get_pair(bytes);
	at += PAIR_SIZE;
	/* Before memory is taken. */
	if ((uint64_t)lengths.first + lengths.second > reader->size - at)
		return -1;
	if (lengths.first != length)
		return 0;
	result = is_key(reader, at, key, length);
	if (result == 1 && value_out != NULL)
		result = add_value(
		    reader, at + length, lengths.second, value_out);
	return result;
}

static int
find(struct reader *reader, const char *key, size_t length,
    struct buf *value_out)
{
	uint32_t hash = 5381, slot;
	struct pair table;
	int result = 0;

	for (size_t i = 0; i < length; i++)
		hash = ((hash << 5) + hash) ^ (unsigned char)key[i];
	table = get_pair(reader->map->head + hash % TABLES * PAIR_SIZE);
	if (table.second == 0)
		return 0;
	slot = (hash / TABLES) % table.second;
	for (uint32_t i = 0; i < table.second && result == 0; i++) {
		const char *bytes = get_bytes(reader,
		    table.first + (uint64_t)slot * PAIR_SIZE, PAIR_SIZE);
		struct pair pair;

		if (bytes == NULL)
			return -1;
		pair = get_pair(bytes);
		if (pair.second == 0)
			return 0;
		if (pair.first == hash)
			result = read_record(
			    reader, pair.second, key, length, value_out);
		if (++slot == table.second)
			slot = 0;
	}
	return result;
}

/* Takes what was added behind start away again. */
static void
cut(struct buf *value, size_t start)
{
	if (value == NULL || value->length == start)
		return;
	value->length = start;
	value->data[start] = '\0';
}

int
cdbmap_get(const struct cdbmap *map, const void *key, size_t key_length,
    struct buf *value_out, struct error *err)
{
	struct reader reader;
	size_t start = value_out == NULL ? 0 : value_out->length;
	int found;

	if (key_length > UINT32_MAX)
		return 0;
	reader.map = map;
	reader.copy = get_copy(map);
	reader.size = (uint64_t)map->st.st_size;
	reader.window_at = 0;
	reader.window_length = 0;
	found = find(&reader, key, key_length, value_out);
	if (reader.copy == NULL && !is_same_content(map)) {
		cut(value_out, start);
		return error_set(err,
		    "'%s' was overwritten while it was open; make it again "
		    "from its source, by a program that renames it into place",
		    map->path);
	}
	if (found != -1)
		return found;
	cut(value_out, start);
	return say_damaged(map->path, err);
}

bool
cdbmap_is_stale(const struct cdbmap *map)
{
	const struct stat *old = &map->st;
	struct stat now;

	return stat(map->path, &now) == -1 || now.st_ino != old->st_ino ||
	    now.st_dev != old->st_dev || now.st_size != old->st_size ||
	    now.st_mtim.tv_sec != old->st_mtim.tv_sec ||
	    now.st_mtim.tv_nsec != old->st_mtim.tv_nsec ||
	    now.st_ctim.tv_sec != old->st_ctim.tv_sec ||
	    now.st_ctim.tv_nsec != old->st_ctim.tv_nsec;
}
