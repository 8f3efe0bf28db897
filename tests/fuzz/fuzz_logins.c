/* SPDX-License-Identifier: ISC */
/*
 * The file of failed logins, with anything in it: the first bytes are an
 * address and a name, the rest is the file.  Answers are in their bounds.
 */
#include <assert.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "auth/throttle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ENTRIES = 1, HEAD = 8, ROW = 256, LOCK_MS = 1000, NOW_MS = 100000 };

/* A header whose secret is all zeros, and rows. */
static void
fill_file(int fd, const uint8_t *data, size_t size)
{
	static const char mark[] = "mqmail logins 1\n";
	char header[ROW] = "";

	memcpy(header, mark, sizeof(mark) - 1);
	/* As it is, when the first byte says so. */
	if (size == 0 || (data[0] & 1) == 0)
		assert(write(fd, header, sizeof(header)) == sizeof(header));
	assert(write(fd, data, size) == (ssize_t)size);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct throttle_limits limits = {
		.per_ip = 3, .per_name = 2, .lock_ms = LOCK_MS, .delay_ms = 10
	};
	struct throttle *throttle;
	char path[64], ip[HEAD / 2 + 1] = "", name[HEAD / 2 + 1] = "";
	struct error err;
	int64_t ms;
	int fd;

	if (size < HEAD)
		return 0;
	memcpy(ip, data, HEAD / 2);
	memcpy(name, data + HEAD / 2, HEAD / 2);
	snprintf(path, sizeof(path), "/dev/shm/fuzz_logins.%d", (int)getpid());
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert(fd != -1);
	fill_file(fd, data + HEAD, size - HEAD);
	throttle = throttle_new(ENTRIES, &limits);
	if (throttle_share(throttle, path, &err) == -1)
		abort();
	unlink(path);
	ms = throttle_locked_ms(throttle, ip, name, NOW_MS);
	assert(ms >= 0 && ms <= LOCK_MS);
	ms = throttle_interval_ms(throttle, ip, name, 500, NOW_MS);
	assert(ms >= 0 && ms <= 500);
	throttle_pass(throttle, ip, name, NOW_MS);
	for (int i = 0; i < 3; i++) {
		ms = throttle_fail(throttle, ip, name, NOW_MS);
		assert(ms >= 10 && ms <= 40);
	}
	ms = throttle_locked_ms(throttle, ip, "another", NOW_MS);
	assert(ms >= 0 && ms <= LOCK_MS);
	throttle_free(&throttle);
	close(fd);
	return 0;
}
