/* SPDX-License-Identifier: ISC */
/* Failed logins, counted for each address and for each name. */
#include "auth/throttle.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"

enum {
	WAYS = 8, /* entries that a key may be in */
	KNOWN_MS = 24 * 3600 * 1000
};

enum kind { OF_IP = 1, OF_NAME, OF_BOTH, OF_LOGIN };

struct entry {
	uint64_t key; /* 0: free */
	int64_t last_ms; /* failure; of OF_BOTH and OF_LOGIN: login */
	int64_t locked_until_ms;
	uint32_t failures, unused;
};
_Static_assert(sizeof(struct entry) == 32, "without holes");

struct row {
	struct entry entries[WAYS];
};

/* At the file's start; rows follow, the first at sizeof(struct row). */
struct header {
	char mark[16];
	unsigned char secret[THROTTLE_SECRET_SIZE];
};

/* Another number where entries, or how keys are made, become others. */
static const char header_mark[] = "mqmail logins 1\n";
_Static_assert(sizeof(header_mark) - 1 == sizeof(((struct header *)0)->mark),
    "the mark fills its place");

/*
 * The file is read and written, never mapped: who cuts it, or fills the disk,
 * ends nobody.  Who changes a row holds a lock of its bytes, which the kernel
 * takes from him when he is killed.  Who only looks at one does not: at worst
 * he sees an entry that is just being changed.
 */
struct throttle {
	pthread_mutex_t lock; /* for all that follows; threads share the fd */
	struct throttle_limits limits;
	int fd; /* -1: there was none, and nothing is remembered */
	bool is_shared;
	struct header header;
	size_t row_count;
};

static void
make_header(struct header *header)
{
	memcpy(header->mark, header_mark, sizeof(header->mark));
	/* So that nobody can choose who shares a row. */
	if (getrandom(header->secret, sizeof(header->secret), 0) !=
	    sizeof(header->secret))
		abort();
}

struct throttle_limits
throttle_limits_of(const struct settings *settings)
{
	return (struct throttle_limits){
		.per_name = (unsigned)settings_number(
		    settings, SETTING_loginfailures),
		.per_ip = (unsigned)settings_number(
		    settings, SETTING_loginfailuresip),
		.lock_ms = (int64_t)settings_number(
			       settings, SETTING_loginlock) *
		    1000,
		.delay_ms = (int64_t)settings_number(
		    settings, SETTING_logindelay),
	};
}

struct throttle *
throttle_new(size_t entries, const struct throttle_limits *limits)
{
	struct throttle *throttle = xcalloc(1, sizeof(*throttle));

	pthread_mutex_init(&throttle->lock, NULL);
	throttle->limits = *limits;
	make_header(&throttle->header);
	throttle->row_count = entries / WAYS + 1;
	/* Pages that are not touched take no memory. */
	throttle->fd = memfd_create("logins", MFD_CLOEXEC);
	return throttle;
}

void
throttle_free(struct throttle **throttle)
{
	if (*throttle == NULL)
		return;
	if ((*throttle)->fd != -1)
		close((*throttle)->fd);
	pthread_mutex_destroy(&(*throttle)->lock);
	explicit_bzero(&(*throttle)->header, sizeof((*throttle)->header));
	free(*throttle);
	*throttle = NULL;
}

/* Gives up in time: at worst a count is lost. */
static void
lock_bytes(const struct throttle *throttle, off_t start, off_t length)
{
	struct flock lock = { .l_type = F_WRLCK,
		.l_whence = SEEK_SET,
		.l_start = start,
		.l_len = length };

	if (!throttle->is_shared)
		return;
	for (int i = 0; i < THROTTLE_LOCK_WAIT_MS &&
	     fcntl(throttle->fd, F_OFD_SETLK, &lock) == -1;
	     i++)
		clock_sleep_ms(1);
}

