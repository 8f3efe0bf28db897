/* SPDX-License-Identifier: ISC */
/* lookup, inquerytest: what is known of a user, by hand (lookup(8)). */
#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/log_text.h"
#include "base/mem.h"
#include "base/scan.h"
#include "base/usage.h"
#include "base/utf8.h"
#include "control/home.h"
#include "control/idn.h"
#include "control/json_text.h"
#include "control/layout.h"
#include "control/settings.h"
#include "lookupd/domains.h"
#include "lookupd/lookup_client.h"
#include "lookupd/vpasswd.h"

enum {
	WAIT_MS = 20 * 1000,
	RELAY_MINUTES = 60, /* as the setting of relaying by default */
	EXIT_FOUND = 0,
	EXIT_ABSENT = 1,
	EXIT_WRONG = 100,
	EXIT_UNKNOWN = 111
};

static const char usage[] =
    "usage: lookup [--json] user|password|alias|limits|filters|place "
    "USER@DOMAIN\n"
    "       lookup [--json] limits|domain|place DOMAIN\n"
    "       lookup [--json] relay USER@DOMAIN ADDRESS [SECONDS]\n"
    "       lookup [--json] stats\n";
static const char inquerytest_usage[] =
    "usage: inquerytest -q NUMBER [-i FIFO] USER@DOMAIN [ADDRESS]\n";

/* One question and what came of it. */
struct lookup {
	struct home *home;
	struct query query;
	char local[STORE_LOCAL_MAX + 1], domain[STORE_DOMAIN_MAX + 1];
	char *real; /* the domain by users/assign, or NULL */
	struct query_answer answer;
	bool is_of_files; /* a cdb store was read, nobody asked */
	struct lookup_reply reply;
	struct buf record;
};

/* -- asking */

/* An address that can be one.  False: nobody has it. */
static bool
take_address(struct lookup *lookup, const char *address)
{
	const char *at = strrchr(address, '@');
	size_t length = at == NULL ? 0 : (size_t)(at - address);

	if (length > STORE_LOCAL_MAX || (at != NULL && length == 0))
		return false;
	ascii_lower(lookup->local, address, length);
	lookup->local[length] = '\0';
	idn_domain_canonical(at == NULL ? address : at + 1, lookup->domain);
	lookup->query.local = lookup->local;
	lookup->query.domain = lookup->domain;
	return lookup->domain[0] != '\0';
}

/* The domain that users/assign says; the other one where it says nothing. */
static int
find_real_domain(struct lookup *lookup, struct error *err)
{
	struct cdb_cache *cache = cdb_cache_new(1);
	struct domains *domains = domains_new(lookup->home, cache, err);
	struct store_domain found;
	int result = domains == NULL
	    ? -1
	    : domains_find(domains, lookup->domain, 0, &found, err);

	if (result == 1) {
		lookup->real = xstrdup(found.name);
		lookup->query.domain = lookup->real;
		store_domain_release(&found);
	}
	domains_free(&domains);
	cdb_cache_free(&cache);
	return result;
}

/* lookupd's answer.  0 or -1. */
static int
ask_daemon(struct lookup *lookup, struct error *err)
{
	OWN_TEXT path = layout_path(lookup->home, LAYOUT_lookup);
	AUTO(lookup_client_free)
	struct lookup_client *client = lookup_client_new(path);

	if (lookup->query.kind != QUERY_STATS &&
	    lookup->query.kind != QUERY_DOMAIN &&
	    find_real_domain(lookup, err) == -1)
		return -1;
	if (lookup_client_ask(client, &lookup->query, 1, WAIT_MS,
		&lookup->reply, err) == -1)
		return -1;
	lookup->answer = lookup->reply.answers[0];
	return 0;
}

static void
put_file_user(struct buf *record, const struct store_user *user)
{
	const struct query_user found = { .flags = user->flags,
		.uid_flags = user->is_active ? 0 : VPASSWD_INACTIVE,
		.dir = user->dir,
		.quota = user->quota };

	query_put_user(record, &found);
}

static void
put_file_password(struct buf *record, const struct store_password *password)
{
	const struct query_password found = {
		.user = { .flags = password->flags,
		    .uid_flags = password->may_log_in ? 0 : VPASSWD_INACTIVE,
		    .dir = password->dir,
		    .quota = password->quota },
		.hash = password->hash,
		.scram = password->scram == NULL ? "" : password->scram,
		.secret = password->secret == NULL ? "" : password->secret,
		.gecos = "",
	};

	query_put_password(record, &found);
}

