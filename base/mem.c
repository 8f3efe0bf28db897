/* SPDX-License-Identifier: ISC */
/* Memory whose exhaustion ends the process. */
#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

static void *
must(void *memory)
{
	if (memory == NULL)
		fatal(111, "out of memory");
	return memory;
}

void *
xmalloc(size_t size)
{
	return must(malloc(size > 0 ? size : 1));
}

void *
xcalloc(size_t count, size_t size)
{
	return must(calloc(count > 0 ? count : 1, size > 0 ? size : 1));
}

void *
xrealloc(void *memory, size_t size)
{
	return must(realloc(memory, size > 0 ? size : 1));
}

char *
xstrdup(const char *text)
{
	return must(strdup(text));
}

char *
xstrndup(const char *text, size_t length)
{
	return must(strndup(text, length));
}

char *
xasprintf(const char *format, ...)
{
	char *text;
	va_list args;
	int length;

	va_start(args, format);
	length = vasprintf(&text, format, args);
	va_end(args);
	return must(length < 0 ? NULL : text);
}
