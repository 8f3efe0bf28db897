/* SPDX-License-Identifier: ISC */
/* The reason of a failure. */
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int
error_set(struct error *err, const char *format, ...)
{
	va_list args;

	if (err == NULL)
		return -1;
	va_start(args, format);
	vsnprintf(err->text, sizeof(err->text), format, args);
	va_end(args);
	return -1;
}

int
error_sys(struct error *err, const char *format, ...)
{
	int saved_errno = errno;
	va_list args;
	size_t length;

	if (err == NULL)
		return -1;
	va_start(args, format);
	vsnprintf(err->text, sizeof(err->text), format, args);
	va_end(args);
	length = strlen(err->text);
	errno = saved_errno;
	snprintf(err->text + length, sizeof(err->text) - length, ": %m");
	errno = saved_errno;
	return -1;
}

int
error_context(struct error *err, const char *format, ...)
{
	struct error reason;
	va_list args;
	size_t length;

	if (err == NULL)
		return -1;
	reason = *err;
	va_start(args, format);
	vsnprintf(err->text, sizeof(err->text), format, args);
	va_end(args);
	length = strlen(err->text);
	snprintf(err->text + length, sizeof(err->text) - length, ": %s",
	    reason.text);
	return -1;
}
