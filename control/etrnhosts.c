/* SPDX-License-Identifier: ISC */
/* Lines of etrnhosts. */
#include "control/etrnhosts.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "control/idn.h"
#include "control/network.h"

void
etrnhost_release(struct etrnhost *host)
{
	free(host->domain);
	free(host->networks);
	free(host->maildir);
	free(host->prefix);
	free(host->host);
	*host = (struct etrnhost){ .domain = NULL };
}

/* The next word of *at; NULL at the end. */
static char *
take_word(const char **at)
{
	size_t length;
	char *word;

	*at += strspn(*at, " \t");
	length = strcspn(*at, " \t");
	word = length == 0 ? NULL : xstrndup(*at, length);
	*at += length;
	return word;
}

/*
 * The network that *at begins with, which it moves behind; false when that is
 * none.
 */
static bool
take_network(const char **at, struct network *network_out)
{
	size_t length = strcspn(*at, ",");
	bool is_well = network_read(*at, length, network_out);

	*at += length + ((*at)[length] == ',');
	return is_well;
}

static bool
are_networks(const char *text)
{
	struct network unused;
	bool is_well = *text != '\0' && text[strlen(text) - 1] != ',';

	while (is_well && *text != '\0')
		is_well = take_network(&text, &unused);
	return is_well;
}

static int
judge(const struct etrnhost *host, const char *rest, struct error *err)
{
	if (host->maildir == NULL)
		return error_set(err,
		    "it has not three words; write DOMAIN NETWORK MAILDIR");
	if (!are_networks(host->networks))
		return error_set(err,
		    "'%s' is no list of networks; write for example "
		    "192.0.2.1,198.51.100.0/28",
		    host->networks);
	if (host->maildir[0] != '/' && strcmp(host->maildir, "-") != 0)
		return error_set(err,
		    "'%s' is no path from the root; write that of a Maildir, "
		    "as /home/example/Maildir, or - for none",
		    host->maildir);
	if (rest[strspn(rest, " \t")] != '\0')
		return error_set(err,
		    "it has more than five words; write DOMAIN NETWORK MAILDIR "
		    "PREFIX HOST");
	return 0;
}

int
etrnhost_read(const char *line, struct etrnhost *host_out, struct error *err)
{
	char canonical[IDN_DOMAIN_SIZE];
	char *domain = take_word(&line);
	int result;

	idn_domain_canonical(domain == NULL ? "" : domain, canonical);
	free(domain);
	*host_out = (struct etrnhost){ .domain = xstrdup(canonical) };
	host_out->networks = take_word(&line);
	host_out->maildir = take_word(&line);
	host_out->prefix = take_word(&line);
	host_out->host = take_word(&line);
	if (host_out->prefix == NULL || strcmp(host_out->prefix, "-") == 0) {
		free(host_out->prefix);
		host_out->prefix = xstrdup("");
	}
	result = judge(host_out, line, err);
	if (result == -1)
		etrnhost_release(host_out);
	else if (strcmp(host_out->maildir, "-") == 0) {
		free(host_out->maildir);
		host_out->maildir = NULL;
	}
	return result;
}

bool
etrnhost_find(
    const struct strlist *lines, const char *domain, struct etrnhost *host_out)
{
	char canonical[IDN_DOMAIN_SIZE];
	struct error unused;

	if (!idn_domain_canonical(domain, canonical))
		return false;
	for (size_t i = 0; i < lines->count; i++) {
		if (etrnhost_read(lines->items[i], host_out, &unused) == -1)
			continue; /* not in a list that was loaded */
		if (strcmp(host_out->domain, canonical) == 0)
			return true;
		etrnhost_release(host_out);
	}
	return false;
}

bool
etrnhost_allows(const struct etrnhost *host, const char *ip)
{
	struct sockaddr_storage address;
	const char *at = host->networks;
	struct network network;

	if (!network_read(ip, strlen(ip), &network) ||
	    !network_address(&network, 0, &address))
		return false;
	while (*at != '\0')
		if (take_network(&at, &network) &&
		    network_has(&network, (struct sockaddr *)&address))
			return true;
	return false;
}
