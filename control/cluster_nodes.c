/* SPDX-License-Identifier: ISC */
/* The nodes of the cluster, from run/cluster/nodes.cdb. */
#include "control/cluster_nodes.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "base/scan.h"
#include "control/cdb_records.h"
#include "control/cdbmap.h"
#include "control/layout.h"

struct cluster_nodes {
	char *path;
	struct stat seen; /* zero: there was none */
};

struct cluster_nodes *
cluster_nodes_new(const struct home *home)
{
	struct cluster_nodes *nodes = xcalloc(1, sizeof(*nodes));

	nodes->path = layout_path(home, LAYOUT_cluster_nodes);
	return nodes;
}

void
cluster_nodes_free(struct cluster_nodes **nodes_in)
{
	struct cluster_nodes *nodes = *nodes_in;

	if (nodes == NULL)
		return;
	free(nodes->path);
	free(nodes);
	*nodes_in = NULL;
}

void
cluster_node_release(struct cluster_node *node)
{
	buf_release(&node->storage);
	strlist_release(&node->pins);
	*node = (struct cluster_node){ .name = NULL };
}

static void
add_pins(struct strlist *pins, const char *text)
{
	for (size_t length; *text != '\0'; text += length) {
		text += strspn(text, ",");
		length = strcspn(text, ",");
		if (length > 0)
			strlist_addn(pins, text, length);
	}
}

static bool
read_port(const char *text, uint16_t *port_out)
{
	uint64_t port;

	if (!scan_u64(text, UINT16_MAX, &port))
		return false;
	*port_out = (uint16_t)port;
	return true;
}

int
cluster_node_read(const char *name, size_t name_length, const char *value,
    size_t value_length, struct cluster_node *out, struct error *err)
{
	enum { HOST, SMTP, PINS, ROLE, IMAP, POP3, ALIVE, FIELDS };
	const char *fields[FIELDS], *at, *end;
	size_t count = 0;

	cluster_node_release(out);
	buf_add(&out->storage, name, name_length);
	buf_addc(&out->storage, '\0');
	buf_add(&out->storage, value, value_length);
	out->name = out->storage.data;
	at = out->storage.data + name_length + 1;
	end = out->storage.data + out->storage.length; /* a '\0' is there */
	for (; count < FIELDS && at <= end; at += strlen(at) + 1)
		fields[count++] = at;
	if (count == FIELDS && *fields[HOST] != '\0' &&
	    read_port(fields[SMTP], &out->smtp_port) &&
	    read_port(fields[IMAP], &out->imap_port) &&
	    read_port(fields[POP3], &out->pop3_port)) {
		out->host = fields[HOST];
		out->role = fields[ROLE];
		out->is_alive = strcmp(fields[ALIVE], "1") == 0;
		add_pins(&out->pins, fields[PINS]);
		return 0;
	}
	error_set(err, "the record of node '%s' is none", out->name);
	cluster_node_release(out);
	return -1;
}

int
cluster_node_find(const struct cluster_nodes *nodes, const char *name,
    struct cluster_node *out, struct error *err)
{
	AUTO(cdbmap_free) struct cdbmap *map = NULL;
	AUTO(buf_release) struct buf value = BUF_INIT;
	int found = *name == '\0' ? 0 : cdbmap_open(nodes->path, &map, err);

	if (found == 1)
		found = cdbmap_get(map, name, strlen(name), &value, err);
	if (found == 1 &&
	    cluster_node_read(name, strlen(name), value.data, value.length, out,
		err) == -1)
		return error_context(err, "%s", nodes->path);
	return found;
}

/* Goes through all: they are tens, and it is asked once a connection. */
static int
look_for_pin(struct cdb_records *records, const char *pin,
    struct cluster_node *out, struct error *err)
{
	struct cdb_record record;

	while (cdb_records_next(records, &record)) {
		if (record.key_length == 0)
			continue;
		if (cluster_node_read(record.key, record.key_length,
			record.value, record.value_length, out, err) == -1)
			return -1;
		if (strlist_has(&out->pins, pin))
			return 1;
		cluster_node_release(out);
	}
	return 0;
}

int
cluster_node_find_pin(const struct cluster_nodes *nodes, const char *pin,
    struct cluster_node *out, struct error *err)
{
	AUTO(cdb_records_release) struct cdb_records records = { .count = 0 };
	int found = cdb_records_read(nodes->path, &records, err);

	if (found == 1)
		found = look_for_pin(&records, pin, out, err);
	return found == -1 ? error_context(err, "%s", nodes->path) : found;
}

int
cluster_own_name(
    const struct cluster_nodes *nodes, struct buf *name_out, struct error *err)
{
	AUTO(cdbmap_free) struct cdbmap *map = NULL;
	int found = cdbmap_open(nodes->path, &map, err);

	return found != 1 ? found : cdbmap_get(map, "", 0, name_out, err);
}

bool
cluster_nodes_have_changed(struct cluster_nodes *nodes)
{
	struct stat now = { .st_ino = 0 };
	struct stat *seen = &nodes->seen;
	bool is_same;

	if (stat(nodes->path, &now) == -1)
		now = (struct stat){ .st_ino = 0 };
	is_same = now.st_ino == seen->st_ino && now.st_dev == seen->st_dev &&
	    now.st_size == seen->st_size &&
	    now.st_ctim.tv_sec == seen->st_ctim.tv_sec &&
	    now.st_ctim.tv_nsec == seen->st_ctim.tv_nsec;
	*seen = now;
	return !is_same;
}
