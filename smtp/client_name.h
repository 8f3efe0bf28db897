/* SPDX-License-Identifier: ISC */
/* The name of a client, as the DNS says it. */
#ifndef SMTP_CLIENT_NAME_H
#define SMTP_CLIENT_NAME_H

#include <stdbool.h>

#include "resolver/dns_client.h"

/*
 * A name of the address that leads back to it: whoever owns an address may give
 * it any name.  False: it has none, or that could not be told within some
 * seconds.  Blocking; any thread.
 */
bool client_name_find(
    struct dns_client *dns, const char *ip, char name_out[DNS_NAME_SIZE]);

#endif