static int
find_in_files(struct lookup *lookup, struct store *store, struct error *err)
{
	const struct query *query = &lookup->query;
	const char *local = lookup->local, *domain = lookup->domain;
	struct store_user user;
	struct store_password password;
	struct store_alias alias;
	struct store_limits limits;
	struct store_filters filters;
	struct store_domain found;
	int result = -1;

	switch (query->kind) {
	case QUERY_USER:
		result = store_find_user(store, local, domain, &user, err);
		if (result == 1)
			put_file_user(&lookup->record, &user);
		store_user_release(&user);
		break;
	case QUERY_PASSWORD:
		result = store_find_password(
		    store, local, domain, &password, err);
		if (result == 1)
			put_file_password(&lookup->record, &password);
		store_password_release(&password);
		break;
	case QUERY_ALIAS:
		result = store_find_alias(store, local, domain, &alias, err);
		for (size_t i = 0; i < alias.lines.count; i++)
			buf_add(&lookup->record, alias.lines.items[i],
			    strlen(alias.lines.items[i]) + 1);
		store_alias_release(&alias);
		break;
	case QUERY_LIMITS:
		result = store_find_limits(store,
		    *local == '\0' ? NULL : local, domain, &limits, err);
		query_put_limits(&lookup->record, &limits);
		break;
	case QUERY_FILTERS:
		result = store_find_filters(
		    store, local, domain, &filters, err);
		for (size_t i = 0; i < filters.count; i++)
			query_put_filter(&lookup->record, &filters.items[i]);
		store_filters_release(&filters);
		break;
	case QUERY_DOMAIN:
		result = store_find_domain(store, domain, &found, err);
		if (result == 1)
			buf_add(&lookup->record, found.name,
			    strlen(found.name) + 1);
		store_domain_release(&found);
		break;
	case QUERY_RELAY:
		result = store_find_relay(store, local, domain, query->ip,
		    (unsigned)query->number, err);
		break;
	case QUERY_PLACE:
	case QUERY_STATS:
		return error_set(err,
		    "the user store is cdb: there is no lookupd to ask");
	case QUERY_LOGIN:
	case QUERY_KIND_COUNT:
		break;
	}
	return result;
}

/* A cdb store's answer.  0 or -1. */
static int
read_files(struct lookup *lookup, struct error *err)
{
	AUTO(store_free)
	struct store *store = store_open_cdb(lookup->home->root, err);
	int result = store == NULL ? -1 : find_in_files(lookup, store, err);

	if (result == -1)
		return -1;
	buf_reserve(&lookup->record, 1);
	lookup->is_of_files = true;
	lookup->answer = (struct query_answer){
		.state = result == 1 ? QUERY_FOUND : QUERY_ABSENT,
		.record = lookup->record.data,
		.length = lookup->record.length,
	};
	return 0;
}

static int
ask(struct lookup *lookup, struct error *err)
{
	AUTO(settings_free)
	struct settings *settings = settings_load(
	    lookup->home->control, "lookup", NULL, err);

	if (settings == NULL)
		return -1;
	return strcmp(settings_text(settings, SETTING_userstore), "pgsql") == 0
	    ? ask_daemon(lookup, err)
	    : read_files(lookup, err);
}

/* -- telling */

static const char *
state_text(enum query_state state)
{
	switch (state) {
	case QUERY_FOUND:
		return "found";
	case QUERY_ABSENT:
		return "absent";
	case QUERY_UNKNOWN:
		break;
	}
	return "unknown";
}

static const char *
source_text(const struct lookup *lookup)
{
	return lookup->is_of_files ? "files"
				   : query_source_name(lookup->answer.source);
}

static void
set_place_json(json_t *object, const struct query_place *place)
{
	json_object_set_new(object, "store", json_text(place->store));
	json_object_set_new(object, "node", json_text(place->node));
	json_object_set_new(
	    object, "epoch", json_integer((json_int_t)place->epoch));
	json_object_set_new(object, "moving", json_boolean(place->is_moving));
}

