/* SPDX-License-Identifier: ISC */
/* What a queue says of itself, in shared memory. */
#include "queue/health.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/packet.h"
#include "queue/dir.h"

enum { HEALTH_VERSION = 1, READ_TRIES = 1000 };

static const char page_magic[8] = "mqhealth";

/* The file's layout, between processes of one build. */
struct health_page {
	char magic[sizeof(page_magic)];
	uint32_t version;
	uint32_t size;        /* of the page: another build's is not read */
	atomic_uint sequence; /* odd while qmail-send writes */
	_Atomic int64_t written_at; /* clock_ms() */
	struct health health;
};

struct health_map {
	struct health_page *page;
};

static struct health_map *
map_page(int fd, int protection, struct error *err, const char *path)
{
	struct health_map *map;
	void *page = mmap(
	    NULL, sizeof(struct health_page), protection, MAP_SHARED, fd, 0);

	if (page == MAP_FAILED) {
		error_sys(err, "cannot map '%s'", path);
		return NULL;
	}
	map = xmalloc(sizeof(*map));
	map->page = page;
	return map;
}

struct health_map *
health_map_open(const char *queue_dir, struct error *err)
{
	char *path = queue_lock_path(queue_dir, "health");
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct health_map *map = NULL;
	struct stat st;

	if (fd == -1) {
		error_sys(err, "cannot open '%s'", path);
		goto out;
	}
	if (fstat(fd, &st) == -1 ||
	    (size_t)st.st_size < sizeof(struct health_page)) {
		error_set(err,
		    "'%s' is damaged; it is made anew when the "
		    "queue starts",
		    path);
		errno = EINVAL;
		goto out;
	}
	map = map_page(fd, PROT_READ, err, path);
	if (map != NULL &&
	    (memcmp(map->page->magic, page_magic, sizeof(page_magic)) != 0 ||
		map->page->version != HEALTH_VERSION ||
		map->page->size != sizeof(struct health_page))) {
		error_set(err,
		    "'%s' was made by another version; restart the "
		    "queue",
		    path);
		health_map_close(&map);
		errno = EINVAL;
	}
out:
	if (fd != -1) {
		int saved_errno = errno;

		close(fd);
		errno = saved_errno;
	}
	free(path);
	return map;
}

/*
 * Writes the page once, so that the filesystem has given it a block: else the
 * first write to the mapping would be SIGBUS when the disk is full.
 */
static int
allocate_page(int fd)
{
	static const struct health_page empty;

	if (fchmod(fd, 0644) == -1 ||
	    pwrite(fd, &empty, sizeof(empty), 0) != sizeof(empty))
		return -1;
	return ftruncate(fd, sizeof(empty));
}

/* Memory instead of the file: mail goes on, and nobody hears how. */
static struct health_map *
map_unpublished(void)
{
	struct health_map *map = xmalloc(sizeof(*map));
	void *page = mmap(NULL, sizeof(struct health_page),
	    PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED)
		fatal(111, "out of memory");
	map->page = page;
	return map;
}

struct health_map *
health_map_create(const char *queue_dir, struct error *err)
{
	char *path = queue_lock_path(queue_dir, "health");
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	struct health_map *map = NULL;

	if (fd != -1 && allocate_page(fd) == 0)
		map = map_page(fd, PROT_READ | PROT_WRITE, err, path);
	else if (errno == ENOSPC || errno == EDQUOT) {
		log_line("warning: cannot make '%s': %m; the queue's health is "
			 "not shown until it is restarted",
		    path);
		map = map_unpublished();
	} else
		error_sys(err, "cannot make '%s'", path);
	if (map != NULL) {
		map->page->version = HEALTH_VERSION;
		map->page->size = sizeof(struct health_page);
		atomic_store(&map->page->sequence, 0);
		memcpy(map->page->magic, page_magic, sizeof(page_magic));
	}
	if (fd != -1)
		close(fd);
	free(path);
	return map;
}

void
health_map_close(struct health_map **map_in)
{
	struct health_map *map = *map_in;

	if (map == NULL)
		return;
	munmap(map->page, sizeof(struct health_page));
	free(map);
	*map_in = NULL;
}

void
health_map_publish(struct health_map *map, const struct health *health)
{
	struct health_page *page = map->page;

	atomic_fetch_add(&page->sequence, 1);
	atomic_thread_fence(memory_order_release);
	page->health = *health;
	atomic_store(&page->written_at, clock_ms());
	atomic_fetch_add(&page->sequence, 1);
}

void
health_map_read(const struct health_map *map, struct health *health_out,
    int64_t *age_ms_out)
{
	struct health_page *page = map->page;
	int tries;

	for (tries = 0; tries < READ_TRIES; tries++) {
		unsigned before = atomic_load(&page->sequence);

		*health_out = page->health;
		*age_ms_out = clock_ms() - atomic_load(&page->written_at);
		atomic_thread_fence(memory_order_acquire);
		if (before % 2 == 0 && atomic_load(&page->sequence) == before)
			break;
	}
	/* After so many tries the writer died inside: its age tells. */
}

int
health_read(const char *queue_dir, struct health *health_out, struct error *err)
{
	struct health_map *map = health_map_open(queue_dir, err);
	char *intake;
	int64_t age_ms;
	int fd;

	if (map == NULL)
		return errno == ENOENT ? 0 : -1;
	health_map_read(map, health_out, &age_ms);
	health_map_close(&map);
	intake = queue_lock_path(queue_dir, "intake");
	fd = packet_connect(intake, NULL);
	if (fd == -1)
		health_out->state = HEALTH_DOWN;
	else
		close(fd);
	free(intake);
	return 1;
}

const char *
health_state_name(enum health_state state)
{
	switch (state) {
	case HEALTH_DOWN:
		return "down";
	case HEALTH_STARTING:
		return "starting";
	case HEALTH_UP:
		return "up";
	case HEALTH_STOPPING:
		return "stopping";
	}
	return "unknown";
}
