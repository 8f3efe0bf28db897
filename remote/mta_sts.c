/* SPDX-License-Identifier: ISC */
/* What a domain publishes of the hosts that take its mail: MTA-STS. */
#include "remote/mta_sts.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/scan.h"
#include "base/utf8.h"
#include "remote/https.h"

enum {
	MX_MAX = 100,             /* patterns of a policy */
	KEPT_MAX = 10000,         /* domains in memory, and files */
	RETRY_S = 300,            /* RFC 8461 3.3: not sooner after a failure */
	FETCH_MOST_MS = 60 * 1000 /* RFC 8461 3.3 */
};

/* What is known of a domain.  The table's lock guards it. */
struct kept {
	char *domain;
	char id[MTA_STS_ID_SIZE];
	time_t fetched_at, expires_at; /* 0: there is no policy */
	time_t failed_at;              /* last time that a fetch did; or 0 */
	struct mta_sts_policy policy;
};

struct mta_sts {
	struct mta_sts_config config;
	char *folder, *ca_file;
	pthread_mutex_t lock;
	void *table; /* of search.h */
	size_t count;
};

/* -- texts */

void
mta_sts_policy_release(struct mta_sts_policy *policy)
{
	strlist_release(&policy->mx);
}

static bool
is_host_char(char c)
{
	return isalnum((unsigned char)c) || c == '-' || c == '.' || c == '_';
}

/* "mx.example.org" or "*.example.org". */
static bool
is_pattern(const char *text)
{
	const char *name = strncmp(text, "*.", 2) == 0 ? text + 2 : text;
	size_t i, length = strlen(name);

	if (length == 0 || length >= DNS_NAME_SIZE || *name == '.')
		return false;
	for (i = 0; i < length; i++)
		if (!is_host_char(name[i]))
			return false;
	return true;
}

/* What has been read of a policy's text. */
struct reading {
	bool has_version, has_mode, has_age;
	struct mta_sts_policy *policy;
};

