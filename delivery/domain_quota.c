/* SPDX-License-Identifier: ISC */
/* What the Maildirs of a domain may hold in all. */
#include "delivery/domain_quota.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/work_pool.h"
#include "mailbox/quota_scan.h"

enum {
	LIMITS_MS = 60 * 1000,
	COUNT_MS = 300 * 1000,
	COUNT_SHARE = 50,
	DOMAINS_MAX = 4096, /* further ones are not looked at */
	/* DOMAIN/a/b/c/USER/Maildir: folders of many users are three deep */
	DEPTH_MAX = 6,
	SIZE_FILE_MAX = 64 * 1024
};

struct domain {
	struct work work;
	struct domain_quotas *quotas;
	const char *home, *name;
	bool is_running;
	int64_t look_at_ms, count_at_ms;
	struct quota quota; /* known; 0: none */
	struct quota_usage usage;
	/* found by the thread */
	struct quota found_quota;
	struct quota_usage found_usage;
	bool is_to_count, has_limits, has_counted;
	int64_t took_ms;
};

struct domain_quotas {
	struct store *store;
	struct work_pool *pool;
	void *domains; /* tsearch(3) */
	size_t count;
};

struct domain_quotas *
domain_quotas_new(struct store *store, int wake_fd)
{
	struct domain_quotas *quotas = xcalloc(1, sizeof(*quotas));

	quotas->store = store;
	quotas->pool = work_pool_new(1, wake_fd);
	return quotas;
}

void
domain_quotas_free(struct domain_quotas **quotas)
{
	if (*quotas == NULL)
		return;
	work_pool_free(&(*quotas)->pool);
	tdestroy((*quotas)->domains, free);
	free(*quotas);
	*quotas = NULL;
}

void
domain_quotas_reap(struct domain_quotas *quotas)
{
	if (quotas != NULL)
		work_pool_reap(quotas->pool);
}

/* -- counting, in any thread */

