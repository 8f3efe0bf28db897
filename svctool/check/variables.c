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
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "control/global_vars.h"
#include "svctool/check/variable.h"
#include "svctool/run/ready.h"
#include "svctool/run/service_env.h"

enum { VARIABLE_MAX_BYTES = 65536 };

static const char restart[] = ", then svctool restart";

/* A folder of variables. */
struct folder {
	struct check *check;
	const char *path;
	struct vars *vars; /* what is read goes there */
};

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
	else if (text.length == 0)
		vars_set(folder->vars, name, NULL); /* envdir unsets it */
	else {
		char *value = global_vars_parse(text.data, text.length);
		const char *meant = check_spelling(name);

		if (meant != NULL) {
			check_find(folder->check, CHECK_WARNING, path, 0,
			    "nothing reads a variable of this name: was %s "
			    "meant?",
			    meant);
			check_remedy(folder->check, "mv '%s' '%s/%s'%s", path,
			    folder->path, meant, restart);
		}
		check_variable(folder->check, &place, name, value);
		vars_set(folder->vars, name, value);
		free(value);
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
 * Looks into the file of rules that the variable names, relative to where.
 * That it is there is asked of the daemon (starts.c).
 */
static void
check_named(struct check *check, const struct service_env *env,
    const char *name, const char *where,
    void (*look)(struct check *check, const char *path))
{
	const char *value = service_env_get(env, name);
	char *path;

	if (value == NULL)
		return;
	path = *value == '/' ? xstrdup(value)
			     : xasprintf("%s/%s", where, value);
	if (access(path, F_OK) == 0)
		look(check, path);
	free(path);
}

/* What a listener has, of its own or for all. */
static void
check_listener(struct check *check, const char *name)
{
	const struct home *home = check->node->home;
	char *cwd = xasprintf("%s/%s", home->service, name);
	struct service_env env;

	service_env_read(check->node, name, &env);
	check_named(check, &env, "FROMRULES", home->control, check_envrules);
	check_named(check, &env, "DOMAINQUEUE", home->control, check_envrules);
	check_named(check, &env, "TCPRULES", cwd, check_access_rules);
	service_env_release(&env);
	free(cwd);
}

/* What a service has, over what all have. */
static void
check_service(struct check *check, const struct vars *global, const char *name)
{
	const struct home *home = check->node->home;
	char *path = xasprintf("%s/%s/variables", home->service, name);
	struct vars own = VARS_INIT, all = VARS_INIT;
	struct folder folder = { .check = check, .path = path, .vars = &own };
	const char *chooser;

	read_folder(&folder);
	if (node_is_listener(name))
		check_listener(check, name);
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
