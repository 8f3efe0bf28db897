/* SPDX-License-Identifier: ISC */
/* The last logins of a cdb store's users. */
#include "lookupd/logins.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/scan.h"

enum {
	FILE_BYTES_MAX = 64 * 1024,
	RELAYS_MAX = 32, /* of one user: those of the last logins */
	SHARDS = 256
};

static char *
shard_path(const char *folder, const char *local, const char *domain)
{
	uint32_t hash = 2166136261u; /* FNV-1a */

	for (const char *c = local; *c != '\0'; c++)
		hash = (hash ^ (unsigned char)*c) * 16777619u;
	return xasprintf("%s/%s/%02x", folder, domain, hash % SHARDS);
}

/* False: such a name is no user's, and not to be looked for in a folder. */
static bool
is_file_name(const char *local)
{
	return *local != '.' && strchr(local, '/') == NULL;
}

/* One line taken apart in place; false when it is none. */
static bool
read_line(char *line, const char **service_out, const char **ip_out,
    int64_t *at_s_out)
{
	uint64_t at_s;

	*service_out = strsep(&line, " ");
	*ip_out = strsep(&line, " ");
	if (*ip_out == NULL || line == NULL ||
	    !scan_u64(line, INT64_MAX, &at_s))
		return false;
	*at_s_out = (int64_t)at_s;
	return true;
}

int
logins_each(const char *folder, const char *local, const char *domain,
    void (*tell)(
	const char *service, const char *ip, int64_t at_s, void *context),
    void *context, struct error *err)
{
	AUTO(buf_release) struct buf text = BUF_INIT;
	OWN_TEXT shard = shard_path(folder, local, domain);
	OWN_TEXT path = xasprintf("%s/%s", shard, local);
	int result = is_file_name(local)
	    ? file_read(path, FILE_BYTES_MAX, &text, err)
	    : 0;
	char *rest = text.data, *line;

	if (result != 1)
		return result;
	while ((line = strsep(&rest, "\n")) != NULL) {
		const char *service, *ip;
		int64_t at_s;

		if (read_line(line, &service, &ip, &at_s))
			tell(service, ip, at_s, context);
	}
	return 1;
}

struct wanted_relay {
	const char *ip;
	int64_t since_s;
	bool is_found;
};

static void
match_relay(const char *service, const char *ip, int64_t at_s, void *context)
{
	struct wanted_relay *wanted = context;

	if (strcmp(service, "relay") == 0 && strcmp(ip, wanted->ip) == 0 &&
	    at_s >= wanted->since_s)
		wanted->is_found = true;
}

int
logins_find_relay(const char *folder, const char *local, const char *domain,
    const char *ip, int64_t since_s, struct error *err)
{
	struct wanted_relay wanted = { ip, since_s, false };
	int result = logins_each(
	    folder, local, domain, match_relay, &wanted, err);

	return result == 1 ? wanted.is_found : result;
}

/* Whoever is let into the folder of all may write below it. */
static int
make_shard(const char *folder, const char *path, struct error *err)
{
	return access(folder, F_OK) == -1
	    ? error_sys(err, "cannot use '%s' (svctool init makes it)", folder)
	    : file_make_dirs(path, 0777, err);
}

/* Opened and locked; -1 with the reason. */
static int
open_logins(const char *path, struct error *err)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);

	if (fd == -1)
		return error_sys(err, "cannot open '%s'", path);
	fchmod(fd, 0666); /* fails when it is another's: then it is so */
	if (flock(fd, LOCK_EX) == -1) {
		error_sys(err, "cannot lock '%s'", path);
		close(fd);
		return -1;
	}
	return fd;
}

/* The new line, and of the old ones those that it does not replace. */
static void
make_text(
    struct buf *text, char *old, const struct store_login *login, int64_t now_s)
{
	unsigned relays = 1;
	char *line;

	buf_addf(text, "%s %s %" PRId64 "\n", login->service, login->ip, now_s);
	if (login->opens_relay)
		buf_addf(text, "relay %s %" PRId64 "\n", login->ip, now_s);
	while ((line = strsep(&old, "\n")) != NULL) {
		const char *service, *ip;
		bool is_relay;
		int64_t at_s;

		if (!read_line(line, &service, &ip, &at_s))
			continue;
		is_relay = strcmp(service, "relay") == 0;
		if (strcmp(service, login->service) == 0 ||
		    (is_relay &&
			((login->opens_relay && strcmp(ip, login->ip) == 0) ||
			    relays++ >= RELAYS_MAX)))
			continue;
		buf_addf(text, "%s %s %" PRId64 "\n", service, ip, at_s);
	}
}

