/* SPDX-License-Identifier: ISC */
/*
 * What a function prints to standard output or standard error.  Include after
 * cmocka.h.  Nothing may be asserted between begin and end: cmocka's reports
 * would go the same way.
 */
#ifndef TESTS_UNIT_CAPTURE_H
#define TESTS_UNIT_CAPTURE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/mem.h"

struct capture {
	int number; /* 1 or 2 */
	int saved, file;
};

static inline struct capture
capture_begin(int number)
{
	struct capture capture = { .number = number,
		.file = memfd_create("capture", MFD_CLOEXEC) };

	fflush(NULL);
	capture.saved = dup(number);
	if (capture.file == -1 || capture.saved == -1 ||
	    dup2(capture.file, number) == -1)
		abort();
	return capture;
}

/* The caller frees. */
static inline char *
capture_end(const struct capture *capture)
{
	off_t length;
	char *text;

	fflush(NULL);
	dup2(capture->saved, capture->number);
	close(capture->saved);
	length = lseek(capture->file, 0, SEEK_END);
	text = xcalloc((size_t)length + 1, 1);
	if (pread(capture->file, text, (size_t)length, 0) != length)
		abort();
	close(capture->file);
	return text;
}

#endif
