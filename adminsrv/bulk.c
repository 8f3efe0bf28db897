/* SPDX-License-Identifier: ISC */
/* Many new users from a list. */
#include "adminsrv/bulk.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "adminsrv/limits.h"
#include "adminsrv/progress.h"
#include "adminsrv/quota_text.h"
#include "base/mem.h"

enum { LINE_MAX_BYTES = 2048, WORDS_MAX = 3, THREADS_MAX = 16 };

static const char blanks[] = " \t\r\n";

/* Splits a line in place; the number of words, WORDS_MAX + 1 for more. */
static unsigned
split_words(char *line, char *words[WORDS_MAX + 1])
{
	unsigned count = 0;
	char *rest = NULL;

	for (unsigned i = 0; i <= WORDS_MAX; i++)
		words[i] = NULL;
	for (char *word = strtok_r(line, blanks, &rest);
	     word != NULL && count <= WORDS_MAX;
	     word = strtok_r(NULL, blanks, &rest))
		words[count++] = word;
	return count;
}

static int
read_bulk_user(char *line, enum bulk_password kind, const char *default_quota,
    struct bulk_user *user, struct error *err)
{
	unsigned has_password = kind == BULK_NO_PASSWORD ? 0 : 1;
	char *words[WORDS_MAX + 1];
	unsigned count = split_words(line, words);
	const char *quota_word = words[1 + has_password];
	struct buf quota;
	int result;

	if (count < 1 + has_password || count > 2 + has_password)
		return error_set(err, "not of the form 'user@domain %s[quota]'",
		    has_password ? "password " : "");
	if (names_address(words[0], &user->address, err) == -1 ||
	    names_check_new_user(user->address.local, err) == -1)
		return -1;
	buf_init(&quota);
	result = quota_text_read(
	    quota_word == NULL ? default_quota : quota_word, &quota, err);
	user->quota = quota.data; /* the user's now */
	user->has_quota = quota_word != NULL;
	if (has_password)
		user->password = xstrdup(words[1]);
	return result;
}

/* The next line into text: 1; 0 at the end; -1 when it is not usable. */
static int
read_list_line(FILE *file, char text[LINE_MAX_BYTES], struct error *err)
{
	size_t length = 0;
	int c;

	while ((c = getc(file)) != EOF && c != '\n') {
		if (c == '\0' || length == LINE_MAX_BYTES - 2)
			return error_set(err,
			    "longer than %d bytes, or with a NUL",
			    LINE_MAX_BYTES - 2);
		text[length++] = (char)c;
	}
	text[length] = '\0';
	if (ferror(file))
		return error_sys(err, "cannot read the list");
	return c != EOF || length > 0;
}

int
bulk_read(FILE *file, enum bulk_password kind, const char *default_quota,
    struct bulk *bulk_out, struct error *err)
{
	char text[LINE_MAX_BYTES];
	int result;

	*bulk_out = (struct bulk){ .users = NULL };
	for (unsigned line = 1;; line++) {
		struct bulk_user *user;

		result = read_list_line(file, text, err);
		if (result == -1)
			error_context(err, "line %u of the list", line);
		if (result != 1)
			break;
		if (text[0] == '#' || text[strspn(text, blanks)] == '\0')
			continue;
		bulk_out->users = mem_room(
		    bulk_out->users, bulk_out->count, sizeof(*bulk_out->users));
		user = &bulk_out->users[bulk_out->count++];
		*user = (struct bulk_user){ .line = line };
		if (read_bulk_user(text, kind, default_quota, user, err) ==
		    -1) {
			result = error_context(
			    err, "line %u of the list", line);
			break;
		}
	}
	explicit_bzero(text, sizeof(text));
	return result;
}

void
bulk_release(struct bulk *bulk)
{
	for (size_t i = 0; i < bulk->count; i++) {
		struct bulk_user *user = &bulk->users[i];

		if (user->password != NULL)
			explicit_bzero(user->password, strlen(user->password));
		free(user->password);
		password_data_release(&user->data);
		free(user->quota);
	}
	free(bulk->users);
	*bulk = (struct bulk){ .users = NULL };
}

/* Shared by the hashing threads. */
struct hashing {
	struct bulk *bulk;
	const char *method;
	bool keeps_secret;
	atomic_size_t next;
	struct progress *progress; /* of the first thread, which shows it */
	pthread_t first;
};

static void *
hash_some(void *context)
{
	struct hashing *hashing = context;
	bool is_first = pthread_equal(pthread_self(), hashing->first);
	size_t i;

	while (
	    (i = atomic_fetch_add(&hashing->next, 1)) < hashing->bulk->count) {
		struct bulk_user *user = &hashing->bulk->users[i];

		/* Without a hash the reason is asked for at the end. */
		password_data_make(user->password, hashing->method,
		    hashing->keeps_secret, &user->data, NULL);
		if (is_first)
			progress_add(
			    hashing->progress, i + 1 - hashing->progress->done);
	}
	return NULL;
}

