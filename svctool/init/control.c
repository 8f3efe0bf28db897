/* SPDX-License-Identifier: ISC */
/* Folders and control files of a new node. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "control/assign.h"
#include "svctool/init/init.h"

/* One line; value "" makes an empty file, NULL makes none.  Takes the path. */
static int
make_line(struct maker *maker, enum layout_id id, char *path, const char *value,
    struct error *err)
{
	char *text;
	int result = 0;

	if (value != NULL) {
		text = xasprintf("%s%s", value, *value == '\0' ? "" : "\n");
		result = make_file(maker, id, path, text, err);
		free(text);
	}
	free(path);
	return result;
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
	int result = 0;

	for (unsigned id = 0; result == 0 && id <= LAYOUT_tls; id++) {
		char *path = layout_path(home, id);

		result = make_folder(maker, id, path, err);
		free(path);
		if (result == 0 && id == LAYOUT_global_vars)
			result = make_line(maker, LAYOUT_global_var,
			    layout_path(home, LAYOUT_global_var, "MQMAIL_USER"),
			    options->user, err);
	}
	return result;
}

/* users/cdb, from what was made or found. */
static int
compile_assign(struct maker *maker, struct error *err)
{
	const struct node *node = maker->node;
	char *text = node_layout_path(node, LAYOUT_assign);
	char *cdb = node_layout_path(node, LAYOUT_assign_cdb);
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
		enum layout_id id;
		const char *name, *value;
	} rows[] = {
		{ LAYOUT_setting, "me", options->me },
		{ LAYOUT_setting, "locals", domain == NULL ? options->me : "" },
		{ LAYOUT_setting, "rcpthosts",
		    domain == NULL ? options->me : "" },
		{ LAYOUT_setting, "virtualdomains", "" },
		{ LAYOUT_setting, "envnoathost", domain },
		{ LAYOUT_setting, "doublebouncehost", domain },
		{ LAYOUT_setting, "queue_count", queues },
		{ LAYOUT_assign, "", "." },
		{ LAYOUT_global_var, "MQMAIL_HOME", home->root },
		{ LAYOUT_global_var, "CONTROLDIR", getenv("CONTROLDIR") },
		{ LAYOUT_global_var, "ASSIGNDIR", getenv("ASSIGNDIR") },
		{ LAYOUT_global_var, "DOMAINDIR", getenv("DOMAINDIR") },
		{ LAYOUT_global_var, "CERTDIR", getenv("CERTDIR") },
	};

	snprintf(queues, sizeof(queues), "%u", options->queues);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (make_line(maker, rows[i].id,
			layout_path(home, rows[i].id, rows[i].name),
			rows[i].value, err) == -1)
			return -1;
	return compile_assign(maker, err);
}