static void
unlock_bytes(const struct throttle *throttle, off_t start, off_t length)
{
	struct flock lock = { .l_type = F_UNLCK,
		.l_whence = SEEK_SET,
		.l_start = start,
		.l_len = length };

	if (throttle->is_shared)
		fcntl(throttle->fd, F_OFD_SETLK, &lock);
}

static bool
read_header(struct throttle *throttle)
{
	struct header header;

	if (pread(throttle->fd, &header, sizeof(header), 0) != sizeof(header) ||
	    memcmp(header.mark, header_mark, sizeof(header.mark)) != 0)
		return false;
	throttle->header = header;
	return true;
}

/* The secret of the others; in a new or emptied file they get ours. */
static void
agree_on_header(struct throttle *throttle)
{
	off_t all = (off_t)((throttle->row_count + 1) * sizeof(struct row));

	if (!throttle->is_shared || read_header(throttle))
		return;
	lock_bytes(throttle, 0, sizeof(struct row));
	if (!read_header(throttle)) {
		/* So that a full disk loses nothing, where that helps. */
		if (fallocate(throttle->fd, 0, 0, all) == -1 ||
		    pwrite(throttle->fd, &throttle->header,
			sizeof(throttle->header), 0) == -1) {
			/* Rows can still be tried. */
		}
	}
	unlock_bytes(throttle, 0, sizeof(struct row));
}

int
throttle_share(struct throttle *throttle, const char *path, struct error *err)
{
	int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);

	if (fd == -1)
		return error_sys(err, "cannot open '%s'", path);
	if (throttle->fd != -1)
		close(throttle->fd);
	throttle->fd = fd;
	throttle->is_shared = true;
	agree_on_header(throttle);
	return 0;
}

void
throttle_set_limits(
    struct throttle *throttle, const struct throttle_limits *limits)
{
	pthread_mutex_lock(&throttle->lock);
	throttle->limits = *limits;
	pthread_mutex_unlock(&throttle->lock);
}

void
throttle_secret(
    struct throttle *throttle, unsigned char secret_out[THROTTLE_SECRET_SIZE])
{
	pthread_mutex_lock(&throttle->lock);
	agree_on_header(throttle);
	memcpy(secret_out, throttle->header.secret, THROTTLE_SECRET_SIZE);
	pthread_mutex_unlock(&throttle->lock);
}

/* Steps of FNV-1a with the finish of MurmurHash3, from a secret start. */
static uint64_t
mix(uint64_t hash, const void *data, size_t length)
{
	const unsigned char *bytes = data;

	for (size_t i = 0; i < length; i++)
		hash = (hash ^ bytes[i]) * 0x100000001b3;
	hash ^= hash >> 33;
	hash *= 0xff51afd7ed558ccd;
	hash ^= hash >> 33;
	hash *= 0xc4ceb9fe1a85ec53;
	return hash ^ hash >> 33;
}

/* An IPv4 address, the /64 of an IPv6 address; a text that is neither. */
static uint64_t
mix_ip(uint64_t hash, const char *ip)
{
	unsigned char bytes[16];

	if (inet_pton(AF_INET, ip, bytes) == 1)
		return mix(hash, bytes, 4);
	if (inet_pton(AF_INET6, ip, bytes) == 1)
		return mix(hash, bytes, 8);
	return mix(hash, ip, strlen(ip));
}

static uint64_t
key_of(const struct throttle *throttle, enum kind kind, const char *ip,
    const char *name)
{
	unsigned char byte = (unsigned char)kind;
	uint64_t hash;

	memcpy(&hash, throttle->header.secret, sizeof(hash));
	hash = mix(hash, &byte, 1);
	if (ip != NULL && kind != OF_LOGIN)
		hash = mix_ip(hash, ip);
	if (kind == OF_LOGIN) /* ip is the service */
		hash = mix(hash, ip, strlen(ip) + 1);
	if (name != NULL)
		hash = mix(hash, name, strlen(name));
	return hash == 0 ? 1 : hash;
}

static off_t
row_offset(const struct throttle *throttle, uint64_t key)
{
	return (off_t)((key % throttle->row_count + 1) * sizeof(struct row));
}

