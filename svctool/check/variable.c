/* SPDX-License-Identifier: ISC */
/* One variable's name and value, and the queues that variables choose. */
#include "svctool/check/variable.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/scan.h"
#include "queue/sink_settings.h"
#include "svctool/check/domain.h"

/* Numbers that are no settings. */
static const struct {
	const char *name;
	uint64_t max;
	const char *example;
} numbers[] = {
	{ "MAX_RCPT_ERRCOUNT", INT64_MAX, "10" },
	{ "SOFT_FILES", INT32_MAX, "20000" },
};

static void
find_bad_value(struct check *check, const struct check_place *place,
    const char *name, const char *text, const char *remedy)
{
	check_find(check, CHECK_ERROR, place->file, place->line,
	    "%s%s: %s" REMEDY "%s%s", place->what, name, text, remedy,
	    place->remedy);
}

void
check_variable(struct check *check, const struct check_place *place,
    const char *name, const char *value)
{
	struct error err;
	uint64_t number;

	if (place->is_session && *value == '\0')
		return;
	for (unsigned id = 0; id < SETTING_COUNT; id++)
		if (strcmp(setting_rows[id].env, name) == 0 &&
		    settings_check_value(id, value, &err) == -1) {
			const char *remedy = check_cut_remedy(err.text);

			find_bad_value(check, place, name, err.text,
			    remedy != NULL ? remedy : "correct it");
		}
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		if (strcmp(numbers[i].name, name) == 0 &&
		    !scan_u64(value, numbers[i].max, &number)) {
			OWN_TEXT text = xasprintf(
			    "'%.60s' is no number", value);
			OWN_TEXT remedy = xasprintf(
			    "write for example %s", numbers[i].example);

			find_bad_value(check, place, name, text, remedy);
		}
}

/* True when a queue is there, or when it cannot be told. */
static bool
may_be_queue(const char *path)
{
	OWN_TEXT mess = xasprintf("%s/mess", path);

	return access(mess, F_OK) == 0 || (errno != ENOENT && errno != ENOTDIR);
}

/*
 * True when the queue is there; verb says how the variable means it, and
 * is_first that it is the first of a collection: then it is more likely that
 * the collection's number is wrong than that a queue is missing.
 */
static bool
check_one(struct check *check, const struct check_place *place,
    const char *path, const char *verb, bool is_first)
{
	if (!strlist_has(&check->used_queues, path))
		strlist_add(&check->used_queues, path);
	if (*path != '/') {
		check_find(check, CHECK_ERROR, place->file, place->line,
		    "%sit %s the queue '%s', which is no absolute path" REMEDY
		    "begin it with /%s",
		    place->what, verb, path, place->remedy);
		return false;
	}
	if (may_be_queue(path))
		return true;
	check_find(check, CHECK_ERROR, place->file, place->line,
	    "%sit %s the queue '%s', which does not exist", place->what, verb,
	    path);
	if (is_first)
		check_remedy(check,
		    "write the first queue's number to queue_start "
		    "(QUEUE_START), or its folder to queue_base%s",
		    place->remedy);
	else if (check_is_below(path, check->node->home->queue) &&
	    strchr(path + strlen(check->node->home->queue) + 1, '/') == NULL)
		check_remedy(check, "correct it%s, or svctool queue add %s",
		    place->remedy, strrchr(path, '/') + 1);
	else
		check_remedy(check,
		    "correct it%s, or make that queue with 'queue-fix %s' and "
		    "run its qmail-start",
		    place->remedy, path);
	return false;
}

const char *
check_queue_chooser(const struct vars *vars)
{
	static const char *const names[] = { "QUEUEDIR", "QUEUE_COUNT",
		"QUEUE_START", "QUEUE_BASE" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		for (size_t j = 0; j < vars->count; j++)
			if (strcmp(vars->entries[j].name, names[i]) == 0)
				return names[i];
	return NULL;
}

void
check_queue_choice(struct check *check, const struct check_place *place,
    const struct vars *vars)
{
	struct sink_options options;
	struct sink_choice choice;
	struct error err;
	bool is_there = true;

	sink_options_set(&options, check->settings, check->node->home);
	/* What is no number check_variable() finds. */
	if (sink_choose(&options, vars, &choice, &err) == -1 ||
	    choice.count == 0) {
		check->has_bad_count |= !place->is_session;
		return;
	}
	if (choice.queue_dir != NULL) {
		check_one(check, place, choice.queue_dir, "names", false);
		return;
	}
	/* The first that is missing tells enough. */
	for (uint64_t i = 0; is_there && i < choice.count; i++) {
		OWN_TEXT path = xasprintf("%s/queue%llu", choice.base,
		    (unsigned long long)(choice.start + i));

		is_there = check_one(check, place, path, "counts", i == 0);
		/* Which queues are counted is not known then. */
		if (!is_there && i == 0 && !place->is_session)
			check->has_bad_count = true;
	}
}

enum { NAME_MAX_LENGTH = 40, SHORT = 6, DISTANCE_MAX = 2 };

/* Variables that are no settings. */
static const char *const others[] = { "ASSIGNDIR", "CERTDIR", "CONTROLDIR",
	"DOMAINBINDINGS", "DOMAINDIR", "ELIMINATE_DUPS", "ELIMINATE_DUPS_INT",
	"HELOHOSTBYIP", "HOLDOVERQUOTA", "INCLUDE_TRASH", "LISTEN",
	"MAILCOUNT_LIMIT", "MAILDIRFOLDER", "MAILSIZE_LIMIT",
	"MAX_RCPT_ERRCOUNT", "MQMAIL_HOME", "MQMAIL_USER", "NULLQUEUE",
	"OPTIONS", "OVERQUOTA_MAILSIZE", "QMAILQUEUE", "QUEUEDIR", "QUEUEPROG",
	"RELAYCLIENT", "SERVERCERT", "SMTPROUTES", "SMTPS", "SOFT_FILES",
	"TCPRULES" };

enum { OTHER_COUNT = sizeof(others) / sizeof(others[0]) };

/* How many letters must be put in, left out or changed (Levenshtein). */
static unsigned
distance(const char *a, const char *b)
{
	unsigned row[NAME_MAX_LENGTH + 1];
	size_t length = strlen(b);

	for (unsigned j = 0; j <= length; j++)
		row[j] = j;
	for (unsigned i = 1; *a != '\0'; a++, i++) {
		unsigned corner = row[0];

		row[0] = i;
		for (size_t j = 1; j <= length; j++) {
			unsigned above = row[j];

			row[j] = (above < row[j - 1] ? above : row[j - 1]) + 1;
			corner += *a != b[j - 1];
			row[j] = corner < row[j] ? corner : row[j];
			corner = above;
		}
	}
	return row[length];
}

static const char *
known(size_t i)
{
	return i < OTHER_COUNT ? others[i] : setting_rows[i - OTHER_COUNT].env;
}

const char *
check_spelling(const char *name)
{
	const char *found = NULL;

	if (strlen(name) < SHORT || strlen(name) > NAME_MAX_LENGTH)
		return NULL;
	for (size_t i = 0; i < OTHER_COUNT + SETTING_COUNT; i++) {
		const char *other = known(i);

		if (strcmp(other, name) == 0)
			return NULL;
		if (strlen(other) >= SHORT &&
		    strlen(other) <= NAME_MAX_LENGTH &&
		    distance(name, other) <= DISTANCE_MAX)
			found = other;
	}
	return found;
}
