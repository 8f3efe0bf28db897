/* SPDX-License-Identifier: ISC */
/* How far a long command is. */
#include "adminsrv/progress.h"

#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"

enum { SHOW_MS = 200, BAR_WIDTH = 30 };

static void
show_bar(struct progress *progress, int64_t now_ms)
{
	static const char full[BAR_WIDTH + 1] =
	    "##############################";
	int64_t span_ms = now_ms - progress->begun_ms;
	size_t rate = span_ms > 0 ? progress->done * 1000 / (size_t)span_ms : 0;

	progress->shown_ms = now_ms;
	if (progress->total == 0) {
		fprintf(stderr, "\r%s: %zu, %zu/s ", progress->what,
		    progress->done, rate);
		return;
	}
	fprintf(stderr, "\r%s: [%-*.*s] %zu of %zu, %zu/s ", progress->what,
	    BAR_WIDTH, (int)(progress->done * BAR_WIDTH / progress->total),
	    full, progress->done, progress->total, rate);
}

void
progress_begin(struct progress *progress, const char *what, size_t total)
{
	*progress = (struct progress){ .what = what,
		.total = total,
		.begun_ms = clock_ms(),
		.is_terminal = isatty(STDERR_FILENO) };
	progress->shown_ms = progress->begun_ms;
}

void
progress_add(struct progress *progress, size_t count)
{
	int64_t now_ms;

	if (progress == NULL)
		return;
	progress->done += count;
	if (!progress->is_terminal)
		return;
	now_ms = clock_ms();
	if (now_ms - progress->shown_ms >= SHOW_MS)
		show_bar(progress, now_ms);
}

void
progress_end(struct progress *progress)
{
	if (progress->is_terminal)
		fputs("\r\033[K", stderr);
}