static int
rewrite(int fd, const struct store_login *login, int64_t now_s)
{
	AUTO(buf_release) struct buf old = BUF_INIT;
	AUTO(buf_release) struct buf text = BUF_INIT;
	ssize_t n;

	buf_reserve(&old, FILE_BYTES_MAX);
	n = pread(fd, old.data, FILE_BYTES_MAX, 0);
	if (n == -1)
		return -1;
	old.data[n] = '\0';
	make_text(&text, old.data, login, now_s);
	if (pwrite(fd, text.data, text.length, 0) != (ssize_t)text.length)
		return -1;
	return ftruncate(fd, (off_t)text.length);
}

int
logins_note(const char *folder, const char *local, const char *domain,
    const struct store_login *login, int64_t now_s, struct error *err)
{
	OWN_TEXT shard = shard_path(folder, local, domain);
	OWN_TEXT path = xasprintf("%s/%s", shard, local);
	AUTO(file_close) int fd = -1;

	if (!is_file_name(local))
		return error_set(err, "'%s' is no user's name", local);
	if (access(shard, F_OK) == -1 && make_shard(folder, shard, err) == -1)
		return -1;
	fd = open_logins(path, err);
	if (fd == -1)
		return -1;
	return rewrite(fd, login, now_s) == -1
	    ? error_sys(err, "cannot write '%s'", path)
	    : 0;
}

void
logins_rename(const char *folder, const char *domain, const char *local,
    const char *new_local)
{
	OWN_TEXT shard = shard_path(folder, local, domain);
	OWN_TEXT new_shard = shard_path(folder, new_local, domain);
	OWN_TEXT path = xasprintf("%s/%s", shard, local);
	OWN_TEXT new_path = xasprintf("%s/%s", new_shard, new_local);
	struct error ignored;

	if (!is_file_name(local) || !is_file_name(new_local) ||
	    access(path, F_OK) == -1)
		return;
	if (file_make_dirs(new_shard, 0777, &ignored) == 0)
		rename(path, new_path);
}

void
logins_rename_domain(
    const char *folder, const char *domain, const char *new_domain)
{
	OWN_TEXT path = xasprintf("%s/%s", folder, domain);
	OWN_TEXT new_path = xasprintf("%s/%s", folder, new_domain);

	rename(path, new_path);
}

/* Without relays that are older; 1 when the file is changed. */
static int
drop_relays(int fd, int64_t before_s, uint64_t *count, struct error *err)
{
	AUTO(buf_release) struct buf text = BUF_INIT;
	AUTO(buf_release) struct buf kept = BUF_INIT;
	uint64_t dropped = 0;
	char *rest, *line;
	ssize_t n;

	buf_reserve(&text, FILE_BYTES_MAX);
	buf_init(&kept);
	n = pread(fd, text.data, FILE_BYTES_MAX, 0);
	if (n == -1)
		return error_sys(err, "cannot read logins");
	text.data[n] = '\0';
	rest = text.data;
	while ((line = strsep(&rest, "\n")) != NULL) {
		const char *service, *ip;
		int64_t at_s;

		if (!read_line(line, &service, &ip, &at_s))
			continue;
		if (strcmp(service, "relay") == 0 && at_s < before_s)
			dropped++;
		else
			buf_addf(
			    &kept, "%s %s %" PRId64 "\n", service, ip, at_s);
	}
	*count += dropped;
	if (dropped == 0)
		return 0;
	return pwrite(fd, kept.data, kept.length, 0) != (ssize_t)kept.length ||
		ftruncate(fd, (off_t)kept.length) == -1
	    ? error_sys(err, "cannot write logins")
	    : 0;
}

static int
clear_below(const char *path, unsigned depth, int64_t before_s, uint64_t *count,
    struct error *err)
{
	DIR *folder = opendir(path);
	const struct dirent *entry;
	int result = 0;

	if (folder == NULL)
		return errno == ENOENT
		    ? 0
		    : error_sys(err, "cannot open folder '%s'", path);
	while (result == 0 && (entry = readdir(folder)) != NULL) {
		OWN_TEXT below = xasprintf("%s/%s", path, entry->d_name);
		AUTO(file_close) int fd = -1;

		if (*entry->d_name == '.')
			continue;
		if (depth > 0) {
			result = clear_below(
			    below, depth - 1, before_s, count, err);
			continue;
		}
		fd = open_logins(below, err);
		result = fd == -1 ? -1 : drop_relays(fd, before_s, count, err);
	}
	closedir(folder);
	return result;
}

int
logins_clear_relays(const char *folder, int64_t before_s, uint64_t *count_out,
    struct error *err)
{
	*count_out = 0;
	return clear_below(folder, 2, before_s, count_out, err);
}