static void
set_user_json(json_t *object, const struct query_user *user)
{
	if (user->place.store != NULL)
		set_place_json(object, &user->place);
	json_object_set_new(object, "active",
	    json_boolean((user->uid_flags & VPASSWD_INACTIVE) == 0));
	json_object_set_new(object, "flags", json_integer(user->flags));
	json_object_set_new(object, "uid_flags", json_integer(user->uid_flags));
	json_object_set_new(object, "dir", json_text(user->dir));
	json_object_set_new(object, "quota", json_text(user->quota));
}

static json_t *
filters_json(const struct store_filters *filters)
{
	json_t *list = json_array();

	for (size_t i = 0; i < filters->count; i++) {
		const struct store_filter *filter = &filters->items[i];

		json_array_append_new(list,
		    json_pack("{s:i, s:o, s:i, s:i, s:o, s:o, s:o}", "number",
			filter->number, "name", json_text(filter->name),
			"header", filter->header, "comparison",
			filter->comparison, "keyword",
			json_text(filter->keyword), "destination",
			json_text(filter->destination), "bounce_action",
			json_text(filter->bounce_action)));
	}
	return list;
}

/* What a record says, added to the object; false: it cannot be read. */
static bool
set_record_json(json_t *object, enum query_kind kind, const void *record,
    size_t length)
{
	struct query_user user;
	struct query_password password;
	struct store_alias alias = { .lines = { NULL, 0 } };
	struct store_limits limits;
	struct store_filters filters;
	struct query_place place;
	const char *domain;
	json_t *list;
	bool is_read = true;

	switch (kind) {
	case QUERY_USER:
		is_read = query_get_user(record, length, &user);
		if (is_read)
			set_user_json(object, &user);
		break;
	case QUERY_PASSWORD:
		is_read = query_get_password(record, length, &password);
		if (!is_read)
			break;
		set_user_json(object, &password.user);
		json_object_set_new(object, "limits_flags",
		    json_integer(password.limits_flags));
		json_object_set_new(object, "hash", json_text(password.hash));
		json_object_set_new(object, "scram", json_text(password.scram));
		json_object_set_new(object, "has_secret",
		    json_boolean(*password.secret != '\0'));
		json_object_set_new(object, "gecos", json_text(password.gecos));
		break;
	case QUERY_ALIAS:
		is_read = query_get_alias(record, length, &alias);
		list = json_array();
		for (size_t i = 0; i < alias.lines.count; i++)
			json_array_append_new(
			    list, json_text(alias.lines.items[i]));
		json_object_set_new(object, "lines", list);
		store_alias_release(&alias);
		break;
	case QUERY_LIMITS:
		is_read = query_get_limits(record, length, &limits);
		for (unsigned i = 0; i < STORE_LIMIT_COUNT; i++)
			if (is_read && limits.has[i])
				json_object_set_new(object,
				    store_limit_names[i],
				    json_integer(limits.values[i]));
		break;
	case QUERY_FILTERS:
		is_read = query_get_filters(record, length, &filters);
		if (is_read)
			json_object_set_new(
			    object, "filters", filters_json(&filters));
		store_filters_release(&filters);
		break;
	case QUERY_DOMAIN:
		domain = query_get_domain(record, length);
		is_read = domain != NULL;
		if (is_read)
			json_object_set_new(
			    object, "real_domain", json_text(domain));
		break;
	case QUERY_PLACE:
		is_read = query_get_place(record, length, &place);
		if (is_read)
			set_place_json(object, &place);
		break;
	case QUERY_RELAY:
	case QUERY_LOGIN:
	case QUERY_STATS:
	case QUERY_KIND_COUNT:
		break;
	}
	return is_read;
}

static json_t *
answer_json(const struct lookup *lookup)
{
	const struct query_answer *answer = &lookup->answer;
	const char *real = lookup->query.domain;
	json_t *object = json_pack("{s:s, s:o, s:o, s:s, s:s}", "kind",
	    query_kind_name(lookup->query.kind), "local",
	    json_text(lookup->local), "domain", json_text(real), "state",
	    state_text(answer->state), "source", source_text(lookup));

	if (!lookup->is_of_files)
		json_object_set_new(object, "age_ms",
		    json_integer((json_int_t)answer->age_ms));
	if (answer->state == QUERY_FOUND &&
	    !set_record_json(object, lookup->query.kind, answer->record,
		answer->length))
		json_object_set_new(object, "damaged", json_true());
	if (answer->state == QUERY_UNKNOWN) {
		OWN_TEXT reason = xstrndup(answer->record, answer->length);

		json_object_set_new(object, "reason", json_text(reason));
	}
	return object;
}

