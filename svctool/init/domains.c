/* SPDX-License-Identifier: ISC */
/* The virtual domains that svctool init is asked for. */
#include <stdlib.h>
#include <string.h>

#include "adminsrv/domain.h"
#include "adminsrv/names.h"
#include "adminsrv/node_lines.h"
#include "base/mem.h"
#include "lookupd/vpasswd.h"
#include "svctool/init/init.h"

static int
add_domain(struct maker *maker, const char *word, struct error *err)
{
	const struct domain_options options = {
		.password_hash = VPASSWD_NO_PASSWORD,
		.quota = "NOQUOTA",
		.keeps_postmaster = true,
	};
	const struct home *home = maker->node->home;
	char domain[NAMES_DOMAIN_SIZE];
	int found;

	if (names_domain(word, domain, err) == -1)
		return -1;
	found = domain_is_complete(home, domain, err);
	if (found == 1)
		maker->kept++;
	if (found != 0)
		return found == 1 ? 0 : -1;
	if (domain_add(home, domain, &options, err) != ADMIN_OK)
		return -1;
	make_say("made",
	    "domain %s (postmaster without a password: vpasswd gives one)",
	    domain);
	maker->made++;
	return 0;
}

/*
 * RFC 5321 4.5.1: postmaster at the server's own name must get mail.  A name
 * that is a domain already, or local by the operator's wish, stays so.
 */
static int
add_own_name(struct maker *maker, const char *first, struct error *err)
{
	const struct home *home = maker->node->home;
	char me[NAMES_DOMAIN_SIZE], real[NAMES_DOMAIN_SIZE];
	struct node_state state;
	bool is_taken;
	int found = init_read_me(maker->node, me, err);

	if (found == 0)
		return error_set(err,
		    "'%s/me' has gone: write the node's name into it, then "
		    "run this again",
		    home->control);
	if (found == -1 || names_domain(first, real, err) == -1)
		return -1;
	found = domain_is_complete(home, me, err);
	if (found == -1 || node_state_read(home, me, &state, err) == -1)
		return -1;
	is_taken = state.assign_user == NULL
	    ? state.is_in_locals
	    : strcmp(state.assign_user, real) != 0;
	node_state_release(&state);
	if (found == 1 || is_taken) {
		maker->kept++;
		return 0;
	}
	if (domain_add_alias(home, real, me, err) != ADMIN_OK)
		return -1;
	make_say(
	    "made", "alias domain %s of %s, for postmaster@%s", me, real, me);
	maker->made++;
	return 0;
}

int
init_domains(
    struct maker *maker, const struct init_options *options, struct error *err)
{
	const struct strlist *domains = &options->domains;

	for (size_t i = 0; i < domains->count; i++)
		if (add_domain(maker, domains->items[i], err) == -1)
			return -1;
	return domains->count == 0
	    ? 0
	    : add_own_name(maker, domains->items[0], err);
}
