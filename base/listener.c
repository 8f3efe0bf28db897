/* SPDX-License-Identifier: ISC */
/* Accepts connections and runs each on a thread of its own. */
#include "base/listener.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/ipcount.h"
#include "base/listen_socket.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/worker_pool.h"

enum {
	MAX_IDLE_THREADS = 128,
	PAUSE_MS = 100,
	TROUBLE_LOG_MS = 60 * 1000,
	/* Each has a descriptor's number at hand, so they are few. */
	ACCEPTORS_MAX = 8,
	LINGER_MS = 1000,
	LINGER_BYTES = 64 * 1024
};

struct listener {
	struct listener_options options; /* without limits and address */
	int fd;
	int wake_fd; /* an eventfd that ends every wait */
	/* The address it is bound to, which all connections have unless is_any.
	 */
	struct listener_peer local;
	bool is_any;
	struct worker_pool *workers;
	/* under lock */
	pthread_mutex_t lock;
	pthread_cond_t all_done; /* connections or acceptors are 0 */
	struct listener_limits limits;
	unsigned connections;
	unsigned acceptors; /* threads in accept_connections, not serving */
	bool is_stopping;
	int64_t quiet_until_ms; /* no line about trouble before */
	struct ipcount *per_ip;
};

struct connection {
	struct listener *listener;
	int fd;
	struct sockaddr_storage remote;
	struct in6_addr ip;
};

struct listener *
listener_new(const struct listener_options *options, struct error *err)
{
	struct sockaddr_storage bound = { .ss_family = AF_UNSPEC };
	int fd = listen_socket_open(options, &bound, err);
	int wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct listener *listener;
	pthread_condattr_t monotonic;

	if (fd != -1 && wake_fd == -1) {
		error_sys(err, "cannot make an eventfd");
		close(fd);
		return NULL;
	}
	if (fd == -1) {
		close(wake_fd);
		return NULL;
	}
	listener = xcalloc(1, sizeof(*listener));
	listener->options = *options;
	listener->options.address = NULL; /* borrowed for this call only */
	listener->fd = fd;
	listener->wake_fd = wake_fd;
	listen_socket_text(&bound, listener->local.local_ip,
	    sizeof(listener->local.local_ip), &listener->local.local_port);
	listener->is_any = listen_socket_is_any(&bound);
	listener->limits = options->limits;
	listener->per_ip = ipcount_new();
	listener->workers = worker_pool_new(
	    options->stack_bytes, MAX_IDLE_THREADS);
	pthread_mutex_init(&listener->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&listener->all_done, &monotonic);
	pthread_condattr_destroy(&monotonic);
	return listener;
}

void
listener_free(struct listener **listener_in)
{
	struct listener *listener = *listener_in;

	if (listener == NULL)
		return;
	if (listener->fd != -1)
		close(listener->fd);
	worker_pool_free(&listener->workers);
	close(listener->wake_fd);
	ipcount_free(&listener->per_ip);
	pthread_cond_destroy(&listener->all_done);
	pthread_mutex_destroy(&listener->lock);
	free(listener);
	*listener_in = NULL;
}

uint16_t
listener_port(const struct listener *listener)
{
	return listener->local.local_port;
}

void
listener_set_limits(
    struct listener *listener, const struct listener_limits *limits)
{
	pthread_mutex_lock(&listener->lock);
	listener->limits = *limits;
	pthread_mutex_unlock(&listener->lock);
}

unsigned
listener_connections(struct listener *listener)
{
	unsigned connections;

	pthread_mutex_lock(&listener->lock);
	connections = listener->connections;
	pthread_mutex_unlock(&listener->lock);
	return connections;
}

static void
describe_peer(const struct connection *connection, struct listener_peer *peer)
{
	struct sockaddr_storage local;
	socklen_t size = sizeof(local);

	*peer = connection->listener->local;
	listen_socket_text(&connection->remote, peer->remote_ip,
	    sizeof(peer->remote_ip), &peer->remote_port);
	if (!connection->listener->is_any)
		return;
	if (getsockname(connection->fd, (struct sockaddr *)&local, &size) == -1)
		memset(&local, 0, sizeof(local));
	listen_socket_text(
	    &local, peer->local_ip, sizeof(peer->local_ip), &peer->local_port);
}

enum admission { ADMITTED, OVER_TOTAL, OVER_PER_IP };

/*
 * May this connection be served, and by this thread, which accepts no more
 * then?  *was_last_out: nobody else accepts now; somebody has to, and counts
 * as if he did already.
 */
