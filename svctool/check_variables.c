/* SPDX-License-Identifier: ISC */
/*
 * The environment of services: control/global_vars/ for all of them, and
 * service/NAME/variables/ over it, one variable a file, as envdir(8) reads it.
 */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "smtp/options.h"
#include "svctool/check_variable.h"
#include "svctool/ready.h"

enum { VARIABLE_MAX_BYTES = 65536, OPTIONS_MAX = 32 };

static const char restart[] = ", then svctool restart";

/* A folder of variables. */
struct folder {
	struct check *check;
	const char *path;
	struct vars *vars; /* what is read goes there */
};

/* The value, which ends with its line; false: the variable gets unset. */
static bool
cut_value(struct buf *text)
{
	if (text->length == 0)
		return false;
	text->length = strcspn(text->data, "\n");
	while (text->length > 0 &&
	    strchr(" \t", text->data[text->length - 1]) != NULL)
		text->length--;
	text->data[text->length] = '\0';
	return true;
}

static void
read_one(const struct folder *folder, const char *name)
{
	char *path = xasprintf("%s/%s", folder->path, name);
	const struct check_place place = {
		.file = path, .what = "", .remedy = restart
	};
	struct buf text;
	struct error err;
	struct stat st;

	buf_init(&text);
	if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) {
		check_find(folder->check, CHECK_ERROR, path, 0,
		    "it is not a file, so envdir fails and the service cannot "
		    "start");
		check_remedy(folder->check, "move it away");
	} else if (file_read(path, VARIABLE_MAX_BYTES, &text, &err) == -1)
		check_reason(folder->check, CHECK_ERROR, err.text,
		    "make it readable for those who run services");
	else if (!cut_value(&text))
		vars_set(folder->vars, name, NULL);
	else {
		const char *meant = check_spelling(name);

		if (meant != NULL) {
			check_find(folder->check, CHECK_WARNING, path, 0,
			    "nothing reads a variable of this name: was %s "
			    "meant?",
			    meant);
			check_remedy(folder->check, "mv '%s' '%s/%s'%s", path,
			    folder->path, meant, restart);
		}
		check_variable(folder->check, &place, name, text.data);
		vars_set(folder->vars, name, text.data);
	}
	buf_release(&text);
	free(path);
}

static void
read_folder(const struct folder *folder)
{
	DIR *dir = opendir(folder->path);
	const struct dirent *entry;

	if (dir == NULL) {
		check_find(folder->check, CHECK_ERROR, folder->path, 0,
		    "services read their variables there: %s", strerror(errno));
		check_remedy(folder->check, "mkdir '%s'", folder->path);
		return;
	}
	while ((entry = readdir(dir)) != NULL)
		if (entry->d_name[0] != '.')
			read_one(folder, entry->d_name);
	closedir(dir);
}

/*
 * A file that the variable names, relative to where: it must exist, and is
 * given to look, which may be NULL.
 */
static void
check_named(const struct folder *folder, const char *name, const char *where,
    void (*look)(struct check *check, const char *path))
{
	const char *value = vars_get(folder->vars, name);
	char *place, *path;
	struct stat st;

	if (value == NULL || *value == '\0')
		return;
	place = xasprintf("%s/%s", folder->path, name);
	path = *value == '/' ? xstrdup(value)
			     : xasprintf("%s/%s", where, value);
	if (stat(path, &st) == -1) {
		check_find(folder->check, CHECK_ERROR, place, 0,
		    "the file '%s' that it names: %s", path, strerror(errno));
		check_remedy(folder->check, "make that file, or rm '%s'%s",
		    place, restart);
	} else if (look != NULL)
		look(folder->check, path);
	free(path);
	free(place);
}

/* OPTIONS is what sh makes words of, and qmail-smtpd reads. */
static void
check_options(const struct folder *folder)
{
	const char *value = vars_get(folder->vars, "OPTIONS");
	char *words = xstrdup(value != NULL ? value : ""), *at = words;
	char *place = xasprintf("%s/OPTIONS", folder->path);
	char *args[OPTIONS_MAX + 1] = { NULL };
	struct smtp_options options;
	struct error err;

	for (size_t i = 0; i < OPTIONS_MAX; i++) {
		at += strspn(at, " \t");
		if (*at == '\0')
			break;
		args[i] = at;
		at += strcspn(at, " \t");
		if (*at != '\0')
			*at++ = '\0';
	}
	if (smtp_options_parse(&options, args, &err) == -1) {
		check_find(
		    folder->check, CHECK_ERROR, place, 0, "%s", err.text);
		check_remedy(folder->check,
		    "write options of qmail-smtpd(8) there%s", restart);
	}
	free(place);
	free(words);
}

/* What a service has, over what all have. */
static void
check_service(struct check *check, const struct vars *global, const char *name)
{
	const struct home *home = check->node->home;
	char *path = xasprintf("%s/%s/variables", home->service, name);
	char *cwd = xasprintf("%s/%s", home->service, name);
	struct vars own = VARS_INIT, all = VARS_INIT;
	struct folder folder = { .check = check, .path = path, .vars = &own };
	const char *chooser;

	read_folder(&folder);
	if (node_is_listener(name)) {
		check_options(&folder);
		check_named(
		    &folder, "FROMRULES", home->control, check_envrules);
		check_named(
		    &folder, "DOMAINQUEUE", home->control, check_envrules);
		check_named(&folder, "TCPRULES", cwd, check_access_rules);
		check_named(&folder, "SERVERCERT", cwd, NULL);
	}
	chooser = check_queue_chooser(&own);
	if (!ready_is_queue(check->node, name) && chooser != NULL) {
		char *file = xasprintf("%s/%s", path, chooser);
		const struct check_place place = {
			.file = file, .what = "", .remedy = restart
		};

		for (size_t i = 0; i < global->count; i++)
			vars_set(&all, global->entries[i].name,
			    global->entries[i].value);
		for (size_t i = 0; i < own.count; i++)
			vars_set(
			    &all, own.entries[i].name, own.entries[i].value);
		check_queue_choice(check, &place, &all);
		free(file);
	}
	vars_release(&all);
	vars_release(&own);
	free(cwd);
	free(path);
}

void
check_forget_environment(void)
{
	static const char *const others[] = { "QUEUEDIR", "TCPRULES",
		"SERVERCERT", "SMTPS", "OPTIONS" };

	for (unsigned id = 0; id < SETTING_COUNT; id++)
		if (*setting_rows[id].env != '\0')
			unsetenv(setting_rows[id].env);
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		unsetenv(others[i]);
}

void
check_variables(struct check *check)
{
	const struct node *node = check->node;
	struct arg_list services;
	struct vars global = VARS_INIT;
	struct folder folder = {
		.check = check, .path = node->global_vars, .vars = &global
	};
	struct check_place place = { .what = "", .remedy = restart };
	const char *chooser;
	char *file;

	read_folder(&folder);
	check_named(&folder, "FROMRULES", node->home->control, check_envrules);
	check_named(
	    &folder, "DOMAINQUEUE", node->home->control, check_envrules);
	chooser = check_queue_chooser(&global);
	file = chooser != NULL
	    ? xasprintf("%s/%s", node->global_vars, chooser)
	    : xasprintf("%s/queue_count", node->home->control);
	place.file = file;
	if (chooser == NULL)
		place.remedy = ", then svc -h the listeners";
	check_queue_choice(check, &place, &global);
	check_names(check, node_services, &services);
	for (size_t i = 0; i < services.count; i++)
		check_service(check, &global, services.items[i]);
	arg_list_release(&services);
	vars_release(&global);
	free(file);
}
