/* SPDX-License-Identifier: ISC */
/* Folders and control files of a new node. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "control/assign.h"
#include "svctool/init/init.h"

/* One line; value "" makes an empty file, NULL makes none. */
static int
make_line(struct maker *maker, const char *folder, const char *name,
    const char *value, struct error *err)
{
	char *path, *text;
	int result;

	if (value == NULL)
		return 0;
	path = xasprintf("%s/%s", folder, name);
	text = xasprintf("%s%s", value, *value == '\0' ? "" : "\n");
	result = make_file(maker, path, text, 0644, MAKE_OURS, err);
	free(text);
	free(path);
	return result;
}

struct folder {
	const char *path;
	mode_t mode;
	enum make_owner owner;
};

static int
make_folders(struct maker *maker, const struct folder *rows, size_t count,
    struct error *err)
{
	for (size_t i = 0; i < count; i++)
		if (make_folder(maker, rows[i].path, rows[i].mode,
			rows[i].owner, err) == -1)
			return -1;
	return 0;
}

/*
 * Whoever runs this again, after a kill too, must know who it was for before
 * anything is there that belongs to somebody else: see init_check_identity().
 */
int
init_folders(
    struct maker *maker, const struct init_options *options, struct error *err)
{
	const struct home *home = maker->node->home;
	const char *vars = maker->node->global_vars;
	const struct folder first[] = {
		{ home->root, 0755, MAKE_OURS },
		{ home->control, 0755, MAKE_OURS },
		{ vars, 0755, MAKE_OURS },
	};
	const struct folder others[] = {
		{ home->queue, 0755, MAKE_OURS },
		{ home->users, 0755, MAKE_OURS },
		{ home->domains, 0755, MAKE_VIRTUAL },
		{ home->alias, 0755, MAKE_OURS },
		{ home->service, 0755, MAKE_OURS },
		{ home->run, 0755, MAKE_OURS },
		{ home->log, 0755, MAKE_OURS },
		{ home->tls, 0755, MAKE_OURS },
	};

	if (make_folders(maker, first, sizeof(first) / sizeof(first[0]), err) ==
		-1 ||
	    make_line(maker, vars, "MQMAIL_USER", options->user, err) == -1)
		return -1;
	return make_folders(
	    maker, others, sizeof(others) / sizeof(others[0]), err);
}

/* users/cdb, from what was made or found. */
static int
compile_assign(struct maker *maker, struct error *err)
{
	const char *users = maker->node->home->users;
	char *text = node_path(maker->node, "%s/assign", users);
	char *cdb = node_path(maker->node, "%s/cdb", users);
	int result = 0;

	if (access(cdb, F_OK) == 0)
		maker->kept++;
	else {
		result = assign_compile(text, cdb, err);
		if (result == 0) {
			make_say("made", "%s", cdb);
			maker->made++;
		}
	}
	free(cdb);
	free(text);
	return result;
}

int
init_control(
    struct maker *maker, const struct init_options *options, struct error *err)
{
	const struct home *home = maker->node->home;
	const char *domain = options->domains.count > 0
	    ? options->domains.items[0]
	    : NULL;
	char queues[16];
	/*
	 * Mail of our own (bounces, postmaster without a domain) goes to the
	 * first virtual domain, whose postmaster somebody reads.
	 */
	const struct {
		const char *folder, *name, *value;
	} rows[] = {
		{ home->control, "me", options->me },
		{ home->control, "locals", domain == NULL ? options->me : "" },
		{ home->control, "rcpthosts",
		    domain == NULL ? options->me : "" },
		{ home->control, "virtualdomains", "" },
		{ home->control, "envnoathost", domain },
		{ home->control, "doublebouncehost", domain },
		{ home->control, "queue_count", queues },
		{ home->users, "assign", "." },
		{ maker->node->global_vars, "MQMAIL_HOME", home->root },
		{ maker->node->global_vars, "CONTROLDIR",
		    getenv("CONTROLDIR") },
		{ maker->node->global_vars, "ASSIGNDIR", getenv("ASSIGNDIR") },
		{ maker->node->global_vars, "DOMAINDIR", getenv("DOMAINDIR") },
		{ maker->node->global_vars, "CERTDIR", getenv("CERTDIR") },
	};

	snprintf(queues, sizeof(queues), "%u", options->queues);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (make_line(maker, rows[i].folder, rows[i].name,
			rows[i].value, err) == -1)
			return -1;
	return compile_assign(maker, err);
}
