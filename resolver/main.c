/* SPDX-License-Identifier: ISC */
/* resolverd: asks the DNS for the node's other processes (resolverd(8)). */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/confine.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/packet.h"
#include "base/process.h"
#include "base/scan.h"
#include "base/signals.h"
#include "base/usage.h"
#include "control/home.h"
#include "control/identity.h"
#include "control/settings.h"
#include "resolver/server.h"

enum { PORTS_MAX = 64, DNS_PORT = 53 };

static const char usage[] = "usage: resolverd";

struct process {
	struct loop_source signal_source;
	bool is_stopping;
};

static void
signal_ready(uint32_t events, void *context)
{
	struct process *process = context;

	(void)events;
	while (signals_next(process->signal_source.fd) != 0)
		process->is_stopping = true;
}

/* TERM and INT come to the loop. */
static void
watch_signals(struct process *process, struct loop *loop)
{
	struct error err;

	signal(SIGPIPE, SIG_IGN);
	process->signal_source = (struct loop_source){
		signals_open(SIGTERM, SIGINT, 0), signal_ready, process
	};
	if (process->signal_source.fd == -1)
		fatal(111, "cannot make a signalfd");
	if (loop_add(loop, &process->signal_source, EPOLLIN, &err) == -1)
		fatal(111, "%s", err.text);
}

/* Of "ADDRESS@PORT", when that is not 53. */
static void
add_port(const char *server, unsigned short ports[PORTS_MAX], size_t *count)
{
	const char *at = strrchr(server, '@');
	uint64_t port;

	if (at != NULL && *count < PORTS_MAX &&
	    scan_u64(at + 1, UINT16_MAX, &port))
		ports[(*count)++] = (unsigned short)port;
}

static void
add_ports(
    const struct strlist *list, unsigned short ports[PORTS_MAX], size_t *count)
{
	size_t i;

	for (i = 0; i < list->count; i++)
		add_port(list->items[i], ports, count);
}

/* No files from here on, and no port but those of name servers. */
static void
confine(const struct settings *settings)
{
	unsigned short ports[PORTS_MAX] = { DNS_PORT };
	struct confine_rules rules = { NULL, ports, 1 };
	struct error err;

	add_ports(settings_list(settings, SETTING_dnsforward), ports,
	    &rules.tcp_port_count);
	add_ports(settings_list(settings, SETTING_dnsstub), ports,
	    &rules.tcp_port_count);
	if (confine_files(&rules, &err) == -1)
		fatal(111, "%s", err.text);
}

static int
listen_at(const struct home *home)
{
	char *path = xasprintf("%s/resolver", home->run);
	struct error err;
	int fd;

	if (packet_is_served(path))
		fatal(111, "another resolverd serves '%s'", path);
	fd = packet_listen(path, 0666, &err);
	if (fd == -1)
		fatal(111, "%s", err.text);
	free(path);
	return fd;
}

int
main(int argc, char **argv)
{
	struct process process = { 0 };
	struct settings *settings;
	struct dns_server *server;
	struct unbound *unbound;
	struct loop *loop;
	struct home *home;
	struct error err;
	int listen_fd;

	log_open("resolverd");
	usage_answer(argv, "resolverd", usage);
	if (argc != 1)
		fatal(100, "%s", usage);
	umask(077);
	files_raise(UINT64_MAX); /* a socket for each question to a server */
	loop = loop_new();
	watch_signals(&process, loop);
	home = home_new();
	settings = settings_load(home->control, "resolverd", NULL, &err);
	if (settings == NULL)
		fatal(111, "%s", err.text);
	unbound = unbound_new(settings, &err);
	if (unbound == NULL)
		fatal(111, "%s", err.text);
	listen_fd = listen_at(home);
	if (identity_become(IDENTITY_RESOLVER, &err) == -1)
		fatal(111, "%s", err.text);
	confine(settings); /* before there are threads */
	if (unbound_start(unbound, &err) == -1 || confine_calls(false, &err) == -1)
		fatal(111, "%s", err.text);
	server = dns_server_new(loop, unbound, listen_fd, &err);
	if (server == NULL)
		fatal(111, "%s", err.text);
	log_line("status: ready");
	while (!process.is_stopping)
		loop_wait(loop, -1);
	dns_server_free(&server);
	close(listen_fd);
	loop_remove(loop, &process.signal_source);
	close(process.signal_source.fd);
	loop_free(&loop);
	settings_free(&settings);
	home_free(&home);
	return 0;
}
