/* SPDX-License-Identifier: ISC */
/* The virtual domains of a node, one after the other. */
#include "adminsrv/domain_list.h"

#include "adminsrv/domain_cluster.h"
#include "adminsrv/node_lines.h"
#include "base/mem.h"
#include "lookupd/store.h"

int
domain_list(const struct home *home, struct strlist *domains, struct error *err)
{
	struct strlist clustered = { NULL, 0 };
	int result = node_lines_domains(home, domains, err);

	if (result == 0)
		result = domain_cluster_list(home, &clustered, err);
	for (size_t i = 0; result == 0 && i < clustered.count; i++)
		if (!strlist_has(domains, clustered.items[i]))
			strlist_add(domains, clustered.items[i]);
	strlist_release(&clustered);
	return result;
}

enum admin_result
domain_list_one(const struct home *home, const char *domain,
    enum admin_result (*act)(
	const struct users_at *at, void *context, struct error *err),
    void *context, struct error *err)
{
	AUTO(store_domain_release)
	struct store_domain found = { .name = NULL };
	struct users_at at;
	enum admin_result result = users_find_domain(
	    home->root, domain, &found, err);

	if (result != ADMIN_OK)
		return result;
	at = users_at(home, &found);
	return act(&at, context, err);
}

enum admin_result
domain_list_each(const struct home *home,
    enum admin_result (*act)(
	const struct users_at *at, void *context, struct error *err),
    void *context, struct error *err)
{
	struct strlist domains = { NULL, 0 };
	enum admin_result result = admin_result_of(
	    domain_list(home, &domains, err));

	for (size_t i = 0; result == ADMIN_OK && i < domains.count; i++)
		result = domain_list_one(
		    home, domains.items[i], act, context, err);
	strlist_release(&domains);
	return result;
}
