/* SPDX-License-Identifier: ISC */
/* How many connections each address has: a tree, which no choice of addresses
 * makes slow.
 */
#include "base/ipcount.h"

#include <assert.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

struct ip_entry {
	struct in6_addr ip; /* first: keys are compared with entries */
	unsigned count;     /* never 0 */
};

struct ipcount {
	void *root;
};

struct ipcount *
ipcount_new(void)
{
	return xcalloc(1, sizeof(struct ipcount));
}

void
ipcount_free(struct ipcount **table)
{
	if (*table == NULL)
		return;
	tdestroy((*table)->root, free);
	free(*table);
	*table = NULL;
}

static int
compare_ips(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct in6_addr));
}

static struct ip_entry *
find_ip(const struct ipcount *table, const struct in6_addr *ip)
{
	struct ip_entry *const *node = tfind(ip, &table->root, compare_ips);

	return node == NULL ? NULL : *node;
}

unsigned
ipcount_get(const struct ipcount *table, const struct in6_addr *ip)
{
	const struct ip_entry *entry = find_ip(table, ip);

	return entry == NULL ? 0 : entry->count;
}

void
ipcount_add(struct ipcount *table, const struct in6_addr *ip)
{
	struct ip_entry *entry = find_ip(table, ip);

	if (entry == NULL) {
		entry = xcalloc(1, sizeof(*entry));
		entry->ip = *ip;
		while (tsearch(entry, &table->root, compare_ips) == NULL)
			free(
			    xmalloc(64)); /* waits for memory, or ends it all */
	}
	entry->count++;
}

void
ipcount_drop(struct ipcount *table, const struct in6_addr *ip)
{
	struct ip_entry *entry = find_ip(table, ip);

	assert(entry != NULL);
	if (--entry->count > 0)
		return;
	tdelete(ip, &table->root, compare_ips);
	free(entry);
}
