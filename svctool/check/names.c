/* SPDX-License-Identifier: ISC */
/* The services, queues and files that the parts of svctool check go through. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "svctool/check/check.h"
#include "svctool/run/service_env.h"

void
check_names(struct check *check,
    int (*list)(const struct node *, struct arg_list *, struct error *),
    struct arg_list *names_out)
{
	struct error err;

	*names_out = (struct arg_list){ .count = 0 };
	if (list(check->node, names_out, &err) == -1)
		check_reason(check, CHECK_ERROR, err.text,
		    "run this as its owner or root");
}

void
check_listener_files(struct check *check, const char *variable,
    const char *standard, struct arg_list *paths_out)
{
	const struct home *home = check->node->home;
	struct arg_list services;
	bool has_listener = false;

	*paths_out = (struct arg_list){ .count = 0 };
	check_names(check, node_services, &services);
	for (size_t i = 0; i < services.count; i++) {
		struct service_env env;
		const char *named;
		char *path;

		if (!node_is_listener(services.items[i]))
			continue;
		has_listener = true;
		service_env_read(check->node, services.items[i], &env);
		named = service_env_get(&env, variable);
		path = named == NULL ? xstrdup(standard)
		    : *named == '/'  ? xstrdup(named)
				     : xasprintf("%s/%s/%s", home->service,
					   services.items[i], named);
		/* One that is named, but missing, is found by check_starts().
		 */
		if (!arg_list_has(paths_out, path) &&
		    (named == NULL || access(path, F_OK) == 0))
			arg_list_add(paths_out, path, strlen(path));
		free(path);
		service_env_release(&env);
	}
	if (!has_listener)
		arg_list_add(paths_out, standard, strlen(standard));
	arg_list_release(&services);
}
