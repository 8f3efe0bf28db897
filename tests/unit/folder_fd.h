/* SPDX-License-Identifier: ISC */
/* The folder of tests/unit/folder.h, opened.  Include after cmocka.h. */
#ifndef TESTS_UNIT_FOLDER_FD_H
#define TESTS_UNIT_FOLDER_FD_H

#include <fcntl.h>
#include <unistd.h>

#include "tests/unit/folder.h"

static int folder_fd;

static inline int
folder_fd_setup(void **state)
{
	if (folder_setup(state) != 0)
		return -1;
	folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return folder_fd == -1 ? -1 : 0;
}

static inline int
folder_fd_teardown(void **state)
{
	close(folder_fd);
	return folder_teardown(state);
}

#endif
