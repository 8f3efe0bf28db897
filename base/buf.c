/* SPDX-License-Identifier: ISC */
/* A buffer that grows. */
#include "base/buf.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

void
buf_init(struct buf *buf)
{
	*buf = (struct buf)BUF_INIT;
	buf_reserve(buf, 0);
}

void
buf_release(struct buf *buf)
{
	free(buf->data);
	*buf = (struct buf)BUF_INIT;
}

void
buf_reset(struct buf *buf)
{
	buf_cut(buf, 0);
}

void
buf_reserve(struct buf *buf, size_t extra)
{
	size_t wanted = buf->length + extra + 1;

	assert(wanted > buf->length);
	if (wanted <= buf->size)
		return;
	if (wanted < buf->size * 2)
		wanted = buf->size * 2;
	if (wanted < 64)
		wanted = 64;
	buf->data = xrealloc(buf->data, wanted);
	buf->size = wanted;
	buf->data[buf->length] = '\0';
}

void
buf_add(struct buf *buf, const void *data, size_t length)
{
	buf_reserve(buf, length);
	if (length > 0)
		memcpy(buf->data + buf->length, data, length);
	buf->length += length;
	buf->data[buf->length] = '\0';
}

void
buf_adds(struct buf *buf, const char *text)
{
	buf_add(buf, text, strlen(text));
}

void
buf_addc(struct buf *buf, char c)
{
	buf_add(buf, &c, 1);
}

void
buf_addf(struct buf *buf, const char *format, ...)
{
	va_list args;
	int n;

	buf_reserve(buf, 64);
	va_start(args, format);
	n = vsnprintf(
	    buf->data + buf->length, buf->size - buf->length, format, args);
	va_end(args);
	assert(n >= 0);
	if ((size_t)n >= buf->size - buf->length) {
		buf_reserve(buf, (size_t)n);
		va_start(args, format);
		vsnprintf(buf->data + buf->length, buf->size - buf->length,
		    format, args);
		va_end(args);
	}
	buf->length += (size_t)n;
}

void
buf_cut(struct buf *buf, size_t length)
{
	assert(length <= buf->length);
	buf->length = length;
	if (buf->data != NULL)
		buf->data[length] = '\0';
}

void
buf_drop(struct buf *buf, size_t count)
{
	assert(count <= buf->length);
	if (count == 0)
		return;
	memmove(buf->data, buf->data + count, buf->length - count);
	buf->length -= count;
	buf->data[buf->length] = '\0';
}