static enum admission
admit_connection(
    struct listener *listener, const struct in6_addr *ip, bool *was_last_out)
{
	enum admission admission = ADMITTED;

	pthread_mutex_lock(&listener->lock);
	if (listener->limits.max_per_ip > 0 &&
	    ipcount_get(listener->per_ip, ip) >= listener->limits.max_per_ip)
		admission = OVER_PER_IP;
	else if (listener->connections >= listener->limits.max_connections)
		admission = OVER_TOTAL;
	else {
		listener->connections++;
		ipcount_add(listener->per_ip, ip);
		*was_last_out = listener->acceptors == 1;
		if (!*was_last_out)
			listener->acceptors--;
	}
	pthread_mutex_unlock(&listener->lock);
	return admission;
}

static void
dismiss(struct listener *listener, const struct in6_addr *ip)
{
	pthread_mutex_lock(&listener->lock);
	ipcount_drop(listener->per_ip, ip);
	if (--listener->connections == 0)
		pthread_cond_broadcast(&listener->all_done);
	pthread_mutex_unlock(&listener->lock);
}

/*
 * Closing with input unread makes the kernel send a reset, at which the peer
 * may drop our last reply unread: then the input is read first, until the peer
 * ends too, for a bounded time and size.  Ordinarily there is none.
 */
static void
read_rest(int fd)
{
	int64_t until_ms = clock_ms() + LINGER_MS;
	size_t total = 0;
	char bytes[4096];
	int unread;

	if (ioctl(fd, FIONREAD, &unread) == -1 || unread == 0 ||
	    shutdown(fd, SHUT_WR) == -1)
		return;
	while (
	    total < LINGER_BYTES && clock_wait_fd(fd, POLLIN, until_ms) == 1) {
		ssize_t n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);

		if (n <= 0)
			break;
		total += (size_t)n;
	}
}

static void
serve_connection(const struct connection *connection)
{
	struct listener *listener = connection->listener;
	struct listener_peer peer;

	describe_peer(connection, &peer);
	listener->options.serve(
	    connection->fd, &peer, listener->options.context);
	read_rest(connection->fd);
	/*
	 * Not counted any more once the peer can see the end, or a client that
	 * comes again at once would be one too many.
	 */
	dismiss(listener, &connection->ip);
	close(connection->fd);
}

static void
refuse_connection(const struct connection *connection, bool is_per_ip)
{
	struct listener *listener = connection->listener;
	struct listener_peer peer;

	describe_peer(connection, &peer);
	listener->options.refuse(
	    connection->fd, &peer, is_per_ip, listener->options.context);
	close(connection->fd);
}

/* The process lacks something: leaves new connections in the backlog. */
static void
pause_for(struct listener *listener, const char *what, int error)
{
	struct pollfd wanted = { .fd = listener->wake_fd, .events = POLLIN };
	int64_t now_ms = clock_ms();
	unsigned connections;
	bool is_told;

	pthread_mutex_lock(&listener->lock);
	connections = listener->connections;
	is_told = now_ms < listener->quiet_until_ms;
	if (!is_told)
		listener->quiet_until_ms = now_ms + TROUBLE_LOG_MS;
	pthread_mutex_unlock(&listener->lock);
	errno = error;
	if (!is_told)
		log_line("%s: %m (%u connections are served; new ones wait; "
			 "if this lasts, raise the service's limits of memory, "
			 "processes and open files)",
		    what, connections);
	poll(&wanted, 1, PAUSE_MS);
}

/* Makes an acceptor of a thread that is none.  False: enough accept. */
static bool
begin_accepting(struct listener *listener)
{
	bool is_wanted;

	pthread_mutex_lock(&listener->lock);
	is_wanted = !listener->is_stopping &&
	    listener->acceptors < ACCEPTORS_MAX;
	if (is_wanted)
		listener->acceptors++;
	pthread_mutex_unlock(&listener->lock);
	return is_wanted;
}

/* The contrary; false when nobody would accept any more, unless stopping. */
static bool
end_accepting(struct listener *listener)
{
	bool may_end;

	pthread_mutex_lock(&listener->lock);
	may_end = listener->is_stopping || listener->acceptors > 1;
	if (may_end && --listener->acceptors == 0)
		pthread_cond_broadcast(&listener->all_done);
	pthread_mutex_unlock(&listener->lock);
	return may_end;
}

