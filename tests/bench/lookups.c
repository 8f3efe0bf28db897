/* SPDX-License-Identifier: ISC */
/*
 * Asks lookupd for users, from many connections with one question, or one batch
 * of them, under way on each.
 *
 *	lookups SOCKET CLIENTS SECONDS FIRST USERS DOMAINS BATCH
 *
 * The users are u0.. of domain.test, uN of dM.test with M = N % DOMAINS.  With
 * SECONDS 0 each of the USERS from FIRST on is asked for once, else all of them
 * again and again.  Prints answers, seconds, and answers that were not "found".
 */
#include <err.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/packet.h"
#include "lookupd/query.h"

static unsigned first_user, users, domains, batch;
static unsigned long asked, answered, not_found;
static struct query_request request;
static struct query_answers answers;

/* In an order that no cache of any kind likes. */
static unsigned
next_user(void)
{
	return first_user + (unsigned)(asked++ * 2654435761u % users);
}

static void
ask(int fd)
{
	static char locals[QUERY_COUNT_MAX][24], names[QUERY_COUNT_MAX][24];
	static struct buf packet;

	request.id = 1;
	request.count = batch;
	for (unsigned i = 0; i < batch; i++) {
		unsigned user = next_user();

		snprintf(locals[i], sizeof(locals[i]), "u%u", user);
		snprintf(names[i], sizeof(names[i]), "d%u.test", user % domains);
		request.queries[i] = (struct query){ .kind = QUERY_USER,
			.local = locals[i],
			.domain = names[i],
			.ip = "",
			.service = "" };
	}
	buf_reset(&packet);
	query_put_request(&packet, &request);
	if (packet_send(fd, packet.data, packet.length, -1, 0) == -1)
		err(1, "cannot ask");
}

static void
take(int fd)
{
	static char packet[PACKET_MAX];
	ssize_t n = recv(fd, packet, sizeof(packet), 0);

	if (n <= 0 || !query_get_answers(packet, (size_t)n, &answers) ||
	    answers.count != batch)
		errx(1, "that is no answer");
	for (size_t i = 0; i < answers.count; i++)
		not_found += answers.answers[i].state != QUERY_FOUND;
	answered += answers.count;
}

int
main(int argc, char **argv)
{
	int clients, epoll_fd = epoll_create1(0);
	struct epoll_event events[64];
	int64_t began_us, end_us;
	unsigned long wanted;

	if (argc != 8)
		errx(100, "usage: lookups SOCKET CLIENTS SECONDS FIRST USERS "
			  "DOMAINS BATCH");
	clients = atoi(argv[2]);
	first_user = (unsigned)atoi(argv[4]);
	users = (unsigned)atoi(argv[5]);
	domains = (unsigned)atoi(argv[6]);
	batch = (unsigned)atoi(argv[7]);
	wanted = atoi(argv[3]) == 0 ? users : ~0ul;
	began_us = clock_us();
	end_us = began_us + atoi(argv[3]) * 1000000L;
	for (int i = 0; i < clients && asked < wanted; i++) {
		struct error reason;
		int fd = packet_connect_within(argv[1], 60000, &reason);
		struct epoll_event event = { .events = EPOLLIN,
			.data.fd = fd };

		if (fd == -1 ||
		    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) == -1)
			errx(1, "%s", reason.text);
		ask(fd);
	}
	while (answered < asked) {
		int count = epoll_wait(epoll_fd, events, 64, 60000);

		if (count < 1)
			errx(1, "no answer");
		for (int i = 0; i < count; i++) {
			take(events[i].data.fd);
			if (asked < wanted &&
			    (wanted != ~0ul || clock_us() < end_us))
				ask(events[i].data.fd);
		}
	}
	printf("%lu %.3f %lu\n", answered,
	    (double)(clock_us() - began_us) / 1e6, not_found);
	return 0;
}
