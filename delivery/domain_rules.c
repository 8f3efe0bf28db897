/* SPDX-License-Identifier: ISC */
/* What the .qmail files of a virtual domain's folder say. */
#include "delivery/domain_rules.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <search.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "control/layout.h"
#include "delivery/dotqmail_find.h"
#include "delivery/general.h"

enum {
	FILE_MAX = 4096,    /* larger files are not the standard line */
	DOMAINS_MAX = 4096, /* then all are forgotten */
	SETTLED_S = 2       /* the time stamps of a file move in jiffies */
};

struct domain {
	const char *home;
	uint64_t checked_in; /* the batch */
	struct stat st;      /* of .qmail-default when it was read */
	bool is_settled;     /* it had not changed for a while by then */
	bool is_standard;
	struct absent_rule rule;
};

struct domain_rules {
	uint64_t batch;
	size_t count;
	void *domains;   /* tsearch(3) */
	struct buf path; /* reused */
};

struct domain_rules *
domain_rules_new(void)
{
	struct domain_rules *rules = xcalloc(1, sizeof(*rules));

	buf_init(&rules->path);
	return rules;
}

static void
free_domain(void *node)
{
	struct domain *domain = node;

	dotqmail_release(&domain->rule);
	free(domain);
}

static void
forget_all(struct domain_rules *rules)
{
	tdestroy(rules->domains, free_domain);
	rules->domains = NULL;
	rules->count = 0;
}

void
domain_rules_free(struct domain_rules **rules)
{
	if (*rules == NULL)
		return;
	forget_all(*rules);
	buf_release(&(*rules)->path);
	free(*rules);
	*rules = NULL;
}

void
domain_rules_begin(struct domain_rules *rules)
{
	rules->batch++;
}

static int
compare_domains(const void *a, const void *b)
{
	const struct domain *first = a, *second = b;

	return strcmp(first->home, second->home);
}

static struct domain *
find_domain(struct domain_rules *rules, const char *home)
{
	const struct domain wanted = { .home = home };
	void *found = tfind(&wanted, &rules->domains, compare_domains);
	size_t size = strlen(home) + 1;
	struct domain *domain;

	if (found != NULL)
		return *(struct domain **)found;
	if (rules->count == DOMAINS_MAX)
		forget_all(rules);
	domain = xcalloc(1, sizeof(*domain) + size);
	domain->home = memcpy(domain + 1, home, size);
	if (tsearch(domain, &rules->domains, compare_domains) == NULL)
		fatal(111, "out of memory");
	rules->count++;
	return domain;
}

static bool
is_same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static bool
is_unchanged(const struct domain *domain, const struct stat *now)
{
	return domain->is_settled && domain->st.st_ino == now->st_ino &&
	    domain->st.st_dev == now->st_dev &&
	    domain->st.st_size == now->st_size &&
	    is_same_time(&domain->st.st_mtim, &now->st_mtim) &&
	    is_same_time(&domain->st.st_ctim, &now->st_ctim);
}

/*
 * Reads the file at path: 1 the standard line, 0 anything else, with the fault,
 * -1.  *st_out is the file as it was read.
 */
static int
read_rule(const char *path, struct stat *st_out, struct absent_rule *rule_out,
    struct dotqmail_fault *fault, struct error *err)
{
	AUTO(file_close) int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	char text[FILE_MAX + 1];
	ssize_t n = 0;

	if (fd == -1)
		return error_sys(err, "cannot open '%s'", path);
	if (fstat(fd, st_out) == -1 || (n = read(fd, text, sizeof(text))) == -1)
		return error_sys(err, "cannot read '%s'", path);
	fault->line = 0;
	if (n > FILE_MAX)
		error_set(&fault->reason,
		    "it has more than %d bytes; write one line", FILE_MAX);
	/* One that others may write is left to qmail-local's judgement. */
	else if ((st_out->st_mode & S_IWOTH) != 0)
		error_set(&fault->reason, "others may write it; chmod o-w '%s'",
		    path);
	else
		return dotqmail_read(text, (size_t)n, rule_out, fault);
	return 0;
}

/* Reads the file at rules->path.  Returns 0 or -1. */
static int
read_default(
    struct domain_rules *rules, struct domain *domain, struct error *err)
{
	struct dotqmail_fault unused;
	int result;

	dotqmail_release(&domain->rule);
	result = read_rule(
	    rules->path.data, &domain->st, &domain->rule, &unused, err);
	domain->is_standard = result == 1;
	if (result == -1)
		return -1;
	domain->is_settled = time(NULL) - domain->st.st_ctim.tv_sec > SETTLED_S;
	return 0;
}

