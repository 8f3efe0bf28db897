/* SPDX-License-Identifier: ISC */
/* svctool systemd: units that run the same services without supervise. */
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "svctool/args.h"
#include "svctool/make.h"
#include "svctool/run/ready.h"
#include "svctool/run/systemd_unit.h"
#include "svctool/svctool.h"

static int
write_unit(struct maker *maker, const char *name, const struct buf *text,
    struct error *err)
{
	OWN_TEXT path = xasprintf("/etc/systemd/system/%s", name);

	return make_file_again(maker, LAYOUT_unit, path, text->data, err);
}

/*
 * An ordinary user's node runs as that user: its name, or number.  NULL: root
 * starts it, as it does what is below --destdir, whoever packs that.  The
 * caller frees.
 */
static char *
find_node_user(const struct node *source)
{
	const struct passwd *pw;
	uid_t uid;
	gid_t gid;

	if (*source->destdir != '\0' || !node_is_users(source, &uid, &gid))
		return NULL;
	pw = getpwuid(uid);
	return pw != NULL ? xstrdup(pw->pw_name)
			  : xasprintf("%lu", (unsigned long)uid);
}

static int
write_service(struct maker *maker, const struct node *source, const char *name,
    struct error *err)
{
	OWN_TEXT unit = xasprintf("mqmail-%s.service", name);
	OWN_TEXT folder = xasprintf("%s/%s", source->home->service, name);
	OWN_TEXT user = find_node_user(source);
	AUTO(buf_release) struct buf text = BUF_INIT;

	systemd_unit_service(
	    &text, name, folder, user, ready_is_queue(source, name));
	return write_unit(maker, unit, &text, err);
}

/* Of the services of source, to where maker writes. */
static int
write_units(struct maker *maker, const struct node *source, struct error *err)
{
	AUTO(strlist_release) struct strlist services = { .count = 0 };
	AUTO(buf_release) struct buf target = BUF_INIT;
	int result = node_services(source, &services, err);

	if (result == 0)
		result = make_folder(
		    maker, LAYOUT_units, layout_rows[LAYOUT_units].path, err);
	systemd_unit_target(&target);
	for (size_t i = 0; result == 0 && i < services.count; i++) {
		const char *name = services.items[i];

		if (ready_has_down_file(source, name))
			continue;
		result = write_service(maker, source, name, err);
		systemd_unit_target_service(&target, name);
	}
	if (result == 0)
		result = write_unit(maker, "mqmail.target", &target, err);
	return result;
}

/*
 * With --destdir the node may lie below it (packaging), or be a real one whose
 * units are written elsewhere.  The folder is made only for a node that there
 * is.  0 or -1; the caller frees what was set.
 */
static int
open_nodes(const char *home, const char *destdir, struct node **installed_out,
    struct node **target_out, struct error *err)
{
	*target_out = NULL;
	*installed_out = node_new(home, NULL, err);
	if (*installed_out == NULL)
		return -1;
	if (destdir != NULL && access(destdir, F_OK) == -1 &&
	    (!node_exists(*installed_out, err) ||
		file_make_dirs(destdir, 0755, err) == -1))
		return -1;
	*target_out = node_new(home, destdir, err);
	return *target_out == NULL ? -1 : 0;
}

int
cmd_systemd(int argc, char **argv)
{
	const char *home = NULL, *destdir = NULL;
	const struct arg_row rows[] = {
		{ "home", ARG_TEXT, &home },
		{ "destdir", ARG_TEXT, &destdir },
		{ NULL, ARG_FLAG, NULL },
	};
	struct maker maker = { .made = 0 };
	AUTO(node_free) struct node *installed = NULL;
	AUTO(node_free) struct node *target = NULL;
	const struct node *source = NULL;
	struct error err;

	if (args_parse(rows, argc, argv, NULL, &err) == -1)
		return complain(EXIT_USAGE, &err);
	if (open_nodes(home, destdir, &installed, &target, &err) == 0)
		source = node_exists(target, &err) ? target : installed;
	maker.node = target;
	if (source == NULL || !node_exists(source, &err) ||
	    write_units(&maker, source, &err) == -1)
		return complain(EXIT_TROUBLE, &err);
	printf("to use them: systemctl daemon-reload && systemctl enable --now "
	       "mqmail.target (and not svctool start)\n");
	return EXIT_FINE;
}
