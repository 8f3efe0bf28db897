/* SPDX-License-Identifier: ISC */
/* What this node serves in its cluster, and until when. */
#include "control/cluster_leases.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/lines.h"
#include "base/mem.h"
#include "base/scan.h"

enum { LEASES_MAX = 4 << 20 /* bytes of the file */ };

struct cluster_leases {
	char *path;
	char boot[CLUSTER_BOOT_SIZE];
	pthread_mutex_t lock; /* for what follows */
	bool is_read;
	struct stat st; /* of the file that was read */
	struct cluster_lease_list list;
};

int
cluster_boot_id(char boot_out[CLUSTER_BOOT_SIZE], struct error *err)
{
	static const char path[] = "/proc/sys/kernel/random/boot_id";
	AUTO(buf_release) struct buf text = BUF_INIT;
	int result = file_read(path, 100, &text, err);

	if (result == 0)
		error_set(err, "'%s' is missing", path);
	if (result != 1)
		return -1;
	snprintf(boot_out, CLUSTER_BOOT_SIZE, "%.36s", text.data);
	return strlen(boot_out) == CLUSTER_BOOT_SIZE - 1
	    ? 0
	    : error_set(err, "'%s' has no id of a boot", path);
}

/* -- the file */

static bool
take_lease_word(char **at, const char **word_out)
{
	size_t length = strcspn(*at, " ");

	*word_out = *at;
	*at += length;
	if (**at == ' ')
		*(*at)++ = '\0';
	return length > 0;
}

/* EPOCH DEADLINE */
static bool
take_lease_numbers(char **at, uint64_t *epoch_out, int64_t *deadline_ms_out)
{
	const char *epoch, *deadline;
	uint64_t deadline_ms;

	if (!take_lease_word(at, &epoch) ||
	    !scan_u64(epoch, INT64_MAX, epoch_out) ||
	    !take_lease_word(at, &deadline) ||
	    !scan_u64(deadline, INT64_MAX, &deadline_ms))
		return false;
	*deadline_ms_out = (int64_t)deadline_ms;
	return true;
}

static bool
take_node_line(struct cluster_lease_list *list, char *line)
{
	const char *word;

	return take_lease_word(&line, &word) && strcmp(word, "node") == 0 &&
	    take_lease_word(&line, &list->node) &&
	    take_lease_numbers(
		&line, &list->node_epoch, &list->node_deadline_ms) &&
	    take_lease_word(&line, &list->boot) &&
	    take_lease_word(&line, &list->instance) && *line == '\0';
}

static bool
take_store_line(struct cluster_lease_list *list, char *line)
{
	struct cluster_lease *lease;

	list->leases = mem_room(
	    list->leases, list->count, sizeof(*list->leases));
	lease = &list->leases[list->count++];
	if (!take_lease_word(&line, &lease->store) ||
	    !take_lease_numbers(&line, &lease->epoch, &lease->deadline_ms))
		return false;
	lease->path = line;
	return *line != '\0';
}

int
cluster_lease_list_parse(
    struct buf *text, struct cluster_lease_list *list_out, struct error *err)
{
	struct lines lines;
	char *line;
	int result;

	*list_out = (struct cluster_lease_list){ .text = *text };
	*text = (struct buf)BUF_INIT;
	/* One that was cut short has no newline at its end. */
	if (list_out->text.length == 0 ||
	    list_out->text.data[list_out->text.length - 1] != '\n')
		return error_set(err, "it is cut short");
	lines_open(&lines, &list_out->text);
	while ((result = lines_next(&lines, &line, err)) == 1)
		if (!(lines.number == 1 ? take_node_line(list_out, line)
					: take_store_line(list_out, line)))
			return error_set(err,
			    "line %u is none of clusterd's", lines.number);
	return result;
}

int
cluster_lease_list_read(const char *path,
    struct cluster_lease_list *list_out, struct error *err)
{
	AUTO(buf_release) struct buf text = BUF_INIT;
	int result = file_read(path, LEASES_MAX, &text, err);

