/* SPDX-License-Identifier: ISC */
/* What a queue says of itself, in a file that is written over. */
#include "queue/health.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/packet.h"
#include "control/layout.h"
#include "queue/dir.h"

enum { HEALTH_VERSION = 2, READ_TRIES = 100 };

static const char page_magic[8] = "mqhealth";

/* The file's content, between processes of one build. */
struct health_page {
	char magic[sizeof(page_magic)];
	uint32_t version;
	uint32_t size;      /* of the page: another build's is not read */
	uint32_t sequence;  /* another one with each writing */
	int64_t written_at; /* clock_ms() */
	struct health health;
	uint32_t sequence_again;
};

struct health_file {
	char *path;
	int fd; /* -1 as long as it could not be made */
	uint32_t sequence;
	bool has_failed; /* the log says so */
};

/*
 * Copies the page.  The file is read and not mapped, since it may be cut short
 * at any time, and that must not end who looks.  -1 when it is not whole.
 */
static int
copy_page(int fd, struct health_page *page_out)
{
	for (int tries = 0; tries < READ_TRIES; tries++) {
		if (pread(fd, page_out, sizeof(*page_out), 0) !=
		    sizeof(*page_out))
			return -1;
		if (page_out->sequence == page_out->sequence_again)
			return 0;
	}
	return -1;
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
	    is_bool(&health->is_held_remote) &&
	    is_bool(&health->is_journal_full) && health->pid >= 0 &&
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

/* 1, 0 or -1 as health_look(). */
static int
read_page(const char *path, struct health_page *page_out, struct error *err)
{
	AUTO(file_close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	int result;

	if (fd == -1 && errno == ENOENT)
		return 0;
	if (fd == -1)
		return error_sys(err, "cannot open '%s'", path);
	result = copy_page(fd, page_out) == -1
	    ? error_set(err,
		  "'%s' is damaged; it is made anew when the queue starts",
		  path)
	    : check_page(page_out, path, err);
	return result == -1 ? -1 : 1;
}

void
health_file_close(struct health_file **file_in)
{
	struct health_file *file = *file_in;

	if (file == NULL)
		return;
	file_close(&file->fd);
	free(file->path);
	free(file);
	*file_in = NULL;
}

/* An older file has its own mode and length.  0, or -1 with errno. */
static int
make_file(struct health_file *file)
{
	const off_t size = sizeof(struct health_page);
	const mode_t mode = layout_rows[LAYOUT_queue_health].mode;

	file->fd = open(
	    file->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, mode);
	if (file->fd == -1)
		return -1;
	if (fchmod(file->fd, mode) == 0 && ftruncate(file->fd, size) == 0)
		return 0;
	file_close(&file->fd);
	return -1;
}

static int
write_page(struct health_file *file, const struct health *health)
{
	struct health_page page;
	ssize_t n;

	if (file->fd == -1 && make_file(file) == -1)
		return -1;
	memset(&page, 0, sizeof(page));
	memcpy(page.magic, page_magic, sizeof(page_magic));
	page.version = HEALTH_VERSION;
	page.size = sizeof(page);
	page.sequence = page.sequence_again = ++file->sequence;
	page.written_at = clock_ms();
	page.health = *health;
	n = pwrite(file->fd, &page, sizeof(page), 0);
	if (n != -1 && n != sizeof(page))
		errno = ENOSPC;
	return n == sizeof(page) ? 0 : -1;
}

void
health_file_publish(struct health_file *file, const struct health *health)
{
	bool has_failed = write_page(file, health) == -1;

	if (has_failed && !file->has_failed)
		log_line("warning: cannot write '%s': %m; the queue's health "
			 "is not shown until that works again",
		    file->path);
	file->has_failed = has_failed;
}

/* What goes by, so that mail must not wait for it. */
static bool
is_passing(int error)
{
	return error == ENOSPC || error == EDQUOT || error == EIO;
}

struct health_file *
health_file_create(const char *queue_dir, struct error *err)
{
	static const struct health none = { .state = HEALTH_DOWN };
	struct health_file *file = xcalloc(1, sizeof(*file));

	file->path = queue_lock_path(queue_dir, "health");
	file->fd = -1;
	if (make_file(file) == -1 && !is_passing(errno)) {
		error_sys(err, "cannot make '%s'", file->path);
		health_file_close(&file);
		return NULL;
	}
	/* Another sequence than that of what is there. */
	file->sequence = (uint32_t)clock_ms();
	health_file_publish(file, &none);
	return file;
}

/* From now; the clock is monotonic: a later time is of another boot. */
static int64_t
age_of(const struct health_page *page)
{
	int64_t now = clock_ms();

	return page->written_at < 0 || page->written_at > now
	    ? INT64_MAX
	    : now - page->written_at;
}

int
health_look(const char *queue_dir, struct health *health_out,
    int64_t *age_ms_out, struct error *err)
{
	AUTO(mem_free) char *path = queue_lock_path(queue_dir, "health");
	struct health_page page;
	int result = read_page(path, &page, err);
	*health_out = result == 1 ? page.health
				  : (struct health){ .state = HEALTH_DOWN };
	*age_ms_out = result == 1 ? age_of(&page) : INT64_MAX;
	return result;
}

int
health_read_age(const char *queue_dir, struct health *health_out,
    int64_t *age_ms_out, struct error *err)
{
	AUTO(mem_free) char *intake = queue_lock_path(queue_dir, "intake");
	int result = health_look(queue_dir, health_out, age_ms_out, err);

	/* One that stops takes nothing any more, but is at work. */
	if (result == 1 && health_out->state != HEALTH_STOPPING &&
	    !packet_is_served(intake))
		health_out->state = HEALTH_DOWN;
	return result;
}

int
health_read(const char *queue_dir, struct health *health_out, struct error *err)
{
	int64_t age_ms;

	return health_read_age(queue_dir, health_out, &age_ms, err);
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