static int
take_mode(struct reading *reading, const char *value, struct error *err)
{
	static const char *const modes[] = { [MTA_STS_NONE] = "none",
		[MTA_STS_TESTING] = "testing",
		[MTA_STS_ENFORCE] = "enforce" };
	size_t i;

	for (i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
		if (strcmp(value, modes[i]) == 0) {
			reading->policy->mode = (enum mta_sts_mode)i;
			return 0;
		}
	return error_set(err, "'mode' is neither enforce, testing nor none");
}

static int
take_mx(struct reading *reading, char *value, struct error *err)
{
	if (!is_pattern(value))
		return error_set(err, "'mx' is not a host name");
	if (reading->policy->mx.count == MX_MAX)
		return error_set(err, "more than %d 'mx'", MX_MAX);
	ascii_lower(value, value, strlen(value));
	strlist_add(&reading->policy->mx, value);
	return 0;
}

/* Of fields other than mx the first counts; unknown ones do not. */
static int
take_field(
    struct reading *reading, const char *key, char *value, struct error *err)
{
	if (strcmp(key, "mx") == 0)
		return take_mx(reading, value, err);
	if (strcmp(key, "version") == 0 && !reading->has_version) {
		reading->has_version = true;
		return strcmp(value, "STSv1") == 0
		    ? 0
		    : error_set(err, "'version' is not STSv1");
	}
	if (strcmp(key, "mode") == 0 && !reading->has_mode) {
		reading->has_mode = true;
		return take_mode(reading, value, err);
	}
	if (strcmp(key, "max_age") == 0 && !reading->has_age) {
		reading->has_age = true;
		return scan_u64(value, MTA_STS_AGE_MAX_S,
			   &reading->policy->max_age_s)
		    ? 0
		    : error_set(err, "'max_age' is out of range");
	}
	return 0;
}

static int
take_line(struct reading *reading, char *line, struct error *err)
{
	size_t length = strlen(line);
	char *colon;

	while (length > 0 && strchr(" \t\r", line[length - 1]) != NULL)
		line[--length] = '\0';
	if (length == 0)
		return 0;
	colon = strchr(line, ':');
	if (colon == NULL)
		return error_set(err, "a line without ':'");
	*colon++ = '\0';
	return take_field(reading, line, colon + strspn(colon, " \t"), err);
}

static int
read_lines(char *text, struct reading *reading, struct error *err)
{
	char *line;

	while ((line = strsep(&text, "\n")) != NULL)
		if (take_line(reading, line, err) == -1)
			return -1;
	if (!reading->has_version || !reading->has_mode || !reading->has_age)
		return error_set(err, "no 'version', 'mode' or 'max_age'");
	if (reading->policy->mode != MTA_STS_NONE &&
	    reading->policy->mx.count == 0)
		return error_set(err, "no 'mx'");
	return 0;
}

int
mta_sts_read(const char *text, size_t length, struct mta_sts_policy *policy_out,
    struct error *err)
{
	struct reading reading = { .policy = policy_out };
	char *copy;
	int result;

	*policy_out = (struct mta_sts_policy){ .mode = MTA_STS_NONE };
	if (length > MTA_STS_POLICY_MAX || memchr(text, '\0', length) != NULL)
		return error_set(err, "too long, or not a text");
	copy = xstrndup(text, length);
	result = read_lines(copy, &reading, err);
	free(copy);
	if (result == -1)
		mta_sts_policy_release(policy_out);
	return result;
}

bool
mta_sts_read_record(const char *text, char id_out[MTA_STS_ID_SIZE])
{
	static const char version[] = "v=STSv1";
	const char *at = text + sizeof(version) - 1;
	size_t length;

	if (strncmp(text, version, sizeof(version) - 1) != 0)
		return false;
	for (;;) {
		at += strspn(at, " \t");
		if (*at++ != ';')
			return false;
		at += strspn(at, " \t");
		if (strncmp(at, "id=", 3) == 0)
			break;
		at += strcspn(at, ";");
	}
	at += 3;
	for (length = 0; isalnum((unsigned char)at[length]); length++)
		continue;
	if (length == 0 || length >= MTA_STS_ID_SIZE ||
	    (at[length] != '\0' && strchr("; \t", at[length]) == NULL))
		return false;
	memcpy(id_out, at, length);
	id_out[length] = '\0';
	return true;
}

bool
mta_sts_has_host(const struct mta_sts_policy *policy, const char *host)
{
	const char *dot = strchr(host, '.');
	size_t i;

	for (i = 0; i < policy->mx.count; i++) {
		const char *pattern = policy->mx.items[i];

		if (strcasecmp(pattern, host) == 0)
			return true;
		/* RFC 8461 4.1: the '*' is one label */
		if (pattern[0] == '*' && dot != NULL && dot != host &&
		    strcasecmp(pattern + 1, dot) == 0)
			return true;
	}
	return false;
}

/* -- what is kept */

static int
compare_kept(const void *a, const void *b)
{
	return strcmp(
	    ((const struct kept *)a)->domain, ((const struct kept *)b)->domain);
}

static void
free_kept(void *data)
{
	struct kept *kept = data;

	mta_sts_policy_release(&kept->policy);
	free(kept->domain);
	free(kept);
}

static void
forget_all(struct mta_sts *sts)
{
	tdestroy(sts->table, free_kept);
	sts->table = NULL;
	sts->count = 0;
}

static void
copy_policy(
    const struct mta_sts_policy *policy, struct mta_sts_policy *policy_out)
{
	size_t i;

	*policy_out = (struct mta_sts_policy){ .mode = policy->mode,
		.max_age_s = policy->max_age_s };
	for (i = 0; i < policy->mx.count; i++)
		strlist_add(&policy_out->mx, policy->mx.items[i]);
}

/*
 * A file: "ID FETCHED", a line, and then the policy's text as it came.  What is
 * not so, or of a time that is still to come, is as if it were not there.
 */
static void
load_kept(const struct mta_sts *sts, struct kept *kept, time_t now)
{
	AUTO(mem_free)
	char *path = xasprintf("%s/%s", sts->folder, kept->domain);
	AUTO(buf_release) struct buf text = BUF_INIT;
	char *end, *blank;
	struct error err;
	uint64_t fetched_at;

	if (file_read(path, MTA_STS_POLICY_MAX + 200, &text, &err) != 1)
		return;
	end = text.length == 0 ? NULL : memchr(text.data, '\n', text.length);
	if (end == NULL)
		return;
	*end++ = '\0';
	blank = strchr(text.data, ' ');
	if (blank == NULL || blank - text.data >= MTA_STS_ID_SIZE ||
	    !scan_u64(blank + 1, (uint64_t)now, &fetched_at) ||
	    mta_sts_read(end, text.length - (size_t)(end - text.data),
		&kept->policy, &err) == -1)
		return;
	*blank = '\0';
	memcpy(kept->id, text.data, (size_t)(blank - text.data) + 1);
	kept->fetched_at = (time_t)fetched_at;
	kept->expires_at = kept->fetched_at + (time_t)kept->policy.max_age_s;
}

/* With the lock held. */
static struct kept *
get_kept(struct mta_sts *sts, const char *domain, time_t now)
{
	struct kept *kept = xcalloc(1, sizeof(*kept)), **found;

	if (sts->count >= KEPT_MAX)
		forget_all(sts);
	kept->domain = xstrdup(domain);
	found = tsearch(kept, &sts->table, compare_kept);
	if (found == NULL)
		fatal(111, "out of memory");
	if (*found != kept) {
		free_kept(kept);
		return *found;
	}
	sts->count++;
	load_kept(sts, kept, now);
	return kept;
}

static void
save_text(struct mta_sts *sts, const struct kept *kept, const char *policy)
{
	AUTO(mem_free)
	char *path = xasprintf("%s/%s", sts->folder, kept->domain);
	AUTO(mem_free)
	char *text = xasprintf(
	    "%s %" PRId64 "\n%s", kept->id, (int64_t)kept->fetched_at, policy);
	struct error err;

	/* A node that was made before has no such folder, and does without. */
	if (access(sts->folder, W_OK) == 0 &&
	    file_replace(path, text, strlen(text), 0644, &err) == -1)
		log_line(
		    "warning: cannot keep an MTA-STS policy: %s", err.text);
}

/* Files that are older than any policy lives, and all beyond so many. */
static void
sweep_files(const struct mta_sts *sts)
{
	DIR *folder = opendir(sts->folder);
	const struct dirent *entry;
	time_t now = time(NULL);
	size_t count = 0;

	while (folder != NULL && (entry = readdir(folder)) != NULL) {
		struct stat status;

		if (fstatat(dirfd(folder), entry->d_name, &status,
			AT_SYMLINK_NOFOLLOW) == -1 ||
		    !S_ISREG(status.st_mode))
			continue;
		if (++count > KEPT_MAX ||
		    now - status.st_mtime > MTA_STS_AGE_MAX_S)
			unlinkat(dirfd(folder), entry->d_name, 0);
	}
	if (folder != NULL)
		closedir(folder);
}

struct mta_sts *
mta_sts_new(const struct mta_sts_config *config)
{
	struct mta_sts *sts = xcalloc(1, sizeof(*sts));

	https_start();
	sts->config = *config;
	sts->folder = xstrdup(config->folder);
	sts->ca_file = xstrdup(config->ca_file);
	pthread_mutex_init(&sts->lock, NULL);
	sweep_files(sts);
	return sts;
}

void
mta_sts_free(struct mta_sts **sts_in)
{
	struct mta_sts *sts = *sts_in;

	if (sts == NULL)
		return;
	forget_all(sts);
	pthread_mutex_destroy(&sts->lock);
	free(sts->folder);
	free(sts->ca_file);
	free(sts);
	*sts_in = NULL;
}

/* -- the policy by HTTPS */

/* RFC 8461 3.2: text/plain, whatever its parameters. */
static bool
is_plain_text(const char *type)
{
	return strncasecmp(type, "text/plain", 10) == 0 &&
	    (type[10] == '\0' || strchr("; \t", type[10]) != NULL);
}

static int
fetch_policy(const struct mta_sts *sts, const char *domain, struct buf *text,
    struct mta_sts_policy *policy_out, struct error *err)
{
	/* The port of a URL is left out, as RFC 8461 3.3 has it. */
	AUTO(mem_free) char *port = xasprintf(":%u", sts->config.port);
	AUTO(mem_free)
	char *url = xasprintf("https://mta-sts.%s%s/.well-known/mta-sts.txt",
	    domain, sts->config.port == 443 ? "" : port);
	const struct https_request request = { .dns = sts->config.dns,
		.ca_file = sts->ca_file,
		.timeout_ms = sts->config.timeout_ms < FETCH_MOST_MS
		    ? sts->config.timeout_ms
		    : FETCH_MOST_MS,
		.url = url,
		.answer_max = MTA_STS_POLICY_MAX };
	struct https_answer answer;
	int result = https_ask(&request, &answer, err);

	/* RFC 8461 3.3: what redirects, has none */
	if (result == 0 && (answer.code != 200 || !is_plain_text(answer.type)))
		result = error_set(err,
		    "it is not there as text/plain (code %ld)", answer.code);
	if (result == 0) {
		buf_adds(&answer.text, "");
		result = mta_sts_read(
		    answer.text.data, answer.text.length, policy_out, err);
	}
	if (result == 0)
		buf_adds(text, answer.text.data);
	buf_release(&answer.text);
	return result;
}

/* -- finding */

/* RFC 8461 3.1: exactly one record, or MTA-STS is not there. */
static bool
ask_id(
    const struct mta_sts *sts, const char *domain, char id_out[MTA_STS_ID_SIZE])
{
	char name[DNS_NAME_SIZE + 10];
	struct dns_answer answer;
	size_t i, count = 0;

	snprintf(name, sizeof(name), "_mta-sts.%s", domain);
	dns_client_ask(
	    sts->config.dns, DNS_TXT, name, sts->config.timeout_ms, &answer);
	for (i = 0; i < answer.record_count; i++) {
		AUTO(buf_release) struct buf text = BUF_INIT;

		if (dns_read_text(&answer.records[i], &text) &&
		    text.length > 0 && strncmp(text.data, "v=STSv1", 7) == 0 &&
		    (!mta_sts_read_record(text.data, id_out) || ++count > 1)) {
			count = 0;
			break;
		}
	}
	dns_answer_release(&answer);
	return count == 1;
}

static void
refresh(struct mta_sts *sts, const char *domain, const char *id, time_t now)
{
	AUTO(buf_release) struct buf text = BUF_INIT;
	struct mta_sts_policy policy;
	struct error err;
	int result = fetch_policy(sts, domain, &text, &policy, &err);
	struct kept *kept;

	pthread_mutex_lock(&sts->lock);
	kept = get_kept(sts, domain, now);
	if (result == 0) {
		mta_sts_policy_release(&kept->policy);
		kept->policy = policy;
		memcpy(kept->id, id, MTA_STS_ID_SIZE);
		kept->fetched_at = now;
		kept->expires_at = now + (time_t)policy.max_age_s;
		kept->failed_at = 0;
		save_text(sts, kept, text.data);
	} else
		kept->failed_at = now;
	pthread_mutex_unlock(&sts->lock);
	if (result == -1)
		log_line("warning: MTA-STS policy of %s: %s", domain, err.text);
}

/* A longer or shorter life of what is there is learned at half of its time. */
static bool
needs_refresh(const struct kept *kept, const char *id, time_t now)
{
	if (kept->failed_at != 0 && now - kept->failed_at < RETRY_S)
		return false;
	return kept->expires_at == 0 || strcmp(kept->id, id) != 0 ||
	    now >= kept->fetched_at + (kept->expires_at - kept->fetched_at) / 2;
}

int
mta_sts_find(struct mta_sts *sts, const char *domain, time_t now,
    struct mta_sts_policy *policy_out)
{
	char id[MTA_STS_ID_SIZE] = "";
	bool has_record, is_wanted;
	const struct kept *kept;
	int result = 0;

	*policy_out = (struct mta_sts_policy){ .mode = MTA_STS_NONE };
	/* It becomes a file's name. */
	if (!is_pattern(domain) || *domain == '*' || strlen(domain) > 240)
		return 0;
	has_record = ask_id(sts, domain, id);
	pthread_mutex_lock(&sts->lock);
	is_wanted = has_record && needs_refresh(get_kept(sts, domain, now), id, now);
	pthread_mutex_unlock(&sts->lock);
	if (is_wanted)
		refresh(sts, domain, id, now);
	pthread_mutex_lock(&sts->lock);
	kept = get_kept(sts, domain, now);
	if (kept->expires_at > now) {
		copy_policy(&kept->policy, policy_out);
		result = 1;
	}
	pthread_mutex_unlock(&sts->lock);
	return result;
}
