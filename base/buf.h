/* SPDX-License-Identifier: ISC */
/*
 * A buffer that grows.
 *
 * Invariants: data is never NULL after buf_init, data[length] is '\0', and
 * length < size.  The content may hold NUL bytes.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stddef.h>

struct buf {
	char *data;
	size_t length;
	size_t size;
};

#define BUF_INIT                                     \
	{                                            \
		.data = NULL, .length = 0, .size = 0 \
	}

/* BUF_INIT or zeroed storage also is an empty buffer, but with data NULL. */
void buf_init(struct buf *buf);
void buf_release(struct buf *buf);
void buf_reset(struct buf *buf);

void buf_add(struct buf *buf, const void *data, size_t length);
void buf_adds(struct buf *buf, const char *text);
void buf_addc(struct buf *buf, char c);
void buf_addf(struct buf *buf, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Makes room for at least extra bytes more (and the '\0'). */
void buf_reserve(struct buf *buf, size_t extra);

/* Takes away what is behind the first length bytes. */
void buf_cut(struct buf *buf, size_t length);

/* Takes count bytes away from the front. */
void buf_drop(struct buf *buf, size_t count);

#endif
