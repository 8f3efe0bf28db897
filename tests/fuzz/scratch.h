/* SPDX-License-Identifier: ISC */
/* Files for fuzz targets whose parsers read files. */
#ifndef TESTS_FUZZ_SCRATCH_H
#define TESTS_FUZZ_SCRATCH_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"

/* A file in memory that holds data, by a path good until scratch_close(). */
struct scratch {
	int fd;
	char path[64];
};

static inline void
scratch_open(struct scratch *scratch, const void *data, size_t size)
{
	scratch->fd = memfd_create("fuzz", MFD_CLOEXEC);
	assert(scratch->fd != -1);
	if (file_write_all(scratch->fd, data, size) == -1)
		abort();
	snprintf(scratch->path, sizeof(scratch->path), "/proc/self/fd/%d",
	    scratch->fd);
}

static inline void
scratch_close(struct scratch *scratch)
{
	close(scratch->fd);
}

static char scratch_folder[] = "/dev/shm/mqmail-fuzz.XXXXXX";

static inline void
scratch_remove_folder(void)
{
	file_remove_tree(scratch_folder, NULL);
}

/* The process's own folder in memory, removed when it ends. */
static inline const char *
scratch_dir(void)
{
	static int is_made;

	if (!is_made) {
		if (mkdtemp(scratch_folder) == NULL)
			abort();
		atexit(scratch_remove_folder);
		is_made = 1;
	}
	return scratch_folder;
}

#endif