/* As qmail-local does: a sticky folder is one that somebody is editing. */
static int
check_home(const char *home, struct error *err)
{
	struct stat st;

	if (stat(home, &st) == -1)
		return error_sys(err, "cannot open folder '%s'", home);
	if (st.st_mode & S_ISVTX)
		return error_set(err,
		    "folder '%s' is sticky: its .qmail files are being edited",
		    home);
	return 0;
}

static void
set_dotqmail_path(struct domain_rules *rules, const char *home,
    const char *name, size_t length, const char *end)
{
	buf_reset(&rules->path);
	buf_adds(&rules->path, home);
	buf_adds(&rules->path, "/.qmail-");
	buf_add(&rules->path, name, length);
	buf_adds(&rules->path, end);
}

/* 1 standard, 0 general, -1. */
static int
check_default(
    struct domain_rules *rules, struct domain *domain, struct error *err)
{
	struct stat now;
	int result;

	if (domain->checked_in == rules->batch)
		return domain->is_standard;
	if (check_home(domain->home, err) == -1)
		return -1;
	set_dotqmail_path(rules, domain->home, "", 0, "default");
	if (stat(rules->path.data, &now) == -1) {
		domain->is_settled = false;
		if (errno == ENOENT)
			return 0;
		return error_sys(err, "cannot stat '%s'", rules->path.data);
	}
	if (!is_unchanged(domain, &now)) {
		result = read_default(rules, domain, err);
		if (result == -1) {
			domain->is_settled = false;
			return -1;
		}
	}
	domain->checked_in = rules->batch;
	return domain->is_standard;
}

/* Whether a file is at rules->path: 1, 0, -1. */
static int
exists(const struct domain_rules *rules, struct error *err)
{
	if (access(rules->path.data, F_OK) == 0)
		return 1;
	if (errno == ENOENT || errno == ENAMETOOLONG)
		return 0;
	return error_sys(err, "cannot look for '%s'", rules->path.data);
}

/* Whether a .qmail file of its own covers the extension: 1, 0, -1. */
static int
has_own_dotqmail(struct domain_rules *rules, const char *home,
    const char *extension, struct error *err)
{
	size_t length = strlen(extension), i;
	char name[256];
	int result;

	/* No file name has a '/', and none is that long. */
	if (length >= sizeof(name) || strchr(extension, '/') != NULL)
		return 0;
	for (i = 0; i < length; i++) {
		int c = tolower((unsigned char)extension[i]);

		name[i] = c == '.' ? ':' : (char)c;
	}
	set_dotqmail_path(rules, home, name, length, "");
	result = exists(rules, err);
	for (i = length; result == 0 && i > 0; i--) {
		if (name[i - 1] != '-')
			continue;
		set_dotqmail_path(rules, home, name, i, "default");
		result = exists(rules, err);
	}
	return result;
}

int
domain_rules_find(struct domain_rules *rules, const char *home,
    const char *extension, const struct absent_rule **rule_out,
    struct error *err)
{
	struct domain *domain = find_domain(rules, home);
	int result = check_default(rules, domain, err);

	if (result != 1)
		return result;
	result = has_own_dotqmail(rules, home, extension, err);
	if (result != 0)
		return result == 1 ? 0 : -1;
	*rule_out = &domain->rule;
	return 1;
}

/* Not the standard line: is it something else that can be meant? */
static int
judge_lines(const char *home, const char *path, struct dotqmail_fault *fault,
    struct error *err)
{
	AUTO(dotqmail_file_release)
	struct dotqmail_file file = { .text = BUF_INIT };
	OWN_TEXT program_dir = file_program_dir();
	int found = dotqmail_open(path, &file, err);

	if (found != 1)
		return found;
	return general_is_sound(home, program_dir, &file.text, fault);
}

int
domain_rules_judge(
    const char *home, struct dotqmail_fault *fault_out, struct error *err)
{
	AUTO(dotqmail_release) struct absent_rule rule = ABSENT_RULE_INIT;
	AUTO(mem_free)
	char *path = layout_domain_path(home, LAYOUT_domain_default);
	struct stat st;
	int result;

	fault_out->reason.text[0] = '\0';
	if (check_home(home, err) == -1)
		return -1;
	if (access(path, F_OK) == -1 && errno == ENOENT)
		return 0;
	result = read_rule(path, &st, &rule, fault_out, err);
	if (result == 0 && (st.st_mode & S_IWOTH) == 0)
		result = judge_lines(home, path, fault_out, err);
	return result;
}
