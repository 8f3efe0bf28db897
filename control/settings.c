/* SPDX-License-Identifier: ISC */
/* The settings of a node: table, loader, and access to what was loaded. */
#include "control/settings.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/lines.h"
#include "base/mem.h"
#include "base/scan.h"
#include "control/idn.h"

enum { FILE_MAX_BYTES = 256 * 1024 * 1024 };

const struct setting_row setting_rows[SETTING_COUNT] = {
#define SETTING(name, type, unit, standard, min, max, env, readers, text) \
	{ #name, SETTING_##type, unit, standard, min, max, env, readers, text },
#include "control/settings.tbl"
#undef SETTING
};

bool
setting_is_secret(const struct setting_row *row)
{
	return strcmp(row->unit, "connection") == 0;
}

struct value {
	bool is_loaded;
	bool is_set;
	uint64_t number;     /* NUMBER, FLAG */
	char *text;          /* TEXT, RULES */
	struct strlist list; /* LIST */
	char *source;
};

struct settings {
	struct value values[SETTING_COUNT];
};

/* What one load needs to know. */
struct loader {
	struct settings *settings;
	const char *control_dir;
	const char *instance; /* or NULL */
};

static bool
is_reader(const struct setting_row *row, const char *program)
{
	size_t length = strlen(program);
	const char *at = row->readers;

	assert(length > 0);
	while ((at = strstr(at, program)) != NULL) {
		if ((at == row->readers || at[-1] == ' ') &&
		    (at[length] == ' ' || at[length] == '\0'))
			return true;
		at += length;
	}
	return false;
}

static void
value_clear(struct value *value)
{
	strlist_release(&value->list);
	free(value->text);
	free(value->source);
	*value = (struct value){ .is_loaded = false };
}

/*
 * A name of a domain that is not ASCII becomes its A-labels: "DOMAIN", and of
 * virtualdomains' lines what stands before the ':', behind an '@'.
 */
static char *
canonical_value(const struct setting_row *row, const char *text)
{
	bool has_prefix = strcmp(row->unit, "domain:prefix") == 0;
	size_t end = has_prefix ? strcspn(text, ":") : strlen(text);
	const char *at = has_prefix ? memrchr(text, '@', end) : NULL;
	size_t start = at == NULL ? 0 : (size_t)(at - text) + 1;
	char domain[IDN_DOMAIN_SIZE];
	OWN_TEXT spelled = NULL;

	if (!has_prefix && strcmp(row->unit, "domain") != 0 &&
	    strcmp(row->unit, "host") != 0)
		return xstrdup(text);
	spelled = xstrndup(text + start, end - start);
	if (idn_is_ascii(spelled) || !idn_domain_canonical(spelled, domain))
		return xstrdup(text);
	return xasprintf("%.*s%s%s", (int)start, text, domain, text + end);
}

/* Puts one checked text into the value. */
static void
value_store(enum setting_id id, const char *text, struct value *value)
{
	OWN_TEXT spelled = canonical_value(&setting_rows[id], text);

	switch (setting_rows[id].type) {
	case SETTING_NUMBER:
	case SETTING_FLAG:
		if (!scan_u64(text, UINT64_MAX, &value->number))
			assert(!"a number was checked before");
		break;
	case SETTING_TEXT:
	case SETTING_RULES:
		value->text = xstrdup(spelled);
		break;
	case SETTING_LIST:
		strlist_add(&value->list, spelled);
		break;
	}
}

/*
 * The content of a control file; text is changed.  Of a list every line
 * counts, else the first only, as in qmail.
 */
static void
walk_lines(enum setting_id id, struct lines *lines,
    const struct setting_visitor *visitor)
{
	bool is_list = setting_rows[id].type == SETTING_LIST;
	char nothing[] = "", *line = nothing;
	int found;

	do {
		unsigned number;
		struct error err;

		found = lines_next(lines, &line, &err);
		number = lines->number > 0 ? lines->number : 1;
		if (is_list && found != -1 &&
		    (found == 0 || *line == '#' || *line == '\0'))
			continue;
		if (found == -1 || settings_check_value(id, line, &err) == -1)
			visitor->fault(number, err.text, visitor->context);
		else {
			OWN_TEXT value = canonical_value(
			    &setting_rows[id], line);

			visitor->value(number, value, visitor->context);
		}
	} while (is_list && found == 1);
}

int
settings_walk(enum setting_id id, const char *path,
    const struct setting_visitor *visitor, struct error *err)
{
	AUTO(buf_release) struct buf text = BUF_INIT;
	int result = file_read(path, FILE_MAX_BYTES, &text, err);
	struct lines lines;

	lines_open(&lines, &text);
	if (result == 1)
		walk_lines(id, &lines, visitor);
	return result;
}

/* One file that is loaded. */
struct load {
	enum setting_id id;
	const char *path;
	struct value *value;
	struct error *err;
	bool is_bad;
};

static void
take_load_value(unsigned line, const char *text, void *context)
{
	struct load *load = context;

	(void)line;
	if (!load->is_bad)
		value_store(load->id, text, load->value);
}

/* The first one is told. */
static void
take_fault(unsigned line, const char *reason, void *context)
{
	struct load *load = context;

	if (!load->is_bad)
		error_set(load->err, "%s:%u: %s", load->path, line, reason);
	load->is_bad = true;
}

/* 1, 0 when there is no such file, -1. */
static int
load_file(enum setting_id id, const char *path, struct value *value,
    struct error *err)
{
	struct load load = { id, path, value, err, false };
	const struct setting_visitor visitor = { take_load_value, take_fault,
		&load };
	int result = settings_walk(id, path, &visitor, err);

	if (load.is_bad)
		return -1;
	if (result == 1) {
		value->is_set = true;
		value->source = xstrdup(path);
	}
	return result;
}

bool
settings_is_of_queues(enum setting_id id)
{
	return is_reader(&setting_rows[id], "qmail-send");
}

/* The name before ".queueN" that IndiMail gives these two, or NULL. */
static const char *
short_name(enum setting_id id)
{
	if (id == SETTING_concurrencylocal)
		return "concurrencyl";
	if (id == SETTING_concurrencyremote)
		return "concurrencyr";
	return NULL;
}

/* The files of a setting, those of the instance first. */
static int
load_files(const struct loader *loader, enum setting_id id, struct value *value,
    struct error *err)
{
	const struct setting_row *row = &setting_rows[id];
	const char *names[] = { row->name, short_name(id) };
	OWN_TEXT common = xasprintf("%s/%s", loader->control_dir, row->name);
	int result = 0;

	if (loader->instance != NULL && settings_is_of_queues(id))
		for (size_t i = 0; i < 2 && names[i] != NULL && result == 0;
		     i++) {
			OWN_TEXT own = xasprintf("%s/%s.%s",
			    loader->control_dir, names[i], loader->instance);

			result = load_file(id, own, value, err);
		}
	return result != 0 ? result : load_file(id, common, value, err);
}

/* 1, 0 when the setting has no variable or it is unset, -1. */
static int
load_variable(enum setting_id id, struct value *value, struct error *err)
{
	const char *name = setting_rows[id].env;
	const char *text = *name != '\0' ? getenv(name) : NULL;

	if (text == NULL)
		return 0;
	if (settings_check_value(id, text, err) == -1)
		return error_context(err, "variable %s", name);
	value_store(id, text, value);
	value->is_set = true;
	value->source = xasprintf("variable %s", name);
	return 1;
}

static int load_value(
    const struct loader *loader, enum setting_id id, struct error *err);

/* Its default: of some settings what me is. */
static void
use_default(struct settings *settings, enum setting_id id)
{
	const struct setting_row *row = &setting_rows[id];
	struct value *value = &settings->values[id];
	const char *standard = strcmp(row->standard, "me") == 0
	    ? settings_text(settings, SETTING_me)
	    : row->standard;

	value_clear(value);
	if (row->type != SETTING_LIST || *standard != '\0')
		value_store(id, standard, value);
	value->source = xstrdup("default");
	value->is_loaded = true;
}

static int
load_default(const struct loader *loader, enum setting_id id, struct error *err)
{
	if (strcmp(setting_rows[id].standard, "me") == 0 &&
	    load_value(loader, SETTING_me, err) == -1)
		return -1;
	use_default(loader->settings, id);
	if (id == SETTING_me)
		return error_set(err,
		    "%s/me: no such file; write this node's host name in it, "
		    "for example mail.example.org",
		    loader->control_dir);
	return 0;
}

/* A file of rules is not read here, only named and looked for. */
static int
load_rules(const struct loader *loader, enum setting_id id, struct value *value,
    struct error *err)
{
	const struct setting_row *row = &setting_rows[id];
	int found = load_variable(id, value, err);

	if (found == -1)
		return -1;
	if (found == 0)
		value->text = xstrdup(row->standard);
	if (value->text[0] != '/') {
		OWN_TEXT name = value->text;

		value->text = xasprintf("%s/%s", loader->control_dir, name);
	}
	if (found == 0) {
		value->is_set = access(value->text, F_OK) == 0;
		value->source = xstrdup(
		    value->is_set ? value->text : "default");
	}
	return 0;
}

/* Loads one setting; afterwards it has a value, if only an empty one. */
static int
load_value(const struct loader *loader, enum setting_id id, struct error *err)
{
	struct value *value = &loader->settings->values[id];
	int result;

	if (value->is_loaded)
		return 0;
	if (setting_rows[id].type == SETTING_RULES)
		result = load_rules(loader, id, value, err);
	else {
		result = load_variable(id, value, err);
		if (result == 0)
			result = load_files(loader, id, value, err);
		if (result == 0)
			result = load_default(loader, id, err);
	}
	value->is_loaded = true;
	return result == -1 ? -1 : 0;
}

struct settings *
settings_load(const char *control_dir, const char *program,
    const char *instance, struct error *err)
{
	struct settings *settings;
	struct loader loader = { NULL, control_dir, instance };
	unsigned id;

	if (instance != NULL &&
	    (*instance == '\0' || strchr(instance, '/') != NULL)) {
		error_set(err,
		    "'%s' is not a queue's name; write for example queue1",
		    instance);
		return NULL;
	}
	settings = loader.settings = xcalloc(1, sizeof(*settings));
	for (id = 0; id < SETTING_COUNT; id++) {
		if (program != NULL && !is_reader(&setting_rows[id], program))
			continue;
		if (load_value(&loader, id, err) == -1) {
			settings_free(&settings);
			break;
		}
	}
	return settings;
}

struct settings *
settings_load_all(const char *control_dir, const char *instance,
    void (*report)(enum setting_id id, const char *reason, void *context),
    void *context)
{
	struct settings *settings = xcalloc(1, sizeof(*settings));
	struct loader loader = { settings, control_dir, instance };
	struct error err;
	unsigned id;

	/* me is the first row, so the others find it loaded, once reported. */
	for (id = 0; id < SETTING_COUNT; id++)
		if (load_value(&loader, id, &err) == -1) {
			use_default(settings, id);
			if (report != NULL)
				report(id, err.text, context);
		}
	return settings;
}

void
settings_free(struct settings **settings_in)
{
	struct settings *settings = *settings_in;
	unsigned id;

	if (settings == NULL)
		return;
	for (id = 0; id < SETTING_COUNT; id++)
		value_clear(&settings->values[id]);
	free(settings);
	*settings_in = NULL;
}

static const struct value *
loaded(const struct settings *settings, enum setting_id id)
{
	assert(id < SETTING_COUNT && settings->values[id].is_loaded);
	return &settings->values[id];
}

uint64_t
settings_number(const struct settings *settings, enum setting_id id)
{
	assert(setting_rows[id].type == SETTING_NUMBER);
	return loaded(settings, id)->number;
}

bool
settings_flag(const struct settings *settings, enum setting_id id)
{
	assert(setting_rows[id].type == SETTING_FLAG);
	return loaded(settings, id)->number != 0;
}

const char *
settings_text(const struct settings *settings, enum setting_id id)
{
	assert(setting_rows[id].type == SETTING_TEXT ||
	    setting_rows[id].type == SETTING_RULES);
	return loaded(settings, id)->text;
}

const struct strlist *
settings_list(const struct settings *settings, enum setting_id id)
{
	assert(setting_rows[id].type == SETTING_LIST);
	return &loaded(settings, id)->list;
}

bool
settings_is_set(const struct settings *settings, enum setting_id id)
{
	return loaded(settings, id)->is_set;
}

const char *
settings_source(const struct settings *settings, enum setting_id id)
{
	return loaded(settings, id)->source;
}

bool
settings_find(const char *name, enum setting_id *id_out)
{
	unsigned id;

	for (id = 0; id < SETTING_COUNT; id++)
		if (strcmp(setting_rows[id].name, name) == 0) {
			*id_out = id;
			return true;
		}
	return false;
}
