/* SPDX-License-Identifier: ISC */
/* Which addresses are this node's own. */
#include "control/own_addresses.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "control/network.h"

struct networks {
	struct network *items;
	size_t count;
};

struct own_addresses {
	struct networks more, not ;
};

static void
read_networks(const struct settings *settings, enum setting_id id,
    struct networks *networks)
{
	const struct strlist *list = settings_list(settings, id);

	networks->items = xcalloc(list->count + 1, sizeof(*networks->items));
	for (size_t i = 0; i < list->count; i++)
		if (network_read(list->items[i], strlen(list->items[i]),
			&networks->items[networks->count]))
			networks->count++;
}

static bool
networks_have(const struct networks *networks, const struct sockaddr *address)
{
	for (size_t i = 0; i < networks->count; i++)
		if (network_has(&networks->items[i], address))
			return true;
	return false;
}

struct own_addresses *
own_addresses_new(const struct settings *settings)
{
	struct own_addresses *own = xcalloc(1, sizeof(*own));

	read_networks(settings, SETTING_moreipme, &own->more);
	read_networks(settings, SETTING_notipme, &own->not );
	return own;
}

void
own_addresses_free(struct own_addresses **own)
{
	if (*own == NULL)
		return;
	free((*own)->more.items);
	free((*own)->not .items);
	free(*own);
	*own = NULL;
}

/* Of 127.0.0.0/8 any reaches this host; 0.0.0.0/8 and :: do, too. */
static bool
is_always_own(const struct sockaddr *address)
{
	static const struct network always[] = {
		{ AF_INET, { 127 }, 8 },
		{ AF_INET, { 0 }, 8 },
		{ AF_INET6, { [15] = 1 }, 128 },
		{ AF_INET6, { 0 }, 128 },
	};

	for (size_t i = 0; i < sizeof(always) / sizeof(always[0]); i++)
		if (network_has(&always[i], address))
			return true;
	return false;
}

static bool
is_of_interface(const struct sockaddr *one, const struct sockaddr *address)
{
	struct network network = { .family = AF_UNSPEC };
	struct sockaddr_in ip4;
	struct sockaddr_in6 ip6;

	if (one->sa_family == AF_INET) {
		memcpy(&ip4, one, sizeof(ip4));
		network = (struct network){ .family = AF_INET, .bits = 32 };
		memcpy(network.bytes, &ip4.sin_addr, 4);
	} else if (one->sa_family == AF_INET6) {
		memcpy(&ip6, one, sizeof(ip6));
		network = (struct network){ .family = AF_INET6, .bits = 128 };
		memcpy(network.bytes, &ip6.sin6_addr, 16);
	}
	return network_has(&network, address);
}

int
own_addresses_has(const struct own_addresses *own,
    const struct sockaddr *address, struct error *err)
{
	struct ifaddrs *interfaces;
	bool is_own = false;

	if (networks_have(&own->not, address))
		return 0;
	if (networks_have(&own->more, address) || is_always_own(address))
		return 1;
	if (getifaddrs(&interfaces) == -1)
		return error_sys(err, "cannot list this host's addresses");
	for (const struct ifaddrs *at = interfaces; at != NULL && !is_own;
	     at = at->ifa_next)
		is_own = at->ifa_addr != NULL &&
		    is_of_interface(at->ifa_addr, address);
	freeifaddrs(interfaces);
	return is_own;
}
