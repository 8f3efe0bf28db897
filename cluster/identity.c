/* SPDX-License-Identifier: ISC */
/* Who this node is in its cluster. */
#include "cluster/identity.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "control/layout.h"
#include "control/node_setting.h"

enum { KEY_FILE_MAX = 2 * CLUSTER_KEY_SIZE };

int
cluster_name_read(const struct home *home, char name_out[CLUSTER_NAME_SIZE],
    struct error *err)
{
	AUTO(buf_release) struct buf value = BUF_INIT;

	if (node_setting_text(home->control, SETTING_nodename, &value, err) ==
	    -1)
		return -1;
	snprintf(name_out, CLUSTER_NAME_SIZE, "%s", value.data);
	return *name_out != '\0';
}

/* Takes one line, a key. */
static const char *
take_key_line(const char *text, char key_out[CLUSTER_KEY_SIZE])
{
	size_t length = strcspn(text, "\n");

	if (length != CLUSTER_KEY_SIZE - 1 || text[length] != '\n')
		return NULL;
	memcpy(key_out, text, length);
	key_out[length] = '\0';
	return text + length + 1;
}

int
cluster_key_read(const char *path, char public_out[CLUSTER_KEY_SIZE],
    char secret_out[CLUSTER_KEY_SIZE], struct error *err)
{
	AUTO(buf_release) struct buf text = BUF_INIT;
	int found = file_read(path, KEY_FILE_MAX, &text, err);
	const char *next;

	if (found != 1)
		return found;
	next = take_key_line(text.data, secret_out);
	if (next != NULL)
		next = take_key_line(next, public_out);
	explicit_bzero(text.data, text.length);
	if (next != NULL && *next == '\0')
		return 1;
	explicit_bzero(secret_out, CLUSTER_KEY_SIZE);
	return error_set(err,
	    "'%s' does not have two lines of 40 characters, the secret key "
	    "and the public one",
	    path);
}

int
cluster_identity_read(const struct home *home,
    struct cluster_identity *identity_out, struct error *err)
{
	OWN_TEXT cert = layout_path(home, LAYOUT_nodecert);
	OWN_TEXT key = layout_path(home, LAYOUT_cluster_key);
	int found = cluster_name_read(home, identity_out->name, err);

	if (found != 1)
		return found;
	if (certificate_pin_of_file(cert, identity_out->pin, err) == -1)
		return -1;
	found = cluster_key_read(key, identity_out->public_key,
	    identity_out->secret_key, err);
	if (found == 0)
		return error_set(err,
		    "'%s' is missing: 'svctool cluster join' makes a new one",
		    key);
	return found;
}

void
cluster_identity_release(struct cluster_identity *identity)
{
	explicit_bzero(identity->secret_key, sizeof(identity->secret_key));
}
