/* SPDX-License-Identifier: ISC */
/* What a queue says of itself, in shared memory. */
#include "queue/health.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stddef.h>
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

enum { HEALTH_VERSION = 1, READ_TRIES = 100 };

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

/* The writer's has the page mapped, a reader's the file open. */
struct health_map {
	struct health_page *page;
	int fd;
};

static struct health_map *
new_map(struct health_page *page, int fd)
{
	struct health_map *map = xmalloc(sizeof(*map));

	*map = (struct health_map){ .page = page, .fd = fd };
	return map;
}

/*
 * Copies the page; a whole one unless the writer died in the middle: then its
 * age tells.  The file is read and not mapped, since it may be cut short at any
 * time, and that must not end who looks.  -1 when it is short.
 */
static int
copy_page(int fd, struct health_page *page_out)
{
	const off_t at = offsetof(struct health_page, sequence);
	int tries;

	for (tries = 0; tries < READ_TRIES; tries++) {
		unsigned before, after;

		if (pread(fd, &before, sizeof(before), at) != sizeof(before) ||
		    pread(fd, page_out, sizeof(*page_out), 0) !=
			sizeof(*page_out) ||
		    pread(fd, &after, sizeof(after), at) != sizeof(after))
			return -1;
		if (before % 2 == 0 && before == after)
			break;
	}
	return 0;
}

/* May a bool be read there? */
static bool
is_bool(const bool *at)
{
	unsigned char byte;

	memcpy(&byte, at, 1);
	return byte <= 1;
}

/* The process that wrote it may be broken, or another one. */
static bool
is_sound(const struct health *health)
{
	return (unsigned)health->state <= HEALTH_STOPPING &&
	    is_bool(&health->is_held_local) &&
	    is_bool(&health->is_held_remote) && health->pid >= 0 &&
	    health->started_at >= 0;
}

static int
check_page(const struct health_page *page, const char *path, struct error *err)
{
	if (memcmp(page->magic, page_magic, sizeof(page_magic)) != 0 ||
	    page->version != HEALTH_VERSION ||
	    page->size != sizeof(struct health_page))
		return error_set(err,
		    "'%s' was made by another version; restart the queue",
		    path);
	if (!is_sound(&page->health))
		return error_set(err,
		    "'%s' is damaged; it is made anew when the queue starts",
		    path);
	return 0;
}

struct health_map *
health_map_open(const char *queue_dir, struct error *err)
{
	char *path = queue_lock_path(queue_dir, "health");
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct health_map *map = NULL;
	struct health_page page;

	if (fd == -1) {
		error_sys(err, "cannot open '%s'", path);
	} else if (copy_page(fd, &page) == -1) {
		error_set(err,
		    "'%s' is damaged; it is made anew when the queue starts",
		    path);
		errno = EINVAL;
	} else if (check_page(&page, path, err) == -1)
		errno = EINVAL;
	else
		map = new_map(NULL, fd);
	if (fd != -1 && map == NULL) {
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

static struct health_page *
map_page(int fd, int flags)
{
	void *page = mmap(NULL, sizeof(struct health_page),
	    PROT_READ | PROT_WRITE, flags, fd, 0);

	return page == MAP_FAILED ? NULL : page;
}

struct health_map *
health_map_create(const char *queue_dir, struct error *err)
{
	char *path = queue_lock_path(queue_dir, "health");
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	struct health_page *page = NULL;

	if (fd != -1 && allocate_page(fd) == 0)
		page = map_page(fd, MAP_SHARED);
	else if (errno == ENOSPC || errno == EDQUOT) {
		log_line("warning: cannot make '%s': %m; the queue's health is "
			 "not shown until it is restarted",
		    path);
		/* Memory instead: mail goes on, and nobody hears how. */
		page = map_page(-1, MAP_PRIVATE | MAP_ANONYMOUS);
	}
	if (page == NULL)
		error_sys(err, "cannot make '%s'", path);
	else {
		page->version = HEALTH_VERSION;
		page->size = sizeof(struct health_page);
		atomic_store(&page->sequence, 0);
		memcpy(page->magic, page_magic, sizeof(page_magic));
	}
	if (fd != -1)
		close(fd);
	free(path);
	return page == NULL ? NULL : new_map(page, -1);
}

void
health_map_close(struct health_map **map_in)
{
	struct health_map *map = *map_in;

	if (map == NULL)
		return;
	if (map->page != NULL)
		munmap(map->page, sizeof(struct health_page));
	if (map->fd != -1)
		close(map->fd);
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

/* From now; the clock is monotonic: a later time is of another boot. */
static int64_t
age_of(const struct health_page *page)
{
	int64_t written_at, now = clock_ms();

	memcpy(&written_at,
	    (const char *)page + offsetof(struct health_page, written_at),
	    sizeof(written_at));
	return written_at < 0 || written_at > now ? INT64_MAX
						  : now - written_at;
}

void
health_map_read(const struct health_map *map, struct health *health_out,
    int64_t *age_ms_out)
{
	struct health_page page;

	if (copy_page(map->fd, &page) == 0 &&
	    check_page(&page, "", NULL) == 0) {
		*health_out = page.health;
		*age_ms_out = age_of(&page);
	} else {
		*health_out = (struct health){ .state = HEALTH_DOWN };
		*age_ms_out = INT64_MAX;
	}
}

int
health_read(const char *queue_dir, struct health *health_out, struct error *err)
{
	int64_t age_ms;

	return health_read_age(queue_dir, health_out, &age_ms, err);
}

int
health_read_age(const char *queue_dir, struct health *health_out,
    int64_t *age_ms_out, struct error *err)
{
	struct health_map *map = health_map_open(queue_dir, err);
	char *intake;

	if (map == NULL)
		return errno == ENOENT ? 0 : -1;
	health_map_read(map, health_out, age_ms_out);
	health_map_close(&map);
	intake = queue_lock_path(queue_dir, "intake");
	if (!packet_is_served(intake))
		health_out->state = HEALTH_DOWN;
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
