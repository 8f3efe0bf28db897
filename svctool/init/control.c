/* SPDX-License-Identifier: ISC */
/* Folders and control files of a new node. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "control/assign.h"
#include "svctool/init/init.h"
#include "svctool/run/spawn.h"

/* One line; value "" makes an empty file, NULL makes none. */
static int
make_line(struct maker *maker, enum layout_id id, const char *name,
    const char *value, struct error *err)
{
	OWN_TEXT path = layout_path(maker->node->home, id, name);
	OWN_TEXT text = NULL;

	if (value == NULL)
		return 0;
	text = xasprintf("%s%s", value, *value == '\0' ? "" : "\n");
	return make_file(maker, id, path, text, err);
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
		OWN_TEXT path = layout_path(home, id);

		result = make_folder(maker, id, path, err);
		if (result == 0 && id == LAYOUT_global_vars)
			result = make_line(maker, LAYOUT_global_var,
			    "MQMAIL_USER", options->user, err);
	}
	return result;
}

/* A cdb, from what was made or found. */
static int
make_cdb(struct maker *maker, enum layout_id source, enum layout_id cdb,
    int (*compile)(const char *text, const char *cdb, struct error *err),
    struct error *err)
{
	OWN_TEXT text_path = node_layout_path(maker->node, source);
	OWN_TEXT cdb_path = node_layout_path(maker->node, cdb);

	if (access(cdb_path, F_OK) == 0) {
		maker->kept++;
		return 0;
	}
	if (compile(text_path, cdb_path, err) == -1)
		return -1;
	make_say("made", "%s", cdb_path);
	maker->made++;
	return 0;
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
		{ LAYOUT_tcpto, "", "" },
		{ LAYOUT_login_table, "", "" },
		{ LAYOUT_admin_logins, "", "" },
		{ LAYOUT_over_quota, "", "" },
		{ LAYOUT_global_var, "MQMAIL_HOME", home->root },
		{ LAYOUT_global_var, "CONTROLDIR", getenv("CONTROLDIR") },
		{ LAYOUT_global_var, "ASSIGNDIR", getenv("ASSIGNDIR") },
		{ LAYOUT_global_var, "DOMAINDIR", getenv("DOMAINDIR") },
		{ LAYOUT_global_var, "CERTDIR", getenv("CERTDIR") },
	};

	snprintf(queues, sizeof(queues), "%u", options->queues);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (make_line(maker, rows[i].id, rows[i].name, rows[i].value,
			err) == -1)
			return -1;
	return make_cdb(
	    maker, LAYOUT_assign, LAYOUT_assign_cdb, assign_compile, err);
}

int
init_sweep(struct maker *maker, struct error *err)
{
	static const enum layout_id folders[] = { LAYOUT_control,
		LAYOUT_global_vars, LAYOUT_users, LAYOUT_tls, LAYOUT_run };

	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		OWN_TEXT real = node_layout_path(maker->node, folders[i]);
		int count = file_sweep(real, err);

		if (count > 0) {
			make_say("removed",
			    "%d half-written files of killed programs in %s",
			    count, real);
			maker->made++;
		}
		if (count == -1)
			return -1;
	}
	return 0;
}

/* tcprules(1) also says which line is wrong. */
static int
compile_rules(const char *text, const char *cdb, struct error *err)
{
	OWN_TEXT temporary = xasprintf("%s.tmp.%ld", cdb, (long)getpid());
	const char *argv[] = { "tcprules", cdb, temporary, NULL };

	return spawn_wait(argv, text, err) == -1
	    ? error_context(err, "cannot compile '%s'", text)
	    : 0;
}

int
init_rules(
    struct maker *maker, const struct init_options *options, struct error *err)
{
	OWN_TEXT path = layout_path(maker->node->home, LAYOUT_access);
	AUTO(buf_release) struct buf text = BUF_INIT;

	buf_adds(&text,
	    "# Who may connect by SMTP, and with which variables.\n"
	    "# After a change: tcprules tcp.smtp.cdb tcp.smtp.tmp < "
	    "tcp.smtp\n");
	for (size_t i = 0; i < options->relay.count; i++)
		buf_addf(&text, "%s:allow,RELAYCLIENT=\"\"\n",
		    options->relay.items[i]);
	buf_adds(&text, ":allow\n");
	return make_file(maker, LAYOUT_access, path, text.data, err) == -1
	    ? -1
	    : make_cdb(
		  maker, LAYOUT_access, LAYOUT_access_cdb, compile_rules, err);
}