/* What maildirsize says; where there is none, what is there. */
static int
add_maildir(int maildir_fd, struct quota_usage *usage, struct error *err)
{
	AUTO(file_close)
	int fd = openat(maildir_fd, "maildirsize",
	    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	char text[SIZE_FILE_MAX];
	struct quota_usage one;
	struct quota unused;
	unsigned lines;
	ssize_t n = fd == -1 ? -1 : read(fd, text, sizeof(text));

	if ((n <= 0 ||
		!quota_read_text(text, (size_t)n, &unused, &one, &lines)) &&
	    quota_scan(maildir_fd, &one, err) == -1)
		return -1;
	usage->bytes += one.bytes;
	usage->count += one.count;
	return 0;
}

static int
add_folder(int fd, int depth, struct quota_usage *usage, struct error *err)
{
	DIR *dir = fdopendir(fd);
	struct dirent *entry;
	int result = 0;

	if (dir == NULL) {
		error_sys(err, "cannot read a folder");
		close(fd);
		return -1;
	}
	while (result == 0 && (entry = readdir(dir)) != NULL) {
		int child;

		if (entry->d_name[0] == '.' ||
		    (entry->d_type != DT_DIR && entry->d_type != DT_UNKNOWN))
			continue;
		child = openat(fd, entry->d_name,
		    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (child == -1 && (errno == ENOTDIR || errno == ENOENT))
			continue;
		if (child == -1)
			result = error_sys(
			    err, "cannot open folder '%s'", entry->d_name);
		else if (strcmp(entry->d_name, "Maildir") == 0) {
			result = add_maildir(child, usage, err);
			close(child);
		} else if (depth < DEPTH_MAX)
			result = add_folder(child, depth + 1, usage, err);
		else
			close(child);
	}
	closedir(dir);
	return result;
}

int
domain_quota_count(
    const char *home, struct quota_usage *usage_out, struct error *err)
{
	int fd = open(home, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	*usage_out = (struct quota_usage){ 0 };
	if (fd == -1)
		return error_sys(err, "cannot open folder '%s'", home);
	if (add_folder(fd, 1, usage_out, err) == -1)
		return error_context(err, "domain folder '%s'", home);
	return 0;
}

static struct domain *
domain_of_work(struct work *work)
{
	return (struct domain *)((char *)work - offsetof(struct domain, work));
}

static uint64_t
limit_of(const struct store_limits *limits, enum store_limit limit)
{
	return limits->has[limit] && limits->values[limit] > 0
	    ? (uint64_t)limits->values[limit]
	    : 0;
}

static void
run_look(struct work *work)
{
	struct domain *domain = domain_of_work(work);
	int64_t start_ms = clock_ms();
	struct store_limits limits;
	struct error err;
	int result = store_find_limits(
	    domain->quotas->store, NULL, domain->name, &limits, &err);

	domain->has_limits = result != -1;
	domain->has_counted = false;
	domain->found_quota = (struct quota){ 0 };
	if (result == 1)
		domain->found_quota = (struct quota){
			.bytes = limit_of(&limits, STORE_LIMIT_diskquota),
			.count = limit_of(&limits, STORE_LIMIT_maxmsgcount),
		};
	if (domain->is_to_count &&
	    (domain->found_quota.bytes > 0 || domain->found_quota.count > 0)) {
		result = domain_quota_count(
		    domain->home, &domain->found_usage, &err);
		domain->has_counted = result == 0;
	}
	if (result == -1)
		log_line("warning: the quota of domain '%s' is not kept to: %s",
		    domain->name, err.text);
	domain->took_ms = clock_ms() - start_ms;
}

/* -- in the owner's */

static void
end_look(struct work *work)
{
	struct domain *domain = domain_of_work(work);
	int64_t rest_ms = domain->took_ms * COUNT_SHARE;

	domain->is_running = false;
	domain->look_at_ms = clock_ms() + LIMITS_MS;
	if (!domain->has_limits)
		return;
	domain->quota = domain->found_quota;
	if (!domain->has_counted)
		return;
	domain->usage = domain->found_usage;
	domain->count_at_ms = clock_ms() +
	    (rest_ms > COUNT_MS ? rest_ms : COUNT_MS);
}

static int
compare_homes(const void *a, const void *b)
{
	const struct domain *first = a, *second = b;

	return strcmp(first->home, second->home);
}

static struct domain *
find_known(struct domain_quotas *quotas, const char *home)
{
	const struct domain wanted = { .home = home };
	void *found = tfind(&wanted, &quotas->domains, compare_homes);

	return found == NULL ? NULL : *(struct domain **)found;
}

static struct domain *
add_domain(struct domain_quotas *quotas, const char *name, const char *home)
{
	size_t name_size = strlen(name) + 1, home_size = strlen(home) + 1;
	struct domain *domain = xcalloc(
	    1, sizeof(*domain) + name_size + home_size);

	domain->quotas = quotas;
	domain->home = memcpy(domain + 1, home, home_size);
	domain->name = memcpy(
	    (char *)(domain + 1) + home_size, name, name_size);
	if (tsearch(domain, &quotas->domains, compare_homes) == NULL)
		fatal(111, "out of memory");
	quotas->count++;
	return domain;
}

bool
domain_quota_fits(struct domain_quotas *quotas, const char *name,
    const char *home, const struct quota_usage *added,
    struct quota_usage *usage_out, struct quota *quota_out)
{
	struct domain *domain = find_known(quotas, home);
	int64_t now_ms = clock_ms();

	if (domain == NULL && quotas->count == DOMAINS_MAX)
		return true;
	if (domain == NULL)
		domain = add_domain(quotas, name, home);
	if (!domain->is_running && now_ms >= domain->look_at_ms) {
		domain->is_running = true;
		domain->is_to_count = now_ms >= domain->count_at_ms;
		work_pool_post(quotas->pool, &domain->work, run_look, end_look);
	}
	*usage_out = domain->usage;
	*quota_out = domain->quota;
	return domain->count_at_ms == 0 ||
	    quota_fits(&domain->quota, &domain->usage, added);
}

void
domain_quota_add(struct domain_quotas *quotas, const char *home,
    const struct quota_usage *added)
{
	struct domain *domain = find_known(quotas, home);

	if (domain == NULL)
		return;
	domain->usage.bytes += added->bytes;
	domain->usage.count += added->count;
}
