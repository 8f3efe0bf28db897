/* SPDX-License-Identifier: ISC */
/* Memory whose exhaustion ends the process, perhaps after a while. */
#include "base/mem.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/test_time.h"

enum { NAP_MS = 20, NAPS_MS = 5000, AGAIN_MS = 100 };

static size_t reserve_bytes; /* 0: none is kept */
static atomic_bool is_short;
static pthread_mutex_t reserve_lock = PTHREAD_MUTEX_INITIALIZER;
static void *reserve; /* under reserve_lock, as the next */
static int64_t tried_at_ms;

/* Mapped, so that it really goes when it is given back.  With the lock. */
static bool
take_reserve(void)
{
	void *memory = mmap(NULL, reserve_bytes, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		return false;
	reserve = memory;
	return true;
}

void
mem_set_reserve(size_t bytes)
{
	reserve_bytes = bytes;
	atomic_store(&is_short, !take_reserve());
}

bool
mem_is_short(void)
{
	int64_t now_ms;
	bool has_passed = false;

	if (!atomic_load_explicit(&is_short, memory_order_relaxed))
		return false;
	now_ms = clock_ms();
	pthread_mutex_lock(&reserve_lock);
	if (reserve == NULL && now_ms >= tried_at_ms + AGAIN_MS) {
		tried_at_ms = now_ms;
		has_passed = take_reserve();
		atomic_store(&is_short, !has_passed);
	}
	pthread_mutex_unlock(&reserve_lock);
	if (has_passed)
		log_line("memory is no longer short");
	return !has_passed && atomic_load(&is_short);
}

/* False when there was no reserve. */
static bool
give_reserve(void)
{
	bool is_given;

	pthread_mutex_lock(&reserve_lock);
	is_given = reserve != NULL;
	if (is_given) {
		munmap(reserve, reserve_bytes);
		reserve = NULL;
		tried_at_ms = clock_ms();
		atomic_store(&is_short, true);
	}
	pthread_mutex_unlock(&reserve_lock);
	if (is_given)
		log_line("warning: memory is short: nothing new is begun "
			 "until some is free; raise the service's limit of "
			 "memory, or let it do less at a time");
	return is_given;
}

/* An allocation has failed.  Returns when it may be tried again. */
static void
hope(unsigned *naps)
{
	if (reserve_bytes == 0 ||
	    *naps * NAP_MS > test_time_ms("NAPS_MS", NAPS_MS))
		fatal(111, "out of memory");
	if (give_reserve())
		return;
	clock_sleep_ms(NAP_MS);
	++*naps;
}

void *
xmalloc(size_t size)
{
	return xrealloc(NULL, size);
}

void *
xcalloc(size_t count, size_t size)
{
	unsigned naps = 0;
	void *memory;

	while ((memory = calloc(count > 0 ? count : 1, size > 0 ? size : 1)) ==
	    NULL)
		hope(&naps);
	return memory;
}

void *
xrealloc(void *memory, size_t size)
{
	unsigned naps = 0;
	void *larger;

	while ((larger = realloc(memory, size > 0 ? size : 1)) == NULL)
		hope(&naps);
	return larger;
}

void *
mem_room(void *items, size_t count, size_t size)
{
	return (count & (count - 1)) != 0
	    ? items
	    : xrealloc(items, (count == 0 ? 1 : 2 * count) * size);
}

char *
xstrdup(const char *text)
{
	return xstrndup(text, strlen(text));
}

char *
xstrndup(const char *text, size_t length)
{
	char *copy;

	length = strnlen(text, length);
	copy = xmalloc(length + 1);
	memcpy(copy, text, length);
	copy[length] = '\0';
	return copy;
}

char *
xasprintf(const char *format, ...)
{
	unsigned naps = 0;
	char *text;
	va_list args;
	int length;

	for (;;) {
		va_start(args, format);
		length = vasprintf(&text, format, args);
		va_end(args);
		if (length >= 0)
			return text;
		hope(&naps);
	}
}
