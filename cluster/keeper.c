/* SPDX-License-Identifier: ISC */
/* Looks at this node, and writes the files. */
#include "cluster/keeper.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "cluster/health.h"
#include "cluster/materialize.h"
#include "cluster/state.h"
#include "control/identity.h"
#include "control/layout.h"

enum { LOOK_MS = 1000, RETRY_MS = 1000, MS_PER_SECOND = 1000 };

/* Under the lock: waits for something to write, or for so long. */
static void
wait_for_files(struct state *state, int64_t wait_ms)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += wait_ms / MS_PER_SECOND;
	until.tv_nsec += wait_ms % MS_PER_SECOND * 1000000L;
	if (until.tv_nsec >= 1000000000L) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000L;
	}
	pthread_cond_timedwait(&state->files, &state->lock, &until);
}

void *
keeper_look(void *context)
{
	struct state *state = context;
	struct node_health *node = node_health_new(state->home);

	while (!state->is_stopping) {
		json_t *health = node_health_look(node), *old;
		int64_t next_ms = clock_ms() + LOOK_MS, left_ms;

		pthread_mutex_lock(&state->lock);
		json_object_set_new(health, "database",
		    json_string(state->has_database ? "up" : "away"));
		json_object_set_new(
		    health, "lease", json_string(hold_name(state->hold)));
		json_object_set_new(health, "clock_ahead_ms",
		    json_integer(state->clock_ahead_ms));
		old = state->health;
		state->health = health;
		json_decref(old);
		while (!state->is_stopping &&
		    (left_ms = next_ms - clock_ms()) > 0)
			wait_for_files(state, left_ms);
		pthread_mutex_unlock(&state->lock);
	}
	node_health_free(&node);
	return NULL;
}

/* -- files */

struct cluster_files {
	struct state *state;
	char *nodes_path, *domains_path;
	struct identity owner; /* of domains */
	struct member *members; /* copies, with what the file has */
	size_t member_count;
	bool has_members, has_domains; /* that are to be written */
	struct strlist names, reals;
	char said[512];
};

static void
copy_list(struct strlist *to, const struct strlist *from)
{
	for (size_t i = 0; i < from->count; i++)
		strlist_add(to, from->items[i]);
}

static void
forget_copies(struct cluster_files *files)
{
	for (size_t i = 0; i < files->member_count; i++)
		member_release(&files->members[i]);
	free(files->members);
	files->members = NULL;
	files->member_count = 0;
}

/* Under the lock, which is not held while the disk is waited for. */
static void
take_news(struct cluster_files *files)
{
	struct state *state = files->state;

	if (state->has_new_nodes) {
		forget_copies(files);
		files->members = xcalloc(
		    state->member_count + 1, sizeof(*files->members));
		for (size_t i = 0; i < state->member_count; i++) {
			const struct member *from = &state->members[i];
			struct member *to =
			    &files->members[files->member_count++];

			*to = (struct member){ .name = xstrdup(from->name),
				.host = xstrdup(from->host),
				.role = xstrdup(from->role),
				.smtp_port = from->smtp_port,
				.imap_port = from->imap_port,
				.pop3_port = from->pop3_port,
				.is_alive = from->is_alive };
			copy_list(&to->pins, &from->pins);
		}
		files->has_members = true;
	}
	if (state->has_new_domains) {
		strlist_release(&files->names);
		strlist_release(&files->reals);
		files->names = state->domains;
		files->reals = state->reals;
		state->domains = state->reals = (struct strlist){ .count = 0 };
		files->has_domains = true;
	}
	state->has_new_nodes = state->has_new_domains = false;
}

static int
write_nodes(const struct cluster_files *files, struct error *err)
{
	struct materialize_node *nodes = xcalloc(
	    files->member_count + 1, sizeof(*nodes));
	int result;

	for (size_t i = 0; i < files->member_count; i++) {
		const struct member *member = &files->members[i];

		nodes[i] = (struct materialize_node){ .name = member->name,
			.host = member->host,
			.role = member->role,
			.smtp_port = member->smtp_port,
			.imap_port = member->imap_port,
			.pop3_port = member->pop3_port,
			.pins = &member->pins,
			.is_alive = member->is_alive };
	}
	result = materialize_nodes(files->nodes_path,
	    files->state->name, nodes, files->member_count, err);
	free(nodes);
	return result;
}

static int
write_domains(const struct cluster_files *files, struct error *err)
{
	size_t count = files->names.count;
	struct materialize_domain *domains = xcalloc(
	    count + 1, sizeof(*domains));
	struct strlist dirs = { .count = 0 };
	int result;

	for (size_t i = 0; i < count; i++) {
		OWN_TEXT dir = xasprintf("%s/%s", files->state->home->domains,
		    files->reals.items[i]);

		strlist_add(&dirs, dir);
		domains[i] = (struct materialize_domain){
			.name = files->names.items[i],
			.real = files->reals.items[i],
			.dir = dirs.items[i],
			.uid = files->owner.uid,
			.gid = files->owner.gid
		};
	}
	result = materialize_domains(files->domains_path, domains, count, err);
	strlist_release(&dirs);
	free(domains);
	return result;
}

/* What cannot be written is tried again a second later. */
static void
write_files(struct cluster_files *files)
{
	struct error err = { "" };

	if (files->has_members && write_nodes(files, &err) == 0)
		files->has_members = false;
	if (files->has_domains && write_domains(files, &err) == 0)
		files->has_domains = false;
	if (err.text[0] != '\0' && strcmp(err.text, files->said) != 0)
		log_line("warning: %s", err.text);
	snprintf(files->said, sizeof(files->said), "%s", err.text);
}

void *
keeper_write(void *context)
{
	struct state *state = context;
	struct cluster_files files = { .state = state };
	struct error err;

	files.nodes_path = layout_path(state->home, LAYOUT_cluster_nodes);
	files.domains_path = layout_path(state->home, LAYOUT_cluster_domains);
	if (identity_find(IDENTITY_VIRTUAL, &files.owner, &err) != 1)
		log_line("warning: %s", err.text);
	while (!state->is_stopping) {
		pthread_mutex_lock(&state->lock);
		while (!state->is_stopping && !state->has_new_nodes &&
		    !state->has_new_domains && !files.has_members &&
		    !files.has_domains)
			wait_for_files(state, RETRY_MS);
		take_news(&files);
		pthread_mutex_unlock(&state->lock);
		write_files(&files);
		if (files.has_members || files.has_domains)
			clock_sleep_ms(RETRY_MS);
	}
	forget_copies(&files);
	strlist_release(&files.names);
	strlist_release(&files.reals);
	free(files.nodes_path);
	free(files.domains_path);
	return NULL;
}
