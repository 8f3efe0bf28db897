/* SPDX-License-Identifier: ISC */
/*
 * lock/health as another process left it, or changes it while it is open: what
 * is read is in range, and whoever chooses a queue by it goes on.
 */
#include <assert.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "queue/health.h"
#include "queue/mux.h"
#include "tests/fuzz/scratch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char queue[64], file[96];

/* A file as qmail-send makes it, for inputs that are put over it. */
static void
make_file(void)
{
	const struct health health = { .state = HEALTH_UP, .pid = 1 };
	struct health_file *writer = health_file_create(queue, NULL);

	assert(writer != NULL);
	health_file_publish(writer, &health);
	health_file_close(&writer);
}

/*
 * The first byte says where the rest goes: over a good file from there on, or
 * with 255 instead of it.
 */
static void
write_file(const uint8_t *data, size_t size)
{
	bool is_all = size > 0 && data[0] == 255;
	int fd;

	if (!is_all)
		make_file();
	fd = open(file, O_WRONLY | O_CLOEXEC | (is_all ? O_TRUNC : 0));
	assert(fd != -1);
	if (size > 1 &&
	    pwrite(fd, data + 1, size - 1, is_all ? 0 : data[0]) == -1)
		abort();
	close(fd);
}

static void
check(const struct health *health)
{
	unsigned char flags[3];

	memcpy(&flags[0], &health->is_held_local, 1);
	memcpy(&flags[1], &health->is_held_remote, 1);
	memcpy(&flags[2], &health->is_journal_full, 1);
	assert((unsigned)health->state <= HEALTH_STOPPING);
	assert(flags[0] <= 1 && flags[1] <= 1 && flags[2] <= 1);
	assert(strcmp(health_state_name(health->state), "unknown") != 0);
	assert(health->pid >= 0 && health->started_at >= 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *paths[MUX_QUEUES_MAX];
	struct mux_collection queues = { .start = 1, .count = 1 };
	size_t half = size / 2;
	struct health health;
	struct error err;
	struct mux *mux;
	int64_t age_ms;

	if (queue[0] == '\0') {
		snprintf(queue, sizeof(queue), "%s/queue1", scratch_dir());
		snprintf(file, sizeof(file), "%s/lock", queue);
		assert(file_make_dirs(file, 0700, NULL) == 0);
		snprintf(file, sizeof(file), "%s/lock/health", queue);
	}
	make_file();
	write_file(data, half);
	if (health_read(queue, &health, &err) == 1) {
		check(&health);
		/* Nobody answers, as of one that stops, too. */
		assert(health.state == HEALTH_DOWN ||
		    health.state == HEALTH_STOPPING);
	}
	queues.base = scratch_dir();
	mux = mux_new(&queues, 1, 0, &err);
	assert(mux_choose(mux, 1, paths) == 1);
	mux_free(&mux);
	make_file();
	write_file(data + half, size - half);
	health_look(queue, &health, &age_ms, NULL);
	check(&health);
	assert(age_ms >= 0);
	return 0;
}