static int
hash_all(
    struct bulk *bulk, const char *method, bool keeps_secret, struct error *err)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	struct progress progress;
	struct hashing hashing = { .bulk = bulk,
		.method = method,
		.keeps_secret = keeps_secret,
		.progress = &progress,
		.first = pthread_self() };
	pthread_t threads[THREADS_MAX];
	int started = 0;

	progress_begin(&progress, "hashing passwords", bulk->count);
	while (started + 1 < processors && started < THREADS_MAX &&
	    pthread_create(&threads[started], NULL, hash_some, &hashing) == 0)
		started++;
	hash_some(&hashing); /* this thread works too */
	for (int i = 0; i < started; i++)
		pthread_join(threads[i], NULL);
	progress_end(&progress);
	for (size_t i = 0; i < bulk->count; i++) {
		struct bulk_user *user = &bulk->users[i];

		if (user->data.scram.length == 0 &&
		    password_data_make(user->password, method, keeps_secret,
			&user->data, err) == -1)
			return -1;
	}
	return 0;
}

int
bulk_hash(struct bulk *bulk, enum bulk_password kind, const char *method,
    struct error *err)
{
	if (kind == BULK_CLEAR || kind == BULK_KEPT)
		return hash_all(bulk, method, kind == BULK_KEPT, err);
	for (size_t i = 0; i < bulk->count; i++) {
		struct bulk_user *user = &bulk->users[i];

		password_data_take(
		    kind == BULK_HASHED ? user->password : VPASSWD_NO_PASSWORD,
		    &user->data);
	}
	return 0;
}

/* By domain, then as they were. */
static int
compare_by_domain(const void *left, const void *right)
{
	const struct bulk_user *a = left, *b = right;
	int order = strcmp(a->address.domain, b->address.domain);

	return order != 0 ? order : (a->line > b->line) - (a->line < b->line);
}

/* What is the same for all. */
struct bulk_way {
	const char *gecos, *base;
	bool by_limits;
	const struct bulk *bulk;
};

static enum admin_result
add_to_domain(const struct bulk_user *list, size_t count, const char *home_root,
    const struct bulk_way *way, struct progress *progress, struct error *err)
{
	AUTO(buf_release) struct buf quota = BUF_INIT;
	AUTO(mem_free) struct users_new *new = xcalloc(count, sizeof(*new));
	AUTO(users_close) struct users *users = NULL;
	const char *domain = list[0].address.domain;
	enum admin_result result;

	for (size_t i = 0; i < count; i++)
		new[i] = (struct users_new){ .name = list[i].address.local,
			.hash = list[i].data.hash.data,
			.scram = password_text(&list[i].data.scram),
			.secret = password_text(&list[i].data.secret),
			.gecos = way->gecos == NULL ? list[i].address.local
						    : way->gecos,
			.quota = list[i].quota };
	result = users_open_named(home_root, domain, &users, err);
	if (result == ADMIN_OK) {
		users_set_progress(users, progress);
		if (way->base != NULL)
			users_set_base(users, way->base);
		users_set_wish(users, &way->bulk->wish, way->bulk->no_wait);
		if (way->by_limits &&
		    limits_default_quota(users, &quota, err) == -1)
			result = ADMIN_FAILED;
	}
	if (result == ADMIN_OK) {
		for (size_t i = 0; quota.length > 0 && i < count; i++)
			if (!list[i].has_quota)
				new[i].quota = quota.data;
		result = users_add(users, new, count, err);
	}
	/* Those of a cluster may be there, without homes. */
	if (result != ADMIN_OK && users != NULL && users_is_clustered(users))
		error_context(err, "'%s'", domain);
	else if (result != ADMIN_OK)
		error_context(err, "none added in '%s'", domain);
	return result;
}

enum admin_result
bulk_add(struct bulk *bulk, const char *home_root, const char *gecos,
    const char *base, bool by_limits, struct error *err)
{
	const struct bulk_way way = { gecos, base, by_limits, bulk };
	enum admin_result result = ADMIN_OK;
	struct progress progress;
	size_t end;

	progress_begin(&progress, "adding users", bulk->count);
	if (bulk->count > 0)
		qsort(bulk->users, bulk->count, sizeof(*bulk->users),
		    compare_by_domain);
	for (size_t i = 0; result == ADMIN_OK && i < bulk->count; i = end) {
		end = i + 1;
		while (end < bulk->count &&
		    strcmp(bulk->users[end].address.domain,
			bulk->users[i].address.domain) == 0)
			end++;
		result = add_to_domain(
		    &bulk->users[i], end - i, home_root, &way, &progress, err);
	}
	progress_end(&progress);
	return result;
}
