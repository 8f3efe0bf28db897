/* SPDX-License-Identifier: ISC */
/* Constant databases, written: by libcdb, which no other file includes. */
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
	/*
	 * It may hold password hashes: nobody else's until it has its mode, and
	 * not the file that a killed process of this number left, which others
	 * may have open.
	 */
	unlink(writer->temporary);
	writer->fd = open(
	    writer->temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
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