	*list_out = (struct cluster_lease_list){ .count = 0 };
	if (result != 1)
		return result;
	if (cluster_lease_list_parse(&text, list_out, err) == -1)
		return error_context(err, "'%s'", path);
	return 1;
}

void
cluster_lease_list_release(struct cluster_lease_list *list)
{
	buf_release(&list->text);
	free(list->leases);
	*list = (struct cluster_lease_list){ .count = 0 };
}

/* -- by name */

struct cluster_leases *
cluster_leases_new(const char *path)
{
	struct cluster_leases *leases = xcalloc(1, sizeof(*leases));

	leases->path = xstrdup(path);
	pthread_mutex_init(&leases->lock, NULL);
	return leases;
}

void
cluster_leases_free(struct cluster_leases **leases_in)
{
	struct cluster_leases *leases = *leases_in;

	*leases_in = NULL;
	if (leases == NULL)
		return;
	cluster_lease_list_release(&leases->list);
	pthread_mutex_destroy(&leases->lock);
	free(leases->path);
	free(leases);
}

static bool
is_same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino &&
	    a->st_size == b->st_size &&
	    a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	    a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
	    a->st_ctim.tv_sec == b->st_ctim.tv_sec &&
	    a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* The file as it is now; one that is replaced meanwhile is read next time. */
static int
refresh_leases(struct cluster_leases *leases, struct error *err)
{
	struct stat st;

	if (leases->boot[0] == '\0' && cluster_boot_id(leases->boot, err) == -1)
		return -1;
	if (stat(leases->path, &st) == -1)
		return error_sys(err, "cannot look at '%s'", leases->path);
	if (leases->is_read && is_same_file(&st, &leases->st))
		return 0;
	cluster_lease_list_release(&leases->list);
	leases->st = st;
	leases->is_read =
	    cluster_lease_list_read(leases->path, &leases->list, err) == 1;
	return leases->is_read ? 0 : -1;
}

static int
find_lease(struct cluster_leases *leases, const char *store,
    const struct cluster_lease **lease_out, struct error *err)
{
	const struct cluster_lease_list *list = &leases->list;
	int64_t now_ms, left_ms;

	if (refresh_leases(leases, err) == -1)
		return -1;
	for (size_t i = 0; i < list->count; i++) {
		if (strcmp(list->leases[i].store, store) != 0)
			continue;
		*lease_out = &list->leases[i];
		now_ms = clock_boot_ms();
		left_ms = (*lease_out)->deadline_ms - now_ms;
		if (strcmp(list->boot, leases->boot) != 0 ||
		    left_ms > CLUSTER_LEASE_MS)
			return error_set(err,
			    "the lease of store '%s' is of another boot",
			    store);
		if (left_ms <= 0)
			return error_set(err,
			    "the lease of store '%s' has ended %" PRId64
			    " ms ago",
			    store, -left_ms);
		return 1;
	}
	error_set(err, "this node does not serve store '%s'", store);
	return 0;
}

int
cluster_lease_find(struct cluster_leases *leases, const char *store,
    uint64_t *epoch_out, struct buf *path_out, struct error *err)
{
	const struct cluster_lease *lease;
	int result;

	pthread_mutex_lock(&leases->lock);
	result = find_lease(leases, store, &lease, err);
	if (result == 1 && epoch_out != NULL)
		*epoch_out = lease->epoch;
	if (result == 1 && path_out != NULL)
		buf_adds(path_out, lease->path);
	pthread_mutex_unlock(&leases->lock);
	return result;
}

int
cluster_lease_check(struct cluster_leases *leases, const char *store,
    uint64_t epoch, struct error *err)
{
	uint64_t held;
	int result = cluster_lease_find(leases, store, &held, NULL, err);

	if (result == 1 && held != epoch) {
		error_set(err,
		    "store '%s' is served under epoch %" PRIu64
		    ", not %" PRIu64,
		    store, held, epoch);
		return 0;
	}
	return result;
}
