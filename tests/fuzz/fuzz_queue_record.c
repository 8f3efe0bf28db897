/* SPDX-License-Identifier: ISC */
/*
 * Files of a message in S5 as another system, or a broken disk, left them: up
 * to the first 0xff info/ID, behind it local/ID.  qmail-send's own loading
 * reads them; a list that it does not understand must stay, with the message.
 */
#include <assert.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/file.h"
#include "queue/fix.h"
#include "queue/send.h"

enum { ID = 4711 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct send fuzzed;
static struct loop_source commit_source;
static char base[] = "/dev/shm/mqmail-fuzz.XXXXXX";

static void
remove_base(void)
{
	file_remove_tree(base, NULL);
}

static void
commit_ready(uint32_t events, void *context)
{
	uint64_t count;

	(void)events;
	(void)context;
	if (read(commit_source.fd, &count, sizeof(count)) > 0)
		commit_reap(fuzzed.committer);
}

static void
load_settings(void)
{
	struct error err;
	char path[64];

	snprintf(path, sizeof(path), "%s/me", base);
	if (file_replace(path, "me.test\n", 8, 0600, &err) == -1)
		abort();
	fuzzed.settings = settings_load(base, "qmail-send", NULL, &err);
	fuzzed.route = route_new(fuzzed.settings, &err);
}

/* A queue without delivery workers. */
static void
set_up(void)
{
	struct fix_options options = {
		.split = 1, .uid = (uid_t)-1, .gid = (gid_t)-1
	};
	enum route_channel channel;
	struct error err;
	char path[64];

	if (mkdtemp(base) == NULL || freopen("/dev/null", "w", stdout) == NULL)
		abort();
	atexit(remove_base);
	load_settings();
	snprintf(path, sizeof(path), "%s/q", base);
	if (queue_fix(path, &options, &err) == -1)
		abort();
	fuzzed.dir = queue_dir_open(path, &err);
	fuzzed.spares = spare_pool_new(fuzzed.dir, 4);
	fuzzed.loop = loop_new();
	commit_source = (struct loop_source){ .fd = eventfd(0,
						  EFD_CLOEXEC | EFD_NONBLOCK),
		.ready = commit_ready };
	fuzzed.committer = committer_new(
	    fuzzed.dir, fuzzed.spares, NULL, commit_source.fd);
	for (channel = 0; channel < ROUTE_CHANNEL_COUNT; channel++)
		fuzzed.waiting_end[channel] = &fuzzed.waiting[channel];
	fuzzed.active_max = 10;
	if (loop_add(fuzzed.loop, &commit_source, EPOLLIN, &err) == -1 ||
	    backlog_open(&fuzzed, &err) == -1)
		abort();
}

static void
put(enum queue_folder folder, const uint8_t *data, size_t length)
{
	int fd = queue_open_file(
	    fuzzed.dir, folder, ID, O_WRONLY | O_CREAT | O_TRUNC);

	if (fd == -1 || write(fd, data, length) != (ssize_t)length)
		abort();
	close(fd);
}

/* Is every recipient of the list done, as far as its format goes? */
static bool
is_all_done(const uint8_t *list, size_t length)
{
	size_t at = 0;

	if (length == 0 || list[length - 1] != '\0')
		return false;
	for (; at < length; at += strlen((const char *)list + at) + 1)
		if (list[at] != 'D')
			return false;
	return true;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *cut = size == 0 ? NULL : memchr(data, 0xff, size);
	size_t info = cut == NULL ? size : (size_t)(cut - data);
	size_t list = cut == NULL ? 0 : size - info - 1;
	uint8_t *copy = malloc(list + 1);

	if (fuzzed.dir == NULL)
		set_up();
	if (list > 0)
		memcpy(copy, cut + 1, list);
	put(QUEUE_MESS, data, 0);
	put(QUEUE_INFO, data, info);
	put(QUEUE_LOCAL, copy, list);
	message_load_remembered(&fuzzed, ID, ROUTE_LOCAL);
	while (fuzzed.commits_running > 0)
		loop_wait(fuzzed.loop, -1);
	while (fuzzed.active != NULL)
		message_free(&fuzzed, fuzzed.active);
	/* What is not over is all there. */
	if (!is_all_done(copy, list)) {
		assert(settle_has_file(&fuzzed, QUEUE_MESS, ID) == 1);
		assert(settle_has_file(&fuzzed, QUEUE_INFO, ID) == 1);
		assert(settle_has_file(&fuzzed, QUEUE_LOCAL, ID) == 1);
	}
	/* The number is free, for the next input, when its file is gone. */
	while (settle_has_file(&fuzzed, QUEUE_INFO, ID) == 0 &&
	    settle_has_file(&fuzzed, QUEUE_MESS, ID) == 1)
		usleep(1000);
	free(copy);
	return 0;
}