static bool
is_time(int64_t ms)
{
	return ms >= 0 && ms < INT64_MAX / 2;
}

/* What is not there is free, and so is what is damaged. */
static void
read_row(const struct throttle *throttle, uint64_t key, struct row *row_out)
{
	*row_out = (struct row){ .entries = { { .key = 0 } } };
	if (pread(throttle->fd, row_out, sizeof(*row_out),
		row_offset(throttle, key)) == -1)
		*row_out = (struct row){ .entries = { { .key = 0 } } };
	for (unsigned i = 0; i < WAYS; i++) {
		struct entry *entry = &row_out->entries[i];

		if (!is_time(entry->last_ms) ||
		    !is_time(entry->locked_until_ms))
			*entry = (struct entry){ .key = 0 };
	}
}

/* To be changed; write_row() must follow. */
static void
begin_row(const struct throttle *throttle, uint64_t key, struct row *row_out)
{
	lock_bytes(throttle, row_offset(throttle, key), sizeof(*row_out));
	read_row(throttle, key, row_out);
}

static void
write_row(const struct throttle *throttle, uint64_t key, const struct row *row)
{
	off_t offset = row_offset(throttle, key);

	if (pwrite(throttle->fd, row, sizeof(*row), offset) == -1) {
		/* It is forgotten. */
	}
	unlock_bytes(throttle, offset, sizeof(*row));
}

static struct entry *
find_entry(struct row *row, uint64_t key)
{
	for (unsigned i = 0; i < WAYS; i++)
		if (row->entries[i].key == key)
			return &row->entries[i];
	return NULL;
}

static bool
is_locked(
    const struct throttle *throttle, const struct entry *entry, int64_t now_ms)
{
	return entry->locked_until_ms > now_ms &&
	    entry->locked_until_ms - now_ms <= throttle->limits.lock_ms;
}

/* The entry of the key, in place of the least of its row if it is new. */
static struct entry *
take_entry(const struct throttle *throttle, struct row *row, uint64_t key,
    int64_t now_ms)
{
	struct entry *entries = row->entries;
	struct entry *found = find_entry(row, key);

	if (found != NULL)
		return found;
	found = &entries[0];
	for (unsigned i = 1; i < WAYS; i++) {
		bool is_one = is_locked(throttle, &entries[i], now_ms);
		bool is_other = is_locked(throttle, found, now_ms);

		if (found->key == 0)
			break;
		if (entries[i].key == 0 || is_one < is_other ||
		    (is_one == is_other &&
			(entries[i].failures < found->failures ||
			    (entries[i].failures == found->failures &&
				entries[i].last_ms < found->last_ms))))
			found = &entries[i];
	}
	*found = (struct entry){ .key = key, .last_ms = now_ms };
	return found;
}

static int64_t
locked_ms(const struct throttle *throttle, uint64_t key, int64_t now_ms)
{
	const struct entry *entry;
	struct row row;

	read_row(throttle, key, &row);
	entry = find_entry(&row, key);
	return entry != NULL && is_locked(throttle, entry, now_ms)
	    ? entry->locked_until_ms - now_ms
	    : 0;
}

static bool
is_known_pair(const struct throttle *throttle, const char *ip, const char *name,
    int64_t now_ms)
{
	uint64_t key = key_of(throttle, OF_BOTH, ip, name);
	const struct entry *entry;
	struct row row;

	read_row(throttle, key, &row);
	entry = find_entry(&row, key);
	return entry != NULL && now_ms - entry->last_ms < KNOWN_MS;
}

int64_t
throttle_locked_ms(
    struct throttle *throttle, const char *ip, const char *name, int64_t now_ms)
{
	int64_t of_ip = 0, of_name;