/* One value as a line of its own; a list has one for each item. */
static void
print_value(const char *name, const json_t *value)
{
	size_t i;
	json_t *item;
	char *text;

	if (json_is_array(value)) {
		json_array_foreach((json_t *)(uintptr_t)value, i, item)
			print_value(name, item);
		return;
	}
	if (json_is_string(value))
		text = xstrdup(json_string_value(value));
	else
		text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
	text[log_clean(text, strlen(text))] = '\0';
	printf("%-14s %s\n", name, text);
	free(text);
}

static void
print_age(uint64_t age_ms)
{
	if (age_ms < 10000)
		printf(", %" PRIu64 ".%03u s old", age_ms / 1000,
		    (unsigned)(age_ms % 1000));
	else
		printf(", %" PRIu64 " s old", age_ms / 1000);
}

static void
print_answer(const struct lookup *lookup)
{
	json_t *object = answer_json(lookup), *value;
	static const char *const heads[] = { "kind", "local", "domain",
		"state", "source", "age_ms" };
	const char *name;

	printf("%s: %s", query_kind_name(lookup->query.kind),
	    state_text(lookup->answer.state));
	if (lookup->answer.state != QUERY_UNKNOWN) {
		printf(", from %s", source_text(lookup));
		if (!lookup->is_of_files)
			print_age(lookup->answer.age_ms);
	}
	putchar('\n');
	json_object_foreach(object, name, value)
	{
		bool is_head = false;

		for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++)
			is_head |= strcmp(name, heads[i]) == 0;
		if (!is_head)
			print_value(name, value);
	}
	json_decref(object);
}