/* accept() has failed.  False when this thread is to accept no more. */
static bool
may_go_on(struct listener *listener, int error)
{
	bool is_stopping;

	pthread_mutex_lock(&listener->lock);
	is_stopping = listener->is_stopping;
	pthread_mutex_unlock(&listener->lock);
	if (is_stopping)
		return !end_accepting(listener);
	if (error == EMFILE || error == ENFILE || error == ENOMEM ||
	    error == ENOBUFS) {
		if (end_accepting(listener))
			return false;
		pause_for(listener, "cannot accept connections", error);
	} else /* it is that connection's own trouble, accept(2) */
		assert(error != EBADF && error != EINVAL);
	return true;
}

static void accept_connections(void *argument);

/*
 * Serves or refuses.  True when this thread is an acceptor still, or again.
 */
static bool
take_connection(const struct connection *connection)
{
	struct listener *listener = connection->listener;
	bool was_last = false;
	enum admission admission = admit_connection(
	    listener, &connection->ip, &was_last);
	int error;

	if (admission != ADMITTED) {
		refuse_connection(connection, admission == OVER_PER_IP);
		return true;
	}
	if (was_last &&
	    worker_pool_run(listener->workers, accept_connections, listener) ==
		-1) {
		error = errno;
		dismiss(listener, &connection->ip);
		refuse_connection(connection, false);
		pause_for(listener, "cannot start a thread", error);
		return true;
	}
	serve_connection(connection);
	return begin_accepting(listener);
}

/* False with errno. */
static bool
accept_connection(struct connection *connection)
{
	socklen_t size = sizeof(connection->remote);

	connection->fd = accept4(connection->listener->fd,
	    (struct sockaddr *)&connection->remote, &size, SOCK_CLOEXEC);
	if (connection->fd != -1)
		listen_socket_ip(&connection->remote, &connection->ip);
	return connection->fd != -1;
}

/* A worker's job, counted as an acceptor already. */
static void
accept_connections(void *argument)
{
	struct connection connection = { .listener = argument };
	bool goes_on = true;

	while (goes_on)
		goes_on = accept_connection(&connection)
		    ? take_connection(&connection)
		    : may_go_on(argument, errno);
}

/* Without any thread: tells so to a client that waits. */
static void
refuse_one(struct listener *listener)
{
	struct pollfd in = { .fd = listener->fd, .events = POLLIN };
	struct connection connection = { .listener = listener };

	if (poll(&in, 1, 0) == 1 && accept_connection(&connection))
		refuse_connection(&connection, false);
}

/* Until there is a thread that accepts, or the listener is stopped: false. */
static bool
start_accepting(struct listener *listener)
{
	struct pollfd wake = { .fd = listener->wake_fd, .events = POLLIN };

	while (poll(&wake, 1, 0) <= 0) {
		int error;

		if (worker_pool_run(
			listener->workers, accept_connections, listener) == 0)
			return true;
		error = errno;
		refuse_one(listener);
		pause_for(listener, "cannot start a thread", error);
	}
	return false;
}

/* Clients that waited in the backlog would wait for sessions that drain. */
static void
end_all_accepting(struct listener *listener)
{
	pthread_mutex_lock(&listener->lock);
	listener->is_stopping = true;
	/* Linux: wakes whoever is in accept(), and nobody listens any more. */
	shutdown(listener->fd, SHUT_RD);
	while (listener->acceptors > 0)
		pthread_cond_wait(&listener->all_done, &listener->lock);
	pthread_mutex_unlock(&listener->lock);
	close(listener->fd);
	listener->fd = -1;
}

void
listener_run(struct listener *listener)
{
	struct pollfd wake = { .fd = listener->wake_fd, .events = POLLIN };

	listener->acceptors = 1; /* nobody else is there yet */
	if (!start_accepting(listener))
		listener->acceptors = 0;
	while (poll(&wake, 1, -1) != 1)
		;
	end_all_accepting(listener);
}

void
listener_stop(struct listener *listener)
{
	const uint64_t one = 1;
	int saved_errno = errno;

	/* It can only fail by being full, and then it wakes as well. */
	if (write(listener->wake_fd, &one, sizeof(one)) == -1)
		errno = saved_errno;
}

bool
listener_drain(struct listener *listener, int timeout_ms)
{
	int64_t until_ms = clock_ms() + timeout_ms;
	struct timespec until = { .tv_sec = until_ms / 1000,
		.tv_nsec = until_ms % 1000 * 1000000 };
	bool is_empty;

	pthread_mutex_lock(&listener->lock);
	while (listener->connections > 0 &&
	    pthread_cond_timedwait(
		&listener->all_done, &listener->lock, &until) == 0)
		;
	is_empty = listener->connections == 0;
	pthread_mutex_unlock(&listener->lock);
	return is_empty;
}
