/* SPDX-License-Identifier: ISC */
/*
 * Hosts that do not answer.
 *
 * The file is SETS sets of SET_SIZE records; an address belongs to one set, in
 * which the record whose failure is longest ago makes room.  Records are of one
 * host: its own byte order.  It is read and written, never mapped: whoever cuts
 * it ends nobody.
 */
#include "remote/tcpto.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/mem.h"

enum { SETS = 1024, SET_SIZE = 8 };

struct record {
	unsigned char bytes[16];
	uint16_t family, port; /* family 0: free */
	uint32_t failures;
	int64_t failed_at_s;
};
_Static_assert(sizeof(struct record) == 32, "without holes");

struct tcpto {
	int fd;
	/* Threads share the descriptor, and so its flock. */
	pthread_mutex_t lock;
};

int
tcpto_open(const char *path, bool is_to_change, struct tcpto **tcpto_out,
    struct error *err)
{
	int fd = open(
	    path, (is_to_change ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOFOLLOW);

	*tcpto_out = NULL;
	if (fd == -1 && errno == ENOENT)
		return 0;
	if (fd == -1)
		return error_sys(err, "cannot open '%s'", path);
	*tcpto_out = xcalloc(1, sizeof(**tcpto_out));
	(*tcpto_out)->fd = fd;
	pthread_mutex_init(&(*tcpto_out)->lock, NULL);
	return 1;
}

void
tcpto_free(struct tcpto **tcpto)
{
	if (*tcpto == NULL)
		return;
	close((*tcpto)->fd);
	pthread_mutex_destroy(&(*tcpto)->lock);
	free(*tcpto);
	*tcpto = NULL;
}

struct tcpto_limits
tcpto_limits(const struct settings *settings, const struct smtproute *route)
{
	return (struct tcpto_limits){
		route->penalty != SMTPROUTE_UNSAID
		    ? (unsigned)route->penalty
		    : (unsigned)settings_number(settings, SETTING_tcptopenalty),
		route->tolerance_s != SMTPROUTE_UNSAID
		    ? (unsigned)route->tolerance_s
		    : (unsigned)settings_number(
			  settings, SETTING_tcptotolerance),
		(unsigned)settings_number(settings, SETTING_tcptowait),
	};
}

static struct record
make_record(const struct sockaddr *address)
{
	struct record record = { .family = address->sa_family };
	struct sockaddr_in ip4;
	struct sockaddr_in6 ip6;

	if (address->sa_family == AF_INET) {
		memcpy(&ip4, address, sizeof(ip4));
		memcpy(record.bytes, &ip4.sin_addr, sizeof(ip4.sin_addr));
		record.port = ntohs(ip4.sin_port);
	} else {
		memcpy(&ip6, address, sizeof(ip6));
		memcpy(record.bytes, &ip6.sin6_addr, sizeof(ip6.sin6_addr));
		record.port = ntohs(ip6.sin6_port);
	}
	return record;
}

static void
fill_entry(const struct record *record, struct tcpto_entry *entry_out)
{
	struct sockaddr_in ip4 = { .sin_family = AF_INET,
		.sin_port = htons(record->port) };
	struct sockaddr_in6 ip6 = { .sin6_family = AF_INET6,
		.sin6_port = htons(record->port) };

	*entry_out = (struct tcpto_entry){ .failures = record->failures,
		.failed_at_s = record->failed_at_s };
	if (record->family == AF_INET) {
		memcpy(&ip4.sin_addr, record->bytes, sizeof(ip4.sin_addr));
		memcpy(&entry_out->address, &ip4, sizeof(ip4));
	} else {
		memcpy(&ip6.sin6_addr, record->bytes, sizeof(ip6.sin6_addr));
		memcpy(&entry_out->address, &ip6, sizeof(ip6));
	}
}

/* FNV-1a */
static uint32_t
hash_record(const struct record *record)
{
	const unsigned char *at = (const unsigned char *)record;
	uint32_t hash = 2166136261U;

	for (size_t i = 0; i < offsetof(struct record, failures); i++)
		hash = (hash ^ at[i]) * 16777619U;
	return hash;
}

static bool
is_same(const struct record *one, const struct record *other)
{
	return memcmp(one, other, offsetof(struct record, failures)) == 0;
}

static off_t
set_offset(const struct record *wanted)
{
	return (off_t)(hash_record(wanted) % SETS) *
	    (off_t)(SET_SIZE * sizeof(struct record));
}

/* What is not there is free. */
static int
read_set(struct tcpto *tcpto, off_t offset, struct record set[SET_SIZE])
{
	memset(set, 0, SET_SIZE * sizeof(*set));
	return pread(tcpto->fd, set, SET_SIZE * sizeof(*set), offset) == -1 ? -1
									    : 0;
}

static struct record *
find_in_set(struct record set[SET_SIZE], const struct record *wanted)
{
	for (size_t i = 0; i < SET_SIZE; i++)
		if (is_same(&set[i], wanted))
			return &set[i];
	return NULL;
}

/* Its own record, a free one, or the oldest. */
static struct record *
find_room(struct record set[SET_SIZE], const struct record *wanted)
{
	struct record *room = find_in_set(set, wanted);

	for (size_t i = 0; room == NULL && i < SET_SIZE; i++)
		if (set[i].family == 0)
			room = &set[i];
	if (room == NULL) {
		room = set;
		for (size_t i = 1; i < SET_SIZE; i++)
			if (set[i].failed_at_s < room->failed_at_s)
				room = &set[i];
	}
	if (!is_same(room, wanted))
		*room = *wanted;
	return room;
}

unsigned
tcpto_left_s(const struct tcpto_entry *entry, const struct tcpto_limits *limits,
    int64_t now_s)
{
	int64_t spread_s = entry->failed_at_s * 7 % (limits->wait_s / 2 + 1);
	int64_t end_s = entry->failed_at_s + limits->wait_s + spread_s;

	/* A clock that was set back blocks nobody for long. */
	if (limits->penalty == 0 || entry->failures < limits->penalty ||
	    now_s < entry->failed_at_s || now_s >= end_s)
		return 0;
	return (unsigned)(end_s - now_s);
}

bool
tcpto_is_blocked(struct tcpto *tcpto, const struct sockaddr *address,
    const struct tcpto_limits *limits, int64_t now_s)
{
	struct record wanted = make_record(address), set[SET_SIZE];
	const struct record *found;
	struct tcpto_entry entry;

	if (limits->penalty == 0 ||
	    read_set(tcpto, set_offset(&wanted), set) == -1)
		return false;
	found = find_in_set(set, &wanted);
	if (found == NULL)
		return false;
	fill_entry(found, &entry);
	return tcpto_left_s(&entry, limits, now_s) > 0;
}

static void
lock_table(struct tcpto *tcpto)
{
	pthread_mutex_lock(&tcpto->lock);
	while (flock(tcpto->fd, LOCK_EX) == -1 && errno == EINTR)
		continue;
}

static void
unlock_table(struct tcpto *tcpto)
{
	flock(tcpto->fd, LOCK_UN);
	pthread_mutex_unlock(&tcpto->lock);
}

/* False: nothing is to be written. */
static bool
change_set(struct record set[SET_SIZE], const struct record *wanted,
    bool has_failed, const struct tcpto_limits *limits, int64_t now_s)
{
	struct record *record = find_in_set(set, wanted);

	if (!has_failed) {
		if (record != NULL)
			*record = (struct record){ .family = 0 };
		return record != NULL;
	}
	if (record != NULL && record->failed_at_s <= now_s &&
	    now_s - record->failed_at_s < limits->tolerance_s)
		return false;
	record = find_room(set, wanted);
	if (record->failures < SMTPROUTE_PENALTY_MAX)
		record->failures++;
	record->failed_at_s = now_s;
	return true;
}

void
tcpto_note(struct tcpto *tcpto, const struct sockaddr *address, bool has_failed,
    const struct tcpto_limits *limits, int64_t now_s)
{
	struct record wanted = make_record(address), set[SET_SIZE];
	off_t offset = set_offset(&wanted);

	/* Mostly there is nothing to forget. */
	if (!has_failed &&
	    (read_set(tcpto, offset, set) == -1 ||
		find_in_set(set, &wanted) == NULL))
		return;
	lock_table(tcpto);
	if (read_set(tcpto, offset, set) == 0 &&
	    change_set(set, &wanted, has_failed, limits, now_s) &&
	    pwrite(tcpto->fd, set, sizeof(set), offset) == -1) {
		/* The table is only advice. */
	}
	unlock_table(tcpto);
}

int
tcpto_walk(struct tcpto *tcpto,
    void (*each)(const struct tcpto_entry *entry, void *context), void *context,
    struct error *err)
{
	struct record set[SET_SIZE];

	for (off_t i = 0; i < SETS; i++) {
		if (read_set(tcpto, i * (off_t)sizeof(set), set) == -1)
			return error_sys(err, "cannot read the table");
		for (size_t j = 0; j < SET_SIZE; j++) {
			struct tcpto_entry entry;

			if (set[j].family != AF_INET &&
			    set[j].family != AF_INET6)
				continue;
			fill_entry(&set[j], &entry);
			each(&entry, context);
		}
	}
	return 0;
}

int
tcpto_forget(
    struct tcpto *tcpto, const struct sockaddr *address, struct error *err)
{
	static const struct tcpto_limits none;
	int result = 0;

	if (address != NULL) {
		tcpto_note(tcpto, address, false, &none, 0);
		return 0;
	}
	lock_table(tcpto);
	if (ftruncate(tcpto->fd, 0) == -1)
		result = error_sys(err, "cannot empty the table");
	unlock_table(tcpto);
	return result;
}
