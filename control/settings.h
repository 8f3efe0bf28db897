/* SPDX-License-Identifier: ISC */
/*
 * The settings of a node: control files, and the environment variables that
 * override them.
 *
 * One table (control/settings.tbl) has every setting with name, type, unit,
 * default, range, the programs that read it and its text; the readers,
 * qmail-showctl, svctool check and the manual page are made from it.  A new
 * setting is one row there.
 */
#ifndef CONTROL_SETTINGS_H
#define CONTROL_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/strlist.h"

enum setting_type {
	SETTING_NUMBER, /* unsigned decimal, in the row's unit and range */
	SETTING_FLAG,   /* 0 or 1 */
	SETTING_TEXT,   /* the first line, trailing blanks removed */
	SETTING_LIST,   /* every line; '#' comments and blank lines removed */
	SETTING_RULES /* a file in a format of its own; the text is its path */
};

enum setting_id {
#define SETTING(name, type, unit, standard, min, max, env, readers, text) \
	SETTING_##name,
#include "control/settings.tbl"
#undef SETTING
	SETTING_COUNT
};

struct setting_row {
	const char *name; /* and of its file */
	enum setting_type type;
	const char *unit;
	const char *standard; /* default; "me": the content of control/me;
			       * of RULES: the usual file's name */
	uint64_t min, max;   /* of a number; else of a line's length in bytes */
	const char *env;     /* environment variable that overrides, or "";
			      * of RULES: that names another file */
	const char *readers; /* program names, blank between */
	const char *text;
};

extern const struct setting_row setting_rows[SETTING_COUNT];

/* May its value be a password, which is shown to nobody? */
bool setting_is_secret(const struct setting_row *row);

/* A snapshot of all settings.  Read-only, so threads may share it. */
struct settings;

/*
 * Loads every setting that program reads (NULL: all) from the folder.
 *
 * instance, or NULL, is the name of one queue ("queue1"): for qmail-send's
 * settings a file NAME.instance comes before NAME (and concurrencyl.queueN and
 * concurrencyr.queueN mean concurrencylocal, concurrencyremote of that queue).
 * A missing file is the default.  NULL when anything is wrong; the reason
 * then names file, line, what is wrong and what would be right.
 */
struct settings *settings_load(const char *control_dir, const char *program,
    const char *instance, struct error *err);

/*
 * The same for all settings, but not stopped by errors: each reason is handed
 * to report (unless that is NULL), and the setting it is about has its default.
 * Never NULL.
 */
struct settings *settings_load_all(const char *control_dir,
    const char *instance,
    void (*report)(enum setting_id id, const char *reason, void *context),
    void *context);
void settings_free(struct settings **settings);

/*
 * The value of a setting, borrowed from the snapshot.  The function must fit
 * the setting's type, and the program be among the row's readers (both
 * asserted).
 */
uint64_t settings_number(const struct settings *settings, enum setting_id id);
bool settings_flag(const struct settings *settings, enum setting_id id);
const char *settings_text(
    const struct settings *settings, enum setting_id id); /* "" when empty */
const struct strlist *settings_list(
    const struct settings *settings, enum setting_id id);

/*
 * True when a file or variable gave the value, false for the default.  Of
 * RULES: when the file exists or a variable names it.
 */
bool settings_is_set(const struct settings *settings, enum setting_id id);

/* The file, "variable NAME", or "default"; of RULES "default" if not set. */
const char *settings_source(
    const struct settings *settings, enum setting_id id);

/* May a queue have its own, NAME.QUEUE?  Those of qmail-send. */
bool settings_is_of_queues(enum setting_id id);

/* The setting of that name.  False when there is none. */
bool settings_find(const char *name, enum setting_id *id_out);

/* What a walk tells; texts are valid until it returns. */
struct setting_visitor {
	/* A good value, of a list each line, as it is loaded. */
	void (*value)(unsigned line, const char *value, void *context);
	/* What is wrong, and behind "; " what would be right. */
	void (*fault)(unsigned line, const char *reason, void *context);
	void *context;
};

/*
 * Goes through a file of the setting as the loader does, also behind bad lines.
 * 1; 0 when there is no such file; -1 with the reason when it cannot be read.
 */
int settings_walk(enum setting_id id, const char *path,
    const struct setting_visitor *visitor, struct error *err);

/*
 * Checks one value (of a list: one line) as the loader would.  0, or -1 with
 * the reason, which names the value and what would be right, but no place.
 */
int settings_check_value(
    enum setting_id id, const char *value, struct error *err);

#endif
