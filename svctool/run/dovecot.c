/* SPDX-License-Identifier: ISC */
/* Dovecot on this host, and where it listens. */
#include "svctool/run/dovecot.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/scan.h"

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
dovecot_look_at_host(struct dovecot_host *host_out, struct error *err)
{
	*host_out = (struct dovecot_host){
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
dovecot_read_listeners(const struct node *node,
    struct dovecot_listeners *listeners_out, struct error *err)
{
	OWN_TEXT path = node_layout_path(
	    node, LAYOUT_imap_file, "dovecot.conf");
	AUTO(buf_release) struct buf text = BUF_INIT;
	int found = file_read(path, CONF_MAX, &text, err);

	*listeners_out = (struct dovecot_listeners){ .imap = { .port = 0 } };
	if (found != 1)
		return found;
	return read_listener(text.data, "imap", &listeners_out->imap, err) ==
		    -1 ||
		read_listener(text.data, "imaps", &listeners_out->imaps, err) ==
		    -1
	    ? error_context(err, "'%s'", path)
	    : 1;
}
