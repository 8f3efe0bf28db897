/* SPDX-License-Identifier: ISC */
/* The files of Dovecot. */
#include "svctool/imap/imap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/scan.h"
#include "svctool/imap/templates.h"
#include "svctool/run/run_script.h"

enum { CONF_MAX = 65536 };

/* Debian's places and then Fedora's, of each. */
static const char *const dovecot_paths[] = { "/usr/sbin/dovecot", NULL };
static const char *const imap_paths[] = { "/usr/lib/dovecot/imap",
	"/usr/libexec/dovecot/imap", NULL };
static const char *const lua_paths[] = {
	"/usr/lib/dovecot/modules/auth/libauthdb_lua.so",
	"/usr/lib64/dovecot/auth/libauthdb_lua.so", NULL
};
static const char *const lmtp_paths[] = { "/usr/lib/dovecot/lmtp",
	"/usr/libexec/dovecot/lmtp", NULL };
static const char *const sieve_paths[] = {
	"/usr/lib/dovecot/modules/lib90_sieve_plugin.so",
	"/usr/lib64/dovecot/lib90_sieve_plugin.so", NULL
};

static const char *
find_path(const char *const *paths)
{
	while (*paths != NULL && access(*paths, F_OK) == -1)
		paths++;
	return *paths;
}

int
imap_look_at_host(struct imap_host *host_out, struct error *err)
{
	*host_out = (struct imap_host){
		.dovecot = find_path(dovecot_paths),
		.has_lmtp = find_path(lmtp_paths) != NULL,
		.has_sieve = find_path(sieve_paths) != NULL,
	};
	if (host_out->dovecot == NULL || find_path(imap_paths) == NULL)
		return error_set(err,
		    "there is no Dovecot with IMAP on this host: apt-get "
		    "install dovecot-imapd dovecot-auth-lua");
	if (find_path(lua_paths) == NULL)
		return error_set(err,
		    "this host's Dovecot cannot ask the node's users: apt-get "
		    "install dovecot-auth-lua");
	return 0;
}

/* The value of "NAME = VALUE" below the line that opens a block; or NULL. */
static char *
find_value(const char *text, const char *block, const char *name)
{
	OWN_TEXT open = xasprintf("inet_listener %s {", block);
	OWN_TEXT mark = xasprintf(" %s = ", name);
	const char *at = strstr(text, open);
	const char *end = at != NULL ? strchr(at, '}') : NULL;

	at = end != NULL ? strstr(at, mark) : NULL;
	if (at == NULL || at > end)
		return NULL;
	at += strlen(mark);
	return xstrndup(at, strcspn(at, " \t\r\n"));
}

static int
read_listener(const char *text, const char *block,
    struct port_address *address_out, struct error *err)
{
	OWN_TEXT ip = find_value(text, block, "address");
	OWN_TEXT port = find_value(text, block, "port");
	uint64_t number;

	*address_out = (struct port_address){ .port = 0 };
	if (ip == NULL || port == NULL || !scan_u64(port, 65535, &number))
		return error_set(err,
		    "there is no listener '%s' with address and port", block);
	return number == 0 ? 0 : port_parse(port, ip, address_out, err);
}

int
imap_read_listeners(const struct node *node,
    struct imap_listeners *listeners_out, struct error *err)
{
	OWN_TEXT path = node_layout_path(
	    node, LAYOUT_imap_file, "dovecot.conf");
	AUTO(buf_release) struct buf text = BUF_INIT;
	int found = file_read(path, CONF_MAX, &text, err);

	*listeners_out = (struct imap_listeners){ .imap = { .port = 0 } };
	if (found != 1)
		return found;
	return read_listener(text.data, "imap", &listeners_out->imap, err) ==
			-1 ||
		read_listener(
		    text.data, "imaps", &listeners_out->imaps, err) == -1
	    ? error_context(err, "'%s'", path)
	    : 1;
}

/* A text for each name that stands between two @. */
struct part {
	const char *name;
	const char *text;
};

static const char *
find_part(const struct part *parts, const char *name, size_t length)
{
	for (; parts->name != NULL; parts++)
		if (strncmp(parts->name, name, length) == 0 &&
		    parts->name[length] == '\0')
			return parts->text;
	return NULL;
}

static void
put_template(struct buf *buf, const char *text, const struct part *parts)
{
	const char *at;

	while ((at = strchr(text, '@')) != NULL) {
		size_t length = strcspn(at + 1, "@");
		const char *part = find_part(parts, at + 1, length);

		buf_add(buf, text, (size_t)(at - text));
		if (part == NULL)
			buf_addc(buf, '@');
		else
			buf_adds(buf, part);
		text = part == NULL ? at + 1 : at + length + 2;
	}
	buf_adds(buf, text);
}

void
imap_put_conf(const struct node *node, const struct imap_config *config,
    struct buf *buf)
{
	const struct imap_listeners *listeners = config->listeners;
	OWN_TEXT cert = layout_path(node->home, LAYOUT_servercert);
	OWN_TEXT port = xasprintf("%u", listeners->imap.port);
	OWN_TEXT tls_port = xasprintf("%u", listeners->imaps.port);
	AUTO(buf_release) struct buf one_user = BUF_INIT;
	AUTO(buf_release) struct buf more = BUF_INIT;
	const struct part parts[] = {
		{ "HOME", node->home->root },
		{ "CERT", cert },
		{ "USER", config->user },
		{ "GROUP", config->only_group },
		{ "IMAP_IP", listeners->imap.port != 0 ? listeners->imap.ip
						      : "127.0.0.1" },
		{ "IMAP_PORT", port },
		{ "IMAPS_IP", listeners->imaps.port != 0 ? listeners->imaps.ip
							: "127.0.0.1" },
		{ "IMAPS_PORT", tls_port },
		{ "LMTP", config->host->has_lmtp ? " lmtp" : "" },
		{ "NO_CHROOT",
		    config->only_user != NULL ? "\n  chroot =" : "" },
		{ NULL, NULL },
	};
	struct part whole[sizeof(parts) / sizeof(parts[0]) + 2];

	if (config->only_user != NULL)
		put_template(&one_user, template_one_user_conf, parts);
	if (config->host->has_lmtp)
		put_template(&more, template_lmtp_conf, parts);
	if (config->host->has_lmtp && config->host->has_sieve)
		put_template(&more, template_sieve_conf, parts);
	whole[0] = (struct part){ "ONE_USER", one_user.length > 0 ? one_user.data : "" };
	whole[1] = (struct part){ "SIEVE", more.length > 0 ? more.data : "" };
	memcpy(whole + 2, parts, sizeof(parts));
	put_template(buf, template_dovecot_conf, whole);
}

void
imap_put_lua(const struct node *node, struct buf *buf)
{
	OWN_TEXT folder = layout_path(
	    node->home, LAYOUT_service_vars, node_imap_service);
	OWN_TEXT path = xasprintf("%s/vchkpw", node->programs);
	AUTO(buf_release) struct buf global_vars = BUF_INIT;
	AUTO(buf_release) struct buf vars = BUF_INIT;
	AUTO(buf_release) struct buf vchkpw = BUF_INIT;

	run_script_quote(&global_vars, node->global_vars);
	run_script_quote(&vars, folder);
	run_script_quote(&vchkpw, path);
	{
		const struct part parts[] = {
			{ "GLOBAL_VARS", global_vars.data },
			{ "VARS", vars.data },
			{ "VCHKPW", vchkpw.data },
			{ NULL, NULL },
		};

		put_template(buf, template_users_lua, parts);
	}
}
