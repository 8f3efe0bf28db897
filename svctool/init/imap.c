/* SPDX-License-Identifier: ISC */
/* The service imap of svctool init. */
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "svctool/init/imap_files.h"
#include "svctool/init/init.h"

/* Those that are there, and over them those that are asked for.  1, 0 or -1. */
static int
choose_listeners(const struct node *node, const struct init_options *options,
    struct dovecot_listeners *listeners, struct error *err)
{
	int found = dovecot_read_listeners(node, listeners, err);

	if (found == -1 ||
	    (options->imap != NULL &&
		port_parse(options->imap, options->address, &listeners->imap,
		    err) == -1) ||
	    (options->imaps != NULL &&
		port_parse(options->imaps, options->address, &listeners->imaps,
		    err) == -1))
		return -1;
	return found == 1 || options->imap != NULL || options->imaps != NULL;
}

/* Dovecot lets no mail be root's. */
static int
choose_only_user(struct imap_config *config, struct error *err)
{
	const struct passwd *entry;
	const struct group *group;

	if (strcmp(config->user, "root") == 0)
		return error_set(err,
		    "this node is root's, and Dovecot lets nobody read root's "
		    "mail: make the node with another --user, or with none");
	if (geteuid() == 0)
		return 0;
	entry = getpwuid(geteuid());
	group = getgrgid(getegid());
	if (entry == NULL || group == NULL)
		return error_set(
		    err, "Dovecot needs names for your user and group");
	config->user = config->only_user = entry->pw_name;
	config->only_group = group->gr_name;
	return 0;
}

static int
make_imap_files(
    struct maker *maker, const struct imap_config *config, struct error *err)
{
	const struct node *node = maker->node;
	OWN_TEXT folder = layout_path(node->home, LAYOUT_imap);
	OWN_TEXT base = layout_path(node->home, LAYOUT_imap_base);
	OWN_TEXT conf = layout_path(
	    node->home, LAYOUT_imap_file, "dovecot.conf");
	OWN_TEXT lua = layout_path(node->home, LAYOUT_imap_file, "users.lua");
	AUTO(buf_release) struct buf conf_text = BUF_INIT;
	AUTO(buf_release) struct buf lua_text = BUF_INIT;

	imap_put_conf(node, config, &conf_text);
	imap_put_lua(node, &lua_text);
	return make_folder(maker, LAYOUT_imap, folder, err) == -1 ||
		make_folder(maker, LAYOUT_imap_base, base, err) == -1 ||
		make_file_again(
		    maker, LAYOUT_imap_file, lua, lua_text.data, err) == -1 ||
		make_file_again(
		    maker, LAYOUT_imap_file, conf, conf_text.data, err) == -1 ||
		service_make_imap(maker, config->host->dovecot, conf, err) == -1
	    ? -1
	    : 0;
}

int
init_imap(
    struct maker *maker, const struct init_options *options, struct error *err)
{
	struct dovecot_listeners listeners;
	struct dovecot_host host;
	struct imap_config config = {
		.listeners = &listeners,
		.host = &host,
		.user = identity_name(IDENTITY_VIRTUAL),
	};
	int is_wanted = choose_listeners(maker->node, options, &listeners, err);

	if (is_wanted != 1)
		return is_wanted;
	return dovecot_look_at_host(&host, err) == -1 ||
		choose_only_user(&config, err) == -1 ||
		make_imap_files(maker, &config, err) == -1
	    ? -1
	    : 0;
}
