/* SPDX-License-Identifier: ISC */
/* The certificate and the key by which other nodes know this one. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "cluster/keys.h"
#include "svctool/cluster/cluster.h"

/* What others know it by is its key: it need not expire before that is new. */
enum { VALID_DAYS = 20 * 365 };

int
cluster_make_certificate(struct maker *maker, enum layout_id id,
    const char *name, char pin_out[CERTIFICATE_PIN_SIZE], struct error *err)
{
	OWN_TEXT path = layout_path(maker->node->home, id);
	AUTO(buf_release) struct buf pem = BUF_INIT;
	int result = 0;

	if (access(path, F_OK) == -1 && errno == ENOENT) {
		result = certificate_make(
		    name, VALID_DAYS, &pem, pin_out, err);
		if (result == 0)
			result = make_file(maker, id, path, pem.data, err);
		if (pem.length > 0)
			explicit_bzero(pem.data, pem.length);
	}
	/* A run that was killed may have left it root's alone. */
	if (result == -1 || make_readable(id, path, err) == -1)
		return -1;
	return certificate_pin_of_file(path, pin_out, err);
}

int
cluster_make_key(struct maker *maker, enum layout_id id,
    char public_out[CLUSTER_KEY_SIZE], struct error *err)
{
	OWN_TEXT path = layout_path(maker->node->home, id);
	AUTO(buf_release) struct buf text = BUF_INIT;
	char secret[CLUSTER_KEY_SIZE];
	int found = cluster_key_read(path, public_out, secret, err);
	int result = found == -1 ? -1 : 0;

	explicit_bzero(secret, sizeof(secret));
	if (found == 0)
		result = cluster_key_make(public_out, &text, err);
	if (result == 0 && found == 0)
		result = make_file(maker, id, path, text.data, err);
	else if (result == 0)
		result = make_owned(maker, path, layout_rows[id].owner, err);
	if (text.length > 0)
		explicit_bzero(text.data, text.length);
	return result;
}

int
cluster_remove_file(
    const struct node *node, enum layout_id id, struct error *err)
{
	OWN_TEXT path = node_layout_path(node, id);

	if (unlink(path) == 0)
		make_say("removed", "%s", path);
	else if (errno != ENOENT)
		return error_sys(err, "cannot remove '%s'", path);
	return 0;
}
