/* SPDX-License-Identifier: ISC */
/* The name of a client, as the DNS says it. */
#include "smtp/client_name.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/clock.h"
#include "base/listen_socket.h"

enum {
	TOTAL_MS = 8 * 1000, /* a greeting that comes later is too late */
	NAMES_MAX = 5        /* that one address may have */
};

static int
ms_left(int64_t deadline_ms)
{
	int64_t left_ms = deadline_ms - clock_ms();

	return left_ms > 0 ? (int)left_ms : 0;
}

static bool
leads_to(struct dns_client *dns, const char *name,
    const struct sockaddr_storage *ip, int64_t deadline_ms)
{
	enum dns_type type = ip->ss_family == AF_INET ? DNS_A : DNS_AAAA;
	struct in6_addr wanted, its;
	struct sockaddr_storage address;
	struct dns_answer answer;
	bool is_found = false;

	listen_socket_ip(ip, &wanted);
	dns_client_ask(dns, type, name, ms_left(deadline_ms), &answer);
	for (size_t i = 0; i < answer.record_count && !is_found; i++)
		if (dns_read_address(&answer.records[i], 0, &address)) {
			listen_socket_ip(&address, &its);
			is_found = memcmp(&its, &wanted, sizeof(its)) == 0;
		}
	dns_answer_release(&answer);
	return is_found;
}

static bool
fill_address(const char *ip, struct sockaddr_storage *address_out)
{
	unsigned char bytes[sizeof(struct in6_addr)];
	int family = strchr(ip, ':') == NULL ? AF_INET : AF_INET6;

	if (inet_pton(family, ip, bytes) != 1)
		return false;
	listen_socket_fill(family, bytes, 0, address_out);
	return true;
}

bool
client_name_find(
    struct dns_client *dns, const char *ip, char name_out[DNS_NAME_SIZE])
{
	int64_t deadline_ms = clock_ms() + TOTAL_MS;
	struct sockaddr_storage address;
	char question[DNS_NAME_SIZE];
	struct dns_answer answer;
	bool is_found = false;

	if (!fill_address(ip, &address))
		return false;
	dns_reverse_name((const struct sockaddr *)&address, question);
	dns_client_ask(
	    dns, DNS_PTR, question, ms_left(deadline_ms), &answer);
	for (size_t i = 0; i < answer.record_count && i < NAMES_MAX; i++)
		if (dns_read_name(&answer.records[i], name_out) &&
		    leads_to(dns, name_out, &address, deadline_ms)) {
			is_found = true;
			break;
		}
	dns_answer_release(&answer);
	return is_found;
}
