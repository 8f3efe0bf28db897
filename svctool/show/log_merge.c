/* SPDX-License-Identifier: ISC */
/* The lines of several services' logs, in the order of their times. */
#include "svctool/show/log_merge.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/queue.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "svctool/show/log_time.h"

enum {
	EVENTS_BYTES = 4096,
	/* multilog writes to current, and renames it. */
	FILE_EVENTS = IN_MODIFY | IN_CREATE | IN_MOVE,
	FOLDER_EVENTS = IN_CREATE | IN_MOVED_TO
};

struct source {
	TAILQ_ENTRY(source) link;
	char *name;
	struct log_reader *reader; /* NULL: it could not be read */
	bool is_idle;              /* it had no line when it was asked */
	bool has_entry;
	struct log_entry entry;
};

struct log_merge {
	char *folder;
	struct timespec since;
	bool has_names, is_following;
	int inotify;          /* -1: not followed */
	struct source *given; /* whose line was given last */
	TAILQ_HEAD(, source) sources;
};

static bool
has_source(const struct log_merge *merge, const char *name)
{
	const struct source *source;

	TAILQ_FOREACH(source, &merge->sources, link)
		if (strcmp(source->name, name) == 0)
			return true;
	return false;
}

/* The watch comes first, so that nothing is missed between both. */
static int
add_source(struct log_merge *merge, const char *name, struct error *err)
{
	char *path = xasprintf("%s/%s", merge->folder, name);
	struct source *source;
	struct stat st;
	int result = 0;

	if (stat(path, &st) == -1 || !S_ISDIR(st.st_mode)) {
		if (merge->has_names)
			result = error_set(err,
			    "there is no log '%s': see the names in '%s'", name,
			    merge->folder);
	} else if (merge->inotify != -1 &&
	    inotify_add_watch(merge->inotify, path, FILE_EVENTS) == -1)
		result = error_sys(err, "cannot watch '%s'", path);
	else {
		source = xcalloc(1, sizeof(*source));
		source->name = xstrdup(name);
		source->reader = log_reader_new(
		    path, &merge->since, merge->is_following);
		TAILQ_INSERT_TAIL(&merge->sources, source, link);
	}
	free(path);
	return result;
}

/* All that are not there yet. */
static int
add_all(struct log_merge *merge, struct error *err)
{
	DIR *stream = opendir(merge->folder);
	const struct dirent *entry;
	int result = 0;

	if (stream == NULL)
		return error_sys(err, "cannot list '%s'", merge->folder);
	while (result == 0 && (entry = readdir(stream)) != NULL)
		if (entry->d_name[0] != '.' &&
		    !has_source(merge, entry->d_name))
			result = add_source(merge, entry->d_name, err);
	closedir(stream);
	return result;
}

static int
start_watch(struct log_merge *merge, struct error *err)
{
	merge->inotify = inotify_init1(IN_CLOEXEC);
	if (merge->inotify == -1 ||
	    (!merge->has_names &&
		inotify_add_watch(
		    merge->inotify, merge->folder, FOLDER_EVENTS) == -1))
		return error_sys(err, "cannot watch '%s'", merge->folder);
	return 0;
}

struct log_merge *
log_merge_new(const char *folder, const struct strlist *names,
    const struct timespec *since, bool is_following, struct error *err)
{
	struct log_merge *merge = xcalloc(1, sizeof(*merge));
	int result = 0;

	TAILQ_INIT(&merge->sources);
	merge->folder = xstrdup(folder);
	merge->since = *since;
	merge->has_names = names->count > 0;
	merge->is_following = is_following;
	merge->inotify = -1;
	if (is_following)
		result = start_watch(merge, err);
	for (size_t i = 0; result == 0 && i < names->count; i++)
		if (!has_source(merge, names->items[i]))
			result = add_source(merge, names->items[i], err);
	if (result == 0 && !merge->has_names)
		result = add_all(merge, err);
	if (result == -1)
		log_merge_free(&merge);
	return merge;
}

void
log_merge_free(struct log_merge **merge_in)
{
	struct log_merge *merge = *merge_in;
	struct source *source;

	if (merge == NULL)
		return;
	while ((source = TAILQ_FIRST(&merge->sources)) != NULL) {
		TAILQ_REMOVE(&merge->sources, source, link);
		log_reader_free(&source->reader);
		free(source->name);
		free(source);
	}
	if (merge->inotify != -1)
		close(merge->inotify);
	free(merge->folder);
	free(merge);
	*merge_in = NULL;
}

/* Its next line, if it is not there.  0 or -1. */
static int
fill_source(struct source *source, struct error *err)
{
	int result;

	if (source->has_entry || source->is_idle || source->reader == NULL)
		return 0;
	result = log_reader_next(source->reader, &source->entry, err);
	source->has_entry = result == 1;
	source->is_idle = result == 0;
	if (result == -1)
		log_reader_free(&source->reader);
	return result == -1 ? -1 : 0;
}

int
log_merge_next(struct log_merge *merge, const char **service_out,
    struct log_entry *entry_out, struct error *err)
{
	struct source *source, *first = NULL;

	if (merge->given != NULL)
		merge->given->has_entry = false;
	merge->given = NULL;
	TAILQ_FOREACH(source, &merge->sources, link) {
		if (fill_source(source, err) == -1)
			return -1;
		if (source->has_entry &&
		    (first == NULL ||
			log_time_is_before(
			    &source->entry.when, &first->entry.when)))
			first = source;
	}
	if (first == NULL)
		return 0;
	merge->given = first;
	*service_out = first->name;
	*entry_out = first->entry;
	return 1;
}

int
log_merge_wait(struct log_merge *merge, struct error *err)
{
	char events[EVENTS_BYTES]
	    __attribute__((aligned(__alignof__(struct inotify_event))));
	struct source *source;

	/* Which they are does not matter: all idle ones are asked again. */
	if (read(merge->inotify, events, sizeof(events)) == -1 &&
	    errno != EINTR)
		return error_sys(err, "cannot watch '%s'", merge->folder);
	TAILQ_FOREACH(source, &merge->sources, link)
		source->is_idle = false;
	return merge->has_names ? 0 : add_all(merge, err);
}
