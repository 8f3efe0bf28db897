/* SPDX-License-Identifier: ISC */
/*
 * qmail-tcpto prints the hosts that did not answer, and qmail-tcpok forgets
 * them: one program under two names.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/scan.h"
#include "base/usage.h"
#include "control/home.h"
#include "control/network.h"
#include "remote/tcpto.h"

static const char print_usage[] = "usage: qmail-tcpto\n";
static const char forget_usage[] = "usage: qmail-tcpok [ADDRESS:PORT]\n";

static void
print_entry(const struct tcpto_entry *entry, void *context)
{
	const struct sockaddr_in *ip4 = (const void *)&entry->address;
	const struct sockaddr_in6 *ip6 = (const void *)&entry->address;
	bool is_v6 = entry->address.ss_family == AF_INET6;
	int64_t now_s = time(NULL);
	unsigned left_s = tcpto_left_s(entry, context, now_s);
	char text[INET6_ADDRSTRLEN];

	inet_ntop(entry->address.ss_family,
	    is_v6 ? (const void *)&ip6->sin6_addr : &ip4->sin_addr, text,
	    sizeof(text));
	printf(is_v6 ? "[%s]:%u" : "%s:%u", text, ntohs(ip4->sin_port));
	printf(" timed out %lld seconds ago; # recent timeouts: %u; ",
	    (long long)(now_s - entry->failed_at_s), entry->failures);
	if (left_s > 0)
		printf("left alone for %u seconds\n", left_s);
	else
		puts("it is tried");
}

static int
print_table(const char *path, const struct home *home)
{
	AUTO(tcpto_free) struct tcpto *tcpto = NULL;
	struct smtproute route = smtproute_standard();
	struct settings *settings;
	struct tcpto_limits limits;
	struct error err;
	int found;

	settings = settings_load(home->control, "qmail-remote", NULL, &err);
	if (settings == NULL)
		fatal(111, "%s", err.text);
	limits = tcpto_limits(settings, &route);
	settings_free(&settings);
	found = tcpto_open(path, false, &tcpto, &err);
	if (found == -1 ||
	    (found == 1 && tcpto_walk(tcpto, print_entry, &limits, &err) == -1))
		fatal(111, "%s", err.text);
	return 0;
}

/* "192.0.2.1:25", "[2001:db8::1]:25" */
static bool
read_address(const char *text, struct sockaddr_storage *address_out)
{
	const char *colon = strrchr(text, ':');
	struct network network;
	uint64_t port;

	return colon != NULL && scan_u64(colon + 1, UINT16_MAX, &port) &&
	    network_read(text, (size_t)(colon - text), &network) &&
	    network_address(&network, (unsigned short)port, address_out);
}

static int
forget(const char *path, const char *word)
{
	AUTO(tcpto_free) struct tcpto *tcpto = NULL;
	struct sockaddr_storage address;
	struct error err;
	int found;

	if (word != NULL && !read_address(word, &address)) {
		fputs(forget_usage, stderr);
		return 100;
	}
	found = tcpto_open(path, true, &tcpto, &err);
	if (found == -1 ||
	    (found == 1 &&
		tcpto_forget(tcpto,
		    word != NULL ? (struct sockaddr *)&address : NULL,
		    &err) == -1))
		fatal(111, "%s", err.text);
	return 0;
}

int
main(int argc, char **argv)
{
	const char *slash = strrchr(argv[0], '/');
	const char *name = slash != NULL ? slash + 1 : argv[0];
	bool is_forget = strcmp(name, "qmail-tcpok") == 0;
	const char *usage = is_forget ? forget_usage : print_usage;
	AUTO(mem_free) char *path = NULL;
	struct home *home;
	int code;

	log_open(is_forget ? "qmail-tcpok" : "qmail-tcpto");
	usage_answer(argv, is_forget ? "qmail-tcpok" : "qmail-tcpto", usage);
	if (argc > (is_forget ? 2 : 1) || (argc == 2 && argv[1][0] == '-')) {
		fputs(usage, stderr);
		return 100;
	}
	home = home_new();
	path = xasprintf("%s/tcpto", home->run);
	code = is_forget ? forget(path, argv[1]) : print_table(path, home);
	home_free(&home);
	return code;
}
