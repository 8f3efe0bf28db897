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
	char reason[128];
	va_list args;
	size_t length;

	if (err == NULL)
		return -1;
	va_start(args, format);
	vsnprintf(err->text, sizeof(err->text), format, args);
	va_end(args);
	length = strlen(err->text);
	snprintf(err->text + length, sizeof(err->text) - length, ": %s",
	    strerror_r(saved_errno, reason, sizeof(reason)));
	errno = saved_errno;
	return -1;
}

int
error_context(struct error *err, const char *format, ...)
{
	char context[sizeof(err->text)];
	char reason[sizeof(err->text)];
	va_list args;

	if (err == NULL)
		return -1;
	va_start(args, format);
	vsnprintf(context, sizeof(context), format, args);
	va_end(args);
	memcpy(reason, err->text, sizeof(reason));
	if (snprintf(err->text, sizeof(err->text), "%s: %s", context, reason) <
	    0)
		err->text[0] = '\0';
	return -1;
}
