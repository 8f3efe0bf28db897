/* SPDX-License-Identifier: ISC */
/* Constant databases. */
#include "control/cdbmap.h"

#include <cdb.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

struct cdbmap {
	struct cdb cdb; /* never given to cdb_find, which writes into it */
	int fd;
	char *path;
	dev_t device;
	ino_t inode;
};

int
cdbmap_open(const char *path, struct cdbmap **map_out, struct error *err)
{
	struct cdbmap *map;
	struct stat st;
	int fd;

	*map_out = NULL;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd == -1 && errno == ENOENT)
		return 0;
	if (fd == -1)
		return error_sys(err, "cannot open '%s'", path);
	map = xcalloc(1, sizeof(*map));
	if (fstat(fd, &st) == -1) {
		error_sys(err, "cannot stat '%s'", path);
		goto fail;
	}
	if (!S_ISREG(st.st_mode) || cdb_init(&map->cdb, fd) == -1) {
		error_set(err,
		    "'%s' is not a cdb file; make it again from its source",
		    path);
		goto fail;
	}
	map->fd = fd;
	map->device = st.st_dev;
	map->inode = st.st_ino;
	map->path = xstrdup(path);
	*map_out = map;
	return 1;
fail:
	free(map);
	close(fd);
	return -1;
}

void
cdbmap_free(struct cdbmap **map_in)
{
	struct cdbmap *map = *map_in;

	if (map == NULL)
		return;
	cdb_free(&map->cdb);
	close(map->fd);
	free(map->path);
	free(map);
	*map_in = NULL;
}

int
cdbmap_get(const struct cdbmap *map, const void *key, size_t key_length,
    struct buf *value_out, struct error *err)
{
	/* A copy: the mapping is shared, the position is this caller's. */
	struct cdb cdb = map->cdb;
	const void *value;
	int found;

	if (key_length > UINT_MAX)
		return 0;
	found = cdb_find(&cdb, key, (unsigned)key_length);
	if (found == 0)
		return 0;
	value = found > 0 ? cdb_getdata(&cdb) : NULL;
	if (value == NULL)
		return error_set(err,
		    "'%s' is damaged; make it again from its source",
		    map->path);
	if (value_out != NULL)
		buf_add(value_out, value, cdb_datalen(&cdb));
	return 1;
}

bool
cdbmap_is_stale(const struct cdbmap *map)
{
	struct stat st;

	return stat(map->path, &st) == -1 || st.st_ino != map->inode ||
	    st.st_dev != map->device;
}

struct cdbmap_writer {
	struct cdb_make make;
	int fd;
	char *path;
	char *temporary;
};

struct cdbmap_writer *
cdbmap_writer_new(const char *path, struct error *err)
{
	struct cdbmap_writer *writer = xcalloc(1, sizeof(*writer));

	writer->path = xstrdup(path);
	writer->temporary = xasprintf("%s.tmp.%ld", path, (long)getpid());
	writer->fd = open(
	    writer->temporary, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (writer->fd == -1) {
		error_sys(err, "cannot create '%s'", writer->temporary);
		free(writer->path);
		free(writer->temporary);
		free(writer);
		return NULL;
	}
	if (cdb_make_start(&writer->make, writer->fd) == -1) {
		error_sys(err, "cannot write '%s'", writer->temporary);
		cdbmap_writer_abort(&writer);
	}
	return writer;
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

/* The new file becomes the old one's equal in mode and owner. */
static int
copy_mode(const struct cdbmap_writer *writer)
{
	struct stat old;

	if (stat(writer->path, &old) == -1)
		return fchmod(writer->fd, 0644);
	/* An owner that we may not set stays ours: not worth a failure. */
	if (fchown(writer->fd, old.st_uid, old.st_gid) == -1)
		errno = 0;
	return fchmod(writer->fd, old.st_mode & 07777);
}

static void
writer_free(struct cdbmap_writer **writer_in)
{
	struct cdbmap_writer *writer = *writer_in;

	close(writer->fd);
	free(writer->path);
	free(writer->temporary);
	free(writer);
	*writer_in = NULL;
}

int
cdbmap_writer_commit(struct cdbmap_writer **writer_in, struct error *err)
{
	struct cdbmap_writer *writer = *writer_in;
	int result = -1;

	if (cdb_make_finish(&writer->make) == -1 || copy_mode(writer) == -1 ||
	    fsync(writer->fd) == -1) {
		error_sys(err, "cannot write '%s'", writer->temporary);
		unlink(writer->temporary);
	} else if (rename(writer->temporary, writer->path) == -1) {
		error_sys(err, "cannot rename '%s' to '%s'", writer->temporary,
		    writer->path);
		unlink(writer->temporary);
	} else
		result = file_sync_parent(writer->path, err);
	writer_free(writer_in);
	return result;
}

void
cdbmap_writer_abort(struct cdbmap_writer **writer_in)
{
	if (*writer_in == NULL)
		return;
	unlink((*writer_in)->temporary);
	cdb_make_finish(&(*writer_in)->make); /* frees what it gathered */
	writer_free(writer_in);
}
