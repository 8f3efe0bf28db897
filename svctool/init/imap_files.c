/* SPDX-License-Identifier: ISC */
/* The texts of Dovecot's files. */
#include "svctool/init/imap_files.h"

#include <string.h>

#include "base/mem.h"
#include "svctool/init/dovecot/templates.h"
#include "svctool/run/run_script.h"

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
imap_put_conf(
    const struct node *node, const struct imap_config *config, struct buf *buf)
{
	const struct dovecot_listeners *listeners = config->listeners;
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
		{ "IMAP_IP",
		    listeners->imap.port != 0 ? listeners->imap.ip
					      : "127.0.0.1" },
		{ "IMAP_PORT", port },
		{ "IMAPS_IP",
		    listeners->imaps.port != 0 ? listeners->imaps.ip
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
	whole[0] = (struct part){ "ONE_USER",
		one_user.length > 0 ? one_user.data : "" };
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
