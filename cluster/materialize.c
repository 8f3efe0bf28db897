/* SPDX-License-Identifier: ISC */
/* What other programs of the node must know of the cluster. */
#include "cluster/materialize.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/mem.h"
#include "control/cdbmap.h"

static void
add_nul_text(struct buf *value, const char *text)
{
	buf_add(value, text, strlen(text) + 1);
}

static void
add_nul_number(struct buf *value, unsigned long number)
{
	buf_addf(value, "%lu", number);
	buf_addc(value, '\0');
}

/* Ends the writer.  0, or -1 when result is or it cannot be done. */
static int
end_writer(struct cdbmap_writer **writer, int result, struct error *err)
{
	if (result == 0)
		return cdbmap_writer_commit(writer, err);
	cdbmap_writer_abort(writer);
	return -1;
}

int
materialize_domains(const char *path,
    const struct materialize_domain *domains, size_t count, struct error *err)
{
	struct cdbmap_writer *writer = cdbmap_writer_new(path, err);
	AUTO(buf_release) struct buf value = BUF_INIT;
	int result = 0;

	if (writer == NULL)
		return -1;
	for (size_t i = 0; i < count && result == 0; i++) {
		const struct materialize_domain *domain = &domains[i];

		buf_reset(&value);
		add_nul_text(&value, domain->real);
		add_nul_text(&value, domain->dir);
		add_nul_number(&value, domain->uid);
		add_nul_number(&value, domain->gid);
		result = cdbmap_writer_add(writer, domain->name,
		    strlen(domain->name), value.data, value.length, err);
	}
	return end_writer(&writer, result, err);
}

static void
add_pins(struct buf *value, const struct strlist *pins)
{
	for (size_t i = 0; i < pins->count; i++) {
		if (i > 0)
			buf_addc(value, ',');
		buf_adds(value, pins->items[i]);
	}
	buf_addc(value, '\0');
}

int
materialize_nodes(const char *path, const char *own_name,
    const struct materialize_node *nodes, size_t count, struct error *err)
{
	struct cdbmap_writer *writer = cdbmap_writer_new(path, err);
	AUTO(buf_release) struct buf value = BUF_INIT;
	int result;

	if (writer == NULL)
		return -1;
	result = cdbmap_writer_add(
	    writer, "", 0, own_name, strlen(own_name), err);
	for (size_t i = 0; i < count && result == 0; i++) {
		const struct materialize_node *node = &nodes[i];

		buf_reset(&value);
		add_nul_text(&value, node->host);
		add_nul_number(&value, node->smtp_port);
		add_pins(&value, node->pins);
		add_nul_text(&value, node->role);
		add_nul_number(&value, node->imap_port);
		add_nul_number(&value, node->pop3_port);
		buf_addc(&value, node->is_alive ? '1' : '0');
		result = cdbmap_writer_add(writer, node->name,
		    strlen(node->name), value.data, value.length, err);
	}
	return end_writer(&writer, result, err);
}

int
materialize_leases(const char *path, const struct cluster_lease_list *list,
    struct error *err)
{
	AUTO(buf_release) struct buf text = BUF_INIT;
	char *temporary;
	int fd = file_begin(path, &temporary, err);

	if (fd == -1)
		return -1;
	buf_addf(&text, "node %s %" PRIu64 " %" PRId64 " %s %s\n", list->node,
	    list->node_epoch, list->node_deadline_ms, list->boot,
	    list->instance);
	for (size_t i = 0; i < list->count; i++)
		buf_addf(&text, "%s %" PRIu64 " %" PRId64 " %s\n",
		    list->leases[i].store, list->leases[i].epoch,
		    list->leases[i].deadline_ms, list->leases[i].path);
	if (file_write_all(fd, text.data, text.length) == -1 ||
	    fchmod(fd, 0644) == -1 || rename(temporary, path) == -1) {
		error_sys(err, "cannot write '%s'", path);
		file_abort(fd, temporary);
		return -1;
	}
	file_close(&fd);
	free(temporary);
	return 0;
}