static void
print_json(json_t *object)
{
	json_dumpf(object, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(object);
}

static const char *
place_text(enum store_place_kind kind)
{
	switch (kind) {
	case STORE_PLACE_HERE:
		return "here";
	case STORE_PLACE_NODE:
		return "node";
	case STORE_PLACE_MOVING:
		return "moving";
	case STORE_PLACE_NOBODY:
		break;
	}
	return "nobody";
}

/* 1 or 0; when it cannot be told that is the end. */
static int
find_lookup_place(const struct lookup *lookup, struct store_place *place_out)
{
	AUTO(store_free) struct store *store = NULL;
	struct error err;
	int result = -1;

	store = store_open(lookup->home->root, &err);
	if (store != NULL)
		result = store_find_place(
		    store, lookup->local, lookup->domain, place_out, &err);
	if (result == -1)
		fatal(EXIT_UNKNOWN, "%s", err.text);
	return result;
}

/* Where an address's mail goes, by all that is known of it. */
static int
run_place(struct lookup *lookup, bool is_json)
{
	AUTO(store_place_release)
	struct store_place place = { .storage = BUF_INIT };
	const char *name;
	json_t *object, *value;
	int result = find_lookup_place(lookup, &place);

	object = json_pack("{s:s, s:o, s:o, s:s}", "kind", "place", "local",
	    json_text(lookup->local), "domain", json_text(lookup->domain),
	    "state", result == 1 ? "found" : "absent");
	if (result == 1) {
		json_object_set_new(
		    object, "place", json_string(place_text(place.kind)));
		json_object_set_new(object, "node", json_text(place.node));
		json_object_set_new(object, "store", json_text(place.store));
		json_object_set_new(object, "epoch",
		    json_integer((json_int_t)place.epoch));
		json_object_set_new(object, "user", json_text(place.user));
		json_object_set_new(object, "dir", json_text(place.dir));
	}
	if (is_json)
		print_json(object);
	else {
		json_object_foreach(object, name, value)
		    print_value(name, value);
		json_decref(object);
	}
	return result == 1 ? EXIT_FOUND : EXIT_ABSENT;
}

/* lookupd's figures are JSON already. */
static void
print_stats(const struct lookup *lookup, bool is_json)
{
	json_t *object = json_loadb(
	    lookup->answer.record, lookup->answer.length, 0, NULL);
	const char *name;
	json_t *value;

	if (object == NULL)
		fatal(EXIT_UNKNOWN, "lookupd's figures cannot be read");
	if (is_json) {
		print_json(object);
		return;
	}
	json_object_foreach(object, name, value) print_value(name, value);
	json_decref(object);
}

static int
exit_code(enum query_state state)
{
	switch (state) {
	case QUERY_FOUND:
		return EXIT_FOUND;
	case QUERY_ABSENT:
		return EXIT_ABSENT;
	case QUERY_UNKNOWN:
		break;
	}
	return EXIT_UNKNOWN;
}

static void __attribute__((noreturn))
refuse_usage(const char *text)
{
	fputs(text, stderr);
	exit(EXIT_WRONG);
}

static int
run_lookup(struct lookup *lookup, int count, char **words, bool is_json)
{
	struct error err;

	if (count < 1 || !query_kind_find(words[0], &lookup->query.kind) ||
	    lookup->query.kind == QUERY_LOGIN)
		refuse_usage(usage);
	if (lookup->query.kind == QUERY_RELAY) {
		if (count < 3 || count > 4)
			refuse_usage(usage);
		lookup->query.ip = words[2];
		lookup->query.number = RELAY_MINUTES * 60;
		if (count == 4 &&
		    !scan_u64(words[3], UINT32_MAX, &lookup->query.number))
			refuse_usage(usage);
	} else if (count != (lookup->query.kind == QUERY_STATS ? 1 : 2))
		refuse_usage(usage);
	if (lookup->query.kind != QUERY_STATS &&
	    (!take_address(lookup, words[1]) ||
		(lookup->local[0] == '\0' &&
		    lookup->query.kind != QUERY_LIMITS &&
		    lookup->query.kind != QUERY_PLACE &&
		    lookup->query.kind != QUERY_DOMAIN) ||
		(lookup->local[0] != '\0' &&
		    lookup->query.kind == QUERY_DOMAIN)))
		fatal(EXIT_WRONG, "'%.300s' is no such address", words[1]);
	if (lookup->query.kind == QUERY_PLACE && lookup->local[0] != '\0')
		return run_place(lookup, is_json);
	if (ask(lookup, &err) == -1)
		fatal(EXIT_UNKNOWN, "%s", err.text);
	if (lookup->query.kind == QUERY_STATS)
		print_stats(lookup, is_json);
	else if (is_json)
		print_json(answer_json(lookup));
	else
		print_answer(lookup);
	return exit_code(lookup->answer.state);
}

/* -- inquerytest: the numbers and answers of reference 2.1 and 2.4 */

/* USER_QUERY: 0 usable, 1 absent, 2 inactive, 4 an alias, -1 unknown. */
static int
user_status(struct lookup *lookup, struct error *err)
{
	struct query_user user;

	if (lookup->answer.state == QUERY_FOUND &&
	    query_get_user(
		lookup->answer.record, lookup->answer.length, &user))
		return (user.uid_flags & VPASSWD_INACTIVE) != 0 ? 2 : 0;
	if (lookup->answer.state != QUERY_ABSENT)
		return -1;
	lookup_reply_release(&lookup->reply);
	buf_reset(&lookup->record);
	lookup->query.kind = QUERY_ALIAS;
	lookup->query.domain = lookup->domain;
	free(lookup->real);
	lookup->real = NULL;
	if (ask(lookup, err) == -1 || lookup->answer.state == QUERY_UNKNOWN)
		return -1;
	return lookup->answer.state == QUERY_FOUND ? 4 : 1;
}

static void
print_pwstruct(const struct lookup *lookup, const char *address)
{
	struct query_password password;

	if (lookup->answer.state != QUERY_FOUND ||
	    !query_get_password(
		lookup->answer.record, lookup->answer.length, &password)) {
		printf("PWSTRUCT=No such user %s\n", address);
		return;
	}
	printf("PWSTRUCT=%s@%s:%s%s%s:%u:%u:%s:%s:%s:%d\n", lookup->local,
	    lookup->query.domain, password.scram,
	    *password.scram == '\0' ? "" : ",", password.hash,
	    password.user.uid_flags & ~(unsigned)VPASSWD_INACTIVE,
	    password.user.flags, password.gecos, password.user.dir,
	    password.user.quota,
	    (password.user.uid_flags & VPASSWD_INACTIVE) != 0);
}

static void
print_alias_lines(const struct lookup *lookup)
{
	struct store_alias alias = { .lines = { NULL, 0 } };

	if (lookup->answer.state == QUERY_FOUND &&
	    query_get_alias(
		lookup->answer.record, lookup->answer.length, &alias))
		for (size_t i = 0; i < alias.lines.count; i++)
			puts(alias.lines.items[i]);
	store_alias_release(&alias);
}

static const enum query_kind inquery_kinds[] = { 0, QUERY_USER, QUERY_RELAY,
	QUERY_PASSWORD, QUERY_PLACE, QUERY_ALIAS, QUERY_LIMITS, QUERY_DOMAIN };

/* The node that has the user; an empty line: it is the one asked, or none. */
static int
print_place_node(const struct lookup *lookup)
{
	AUTO(store_place_release)
	struct store_place place = { .storage = BUF_INIT };
	int result = find_lookup_place(lookup, &place);

	puts(result == 1 ? place.node : "");
	return result == 1 ? EXIT_FOUND : EXIT_ABSENT;
}

static int
run_inquerytest(struct lookup *lookup, int argc, char **argv)
{
	uint64_t number = 0;
	struct error err;
	int option, status;

	while ((option = getopt(argc, argv, "q:i:")) != -1)
		if (option == '?' ||
		    (option == 'q' && (!scan_u64(optarg, 7, &number))))
			refuse_usage(inquerytest_usage);
	argc -= optind;
	argv += optind;
	if (number == 0 || argc < 1 || argc > 2 ||
	    (number == 2) != (argc == 2))
		refuse_usage(inquerytest_usage);
	lookup->query.kind = inquery_kinds[number];
	if (argc == 2) {
		lookup->query.ip = argv[1];
		lookup->query.number = RELAY_MINUTES * 60;
	}
	if (!take_address(lookup, argv[0]))
		fatal(EXIT_WRONG, "'%.300s' is no such address", argv[0]);
	if (lookup->query.kind == QUERY_PLACE)
		return print_place_node(lookup);
	if (ask(lookup, &err) == -1)
		fatal(EXIT_UNKNOWN, "%s", err.text);
	switch (lookup->query.kind) {
	case QUERY_USER:
		status = user_status(lookup, &err);
		printf("%d\n", status);
		return status == -1 ? EXIT_UNKNOWN : status;
	case QUERY_RELAY:
		printf("%d\n",
		    lookup->answer.state == QUERY_UNKNOWN
			? -1
			: lookup->answer.state == QUERY_FOUND);
		break;
	case QUERY_PASSWORD:
		print_pwstruct(lookup, argv[0]);
		break;
	case QUERY_ALIAS:
		print_alias_lines(lookup);
		break;
	case QUERY_DOMAIN:
		printf("%s\n",
		    lookup->answer.state == QUERY_FOUND
			? lookup->answer.record
			: lookup->domain);
		break;
	case QUERY_LIMITS:
		print_answer(lookup);
		break;
	case QUERY_FILTERS:
	case QUERY_PLACE:
	case QUERY_LOGIN:
	case QUERY_STATS:
	case QUERY_KIND_COUNT:
		break;
	}
	return exit_code(lookup->answer.state);
}

int
main(int argc, char **argv)
{
	const char *slash = strrchr(argv[0], '/');
	const char *program = slash == NULL ? argv[0] : slash + 1;
	bool is_inquerytest = strcmp(program, "inquerytest") == 0;
	bool is_json = false;
	struct lookup lookup = { .query = { .local = "",
				     .domain = "",
				     .ip = "",
				     .service = "" } };
	int code;

	log_open(is_inquerytest ? "inquerytest" : "lookup");
	usage_answer(argv, is_inquerytest ? "inquerytest" : "lookup",
	    is_inquerytest ? inquerytest_usage : usage);
	lookup.home = home_new();
	if (is_inquerytest)
		code = run_inquerytest(&lookup, argc, argv);
	else {
		is_json = argc > 1 && strcmp(argv[1], "--json") == 0;
		code = run_lookup(&lookup, argc - 1 - is_json,
		    argv + 1 + is_json, is_json);
	}
	lookup_reply_release(&lookup.reply);
	buf_release(&lookup.record);
	free(lookup.real);
	home_free(&lookup.home);
	return code;
}