	pthread_mutex_lock(&throttle->lock);
	agree_on_header(throttle);
	if (ip != NULL)
		of_ip = locked_ms(
		    throttle, key_of(throttle, OF_IP, ip, NULL), now_ms);
	of_name = locked_ms(
	    throttle, key_of(throttle, OF_NAME, NULL, name), now_ms);
	if (of_name > 0 && ip != NULL &&
	    is_known_pair(throttle, ip, name, now_ms))
		of_name = 0;
	pthread_mutex_unlock(&throttle->lock);
	return of_ip > of_name ? of_ip : of_name;
}

/* How often it has failed now. */
static unsigned
count_failure(const struct throttle *throttle, uint64_t key, unsigned limit,
    int64_t now_ms)
{
	int64_t lock_ms = throttle->limits.lock_ms;
	struct entry *entry;
	unsigned failures;
	struct row row;

	begin_row(throttle, key, &row);
	entry = take_entry(throttle, &row, key, now_ms);
	if (now_ms - entry->last_ms > lock_ms ||
	    entry->last_ms - now_ms > lock_ms)
		entry->failures = 0;
	entry->failures++;
	entry->last_ms = now_ms;
	if (limit > 0 && entry->failures >= limit) {
		entry->locked_until_ms = now_ms + lock_ms;
		entry->failures = limit;
	}
	failures = entry->failures;
	write_row(throttle, key, &row);
	return failures;
}

int64_t
throttle_fail(
    struct throttle *throttle, const char *ip, const char *name, int64_t now_ms)
{
	unsigned failures = 0, of_name;
	int64_t delay_ms;

	pthread_mutex_lock(&throttle->lock);
	agree_on_header(throttle);
	if (ip != NULL)
		failures = count_failure(throttle,
		    key_of(throttle, OF_IP, ip, NULL), throttle->limits.per_ip,
		    now_ms);
	of_name = count_failure(throttle, key_of(throttle, OF_NAME, NULL, name),
	    throttle->limits.per_name, now_ms);
	if (of_name > failures)
		failures = of_name;
	if (failures > THROTTLE_DELAYS_MAX)
		failures = THROTTLE_DELAYS_MAX;
	delay_ms = throttle->limits.delay_ms * failures;
	pthread_mutex_unlock(&throttle->lock);
	return delay_ms;
}

void
throttle_pass(
    struct throttle *throttle, const char *ip, const char *name, int64_t now_ms)
{
	uint64_t of_name, of_both;
	struct entry *entry;
	struct row row;

	pthread_mutex_lock(&throttle->lock);
	agree_on_header(throttle);
	of_name = key_of(throttle, OF_NAME, NULL, name);
	begin_row(throttle, of_name, &row);
	entry = find_entry(&row, of_name);
	if (entry != NULL)
		entry->failures = 0;
	write_row(throttle, of_name, &row);
	if (ip != NULL) {
		of_both = key_of(throttle, OF_BOTH, ip, name);
		begin_row(throttle, of_both, &row);
		take_entry(throttle, &row, of_both, now_ms)->last_ms = now_ms;
		write_row(throttle, of_both, &row);
	}
	pthread_mutex_unlock(&throttle->lock);
}

int64_t
throttle_interval_ms(struct throttle *throttle, const char *service,
    const char *name, int64_t interval_ms, int64_t now_ms)
{
	const struct entry *entry;
	int64_t left_ms = 0;
	struct row row;
	uint64_t key;

	if (interval_ms <= 0)
		return 0;
	pthread_mutex_lock(&throttle->lock);
	agree_on_header(throttle);
	key = key_of(throttle, OF_LOGIN, service, name);
	begin_row(throttle, key, &row);
	entry = find_entry(&row, key);
	if (entry != NULL && now_ms - entry->last_ms < interval_ms &&
	    entry->last_ms - now_ms <= interval_ms)
		left_ms = interval_ms - (now_ms - entry->last_ms);
	else
		take_entry(throttle, &row, key, now_ms)->last_ms = now_ms;
	write_row(throttle, key, &row);
	pthread_mutex_unlock(&throttle->lock);
	return left_ms < interval_ms ? left_ms : interval_ms;
}
