/* SPDX-License-Identifier: ISC */
/* The HTTPS interface: connections and requests. */
#include "adminsrv/server/api.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <event2/util.h>

#include "adminsrv/server/api_answer.h"
#include "adminsrv/server/api_tls.h"
#include "base/ipcount.h"
#include "base/listen_socket.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/test_time.h"
#include "base/worker_pool.h"

enum {
	STACK_BYTES = 512 * 1024,
	IDLE_WORKERS = 4,
	WRITE_MS = 60 * 1000, /* for the peer to take the answer */
	IP_SIZE = 64
};

struct api_job;

struct api {
	struct admin_server *server;
	struct api_tokens *tokens;
	struct worker_pool *pool;
	pthread_t thread;
	bool has_thread;
	atomic_bool is_stopping;
	int wake_fd;
	/* of the thread */
	struct event_base *base;
	struct evhttp *http;
	struct evhttp_bound_socket *socket;
	struct event *wake;
	struct ipcount *ips;
	unsigned connections, jobs;
	pthread_mutex_t lock; /* for what follows */
	struct api_tls *tls;
	STAILQ_HEAD(, api_job) done;
};

struct api_connection {
	struct api *api;
	struct bufferevent *stream;
	struct event *timer;
	bool is_counted; /* ip is among api->ips */
	struct in6_addr ip;
	char ip_text[IP_SIZE];
};

struct api_job {
	STAILQ_ENTRY(api_job) link;
	struct api *api;
	struct evhttp_request *http;
	char *method, *path, *query, *authorization, *content_type, *body;
	size_t body_length;
	char remote_ip[IP_SIZE];
	struct api_answer answer;
};

/* -- connections */

static void
set_timer(struct event *timer, int64_t ms)
{
	const struct timeval span = { .tv_sec = ms / 1000,
		.tv_usec = ms % 1000 * 1000 };

	evtimer_add(timer, &span);
}

/* Its TLS is freed. */
static void
connection_gone(void *context)
{
	struct api_connection *connection = context;
	struct api *api = connection->api;

	event_free(connection->timer);
	if (connection->is_counted)
		ipcount_drop(api->ips, &connection->ip);
	api->connections--;
	free(connection);
}

/* Both sides see an end; whoever has the connection frees it then. */
static void
cut_connection(const struct api_connection *connection)
{
	shutdown(bufferevent_getfd(connection->stream), SHUT_RDWR);
}

/* Who it is, and may he?  libevent has given it its socket by now. */
static bool
admit_connection(struct api_connection *connection)
{
	struct sockaddr_storage address;
	socklen_t size = sizeof(address);
	struct api *api = connection->api;
	uint16_t port;

	if (getpeername(bufferevent_getfd(connection->stream),
		(struct sockaddr *)&address, &size) == -1)
		return false;
	listen_socket_ip(&address, &connection->ip);
	listen_socket_text(&address, connection->ip_text,
	    sizeof(connection->ip_text), &port);
	connection->is_counted = true;
	ipcount_add(api->ips, &connection->ip);
	return api->connections <= API_CONNECTIONS_MAX &&
	    ipcount_get(api->ips, &connection->ip) <= API_CONNECTIONS_PER_IP;
}

static void
connection_timer(evutil_socket_t fd, short what, void *context)
{
	struct api_connection *connection = context;

	(void)fd;
	(void)what;
	if (connection->is_counted || !admit_connection(connection))
		cut_connection(connection);
	else
		set_timer(connection->timer,
		    test_time_ms("API_READ_MS", API_READ_MS));
}

static struct bufferevent *
make_connection(struct event_base *base, void *context)
{
	struct api *api = context;
	struct api_connection *connection = xcalloc(1, sizeof(*connection));

	connection->api = api;
	connection->timer = evtimer_new(base, connection_timer, connection);
	api->connections++;
	pthread_mutex_lock(&api->lock);
	connection->stream = api_tls_connection(
	    api->tls, base, connection_gone, connection);
	pthread_mutex_unlock(&api->lock);
	/* libevent would go on without TLS. */
	if (connection->stream == NULL)
		abort();
	set_timer(connection->timer, 0);
	return connection->stream;
}

/* NULL: the peer has gone. */
static struct api_connection *
connection_of(struct evhttp_request *http)
{
	struct evhttp_connection *of = evhttp_request_get_connection(http);

	return of == NULL
	    ? NULL
	    : api_tls_context(evhttp_connection_get_bufferevent(of));
}

/* -- answers */

static void
send_answer(struct evhttp_request *http, const struct api_answer *answer)
{
	struct evkeyvalq *headers = evhttp_request_get_output_headers(http);
	struct api_connection *connection = connection_of(http);
	struct evbuffer *body = evbuffer_new();

	evhttp_add_header(headers, "Connection", "close");
	evhttp_add_header(headers, "Content-Type", answer->type);
	evhttp_add_header(headers, "Cache-Control", "no-store");
	evhttp_add_header(headers, "X-Content-Type-Options", "nosniff");
	evhttp_add_header(headers, "Content-Security-Policy",
	    "default-src 'none'; frame-ancestors 'none'");
	if (answer->allow != NULL)
		evhttp_add_header(headers, "Allow", answer->allow);
	if (answer->code == 401)
		evhttp_add_header(headers, "WWW-Authenticate",
		    "Basic realm=\"mqmail\", charset=\"UTF-8\"");
	evbuffer_add(body, answer->body.data, answer->body.length);
	if (connection != NULL)
		set_timer(connection->timer, WRITE_MS);
	evhttp_send_reply(http, answer->code, NULL, body);
	evbuffer_free(body);
}

static void
refuse_request(struct evhttp_request *http, int code, const char *reason)
{
	struct api_answer answer = { .code = code, .type = "application/json" };

	buf_init(&answer.body);
	buf_addf(&answer.body, "{\"error\":\"%s\"}\n", reason);
	send_answer(http, &answer);
	buf_release(&answer.body);
}

static void
free_job(struct api_job *job)
{
	free(job->method);
	free(job->path);
	free(job->query);
	if (job->authorization != NULL)
		explicit_bzero(job->authorization, strlen(job->authorization));
	free(job->authorization);
	free(job->content_type);
	if (job->body != NULL)
		explicit_bzero(job->body, job->body_length);
	free(job->body);
	buf_release(&job->answer.body);
	free(job);
}

static void
wake_api(struct api *api)
{
	uint64_t one = 1;

	if (write(api->wake_fd, &one, sizeof(one)) == -1) {
		/* It is awake already. */
	}
}

static void
reap_jobs(evutil_socket_t fd, short what, void *context)
{
	struct api *api = context;
	struct api_job *job;
	uint64_t count;

	(void)what;
	if (read(fd, &count, sizeof(count)) == -1) {
		/* Somebody was faster. */
	}
	for (;;) {
		pthread_mutex_lock(&api->lock);
		job = STAILQ_FIRST(&api->done);
		if (job != NULL)
			STAILQ_REMOVE_HEAD(&api->done, link);
		pthread_mutex_unlock(&api->lock);
		if (job == NULL)
			break;
		send_answer(job->http, &job->answer);
		free_job(job);
		api->jobs--;
	}
	if (!atomic_load(&api->is_stopping))
		return;
	if (api->socket != NULL)
		evhttp_del_accept_socket(api->http, api->socket);
	api->socket = NULL;
	if (api->jobs == 0) {
		/* The last answers go out meanwhile. */
		const struct timeval span = { .tv_usec = 200 * 1000 };

		event_base_loopexit(api->base, &span);
	}
}

/* -- requests */

static void
run_job(void *argument)
{
	struct api_job *job = argument;
	struct api *api = job->api;
	const struct api_request request = { .method = job->method,
		.path = job->path,
		.query = job->query,
		.authorization = job->authorization,
		.content_type = job->content_type,
		.body = job->body,
		.body_length = job->body_length,
		.remote_ip = job->remote_ip };

	api_answer(api->server, api->tokens, &request, &job->answer);
	log_line("%s: api: %s %s from %s: %d", admin_program, job->method,
	    job->path, job->remote_ip, job->answer.code);
	pthread_mutex_lock(&api->lock);
	STAILQ_INSERT_TAIL(&api->done, job, link);
	pthread_mutex_unlock(&api->lock);
	wake_api(api);
}

static const char *
method_name(const struct evhttp_request *http)
{
	switch (evhttp_request_get_command(http)) {
	case EVHTTP_REQ_GET:
		return "GET";
	case EVHTTP_REQ_POST:
		return "POST";
	case EVHTTP_REQ_PUT:
		return "PUT";
	case EVHTTP_REQ_PATCH:
		return "PATCH";
	case EVHTTP_REQ_DELETE:
		return "DELETE";
	case EVHTTP_REQ_HEAD:
	case EVHTTP_REQ_OPTIONS:
	case EVHTTP_REQ_TRACE:
	case EVHTTP_REQ_CONNECT:
		break;
	}
	return NULL;
}

static unsigned
count_header(struct evhttp_request *http, const char *name)
{
	const struct evkeyval *each;
	unsigned count = 0;

	TAILQ_FOREACH(each, evhttp_request_get_input_headers(http), next)
		count += strcasecmp(each->key, name) == 0;
	return count;
}

static const char *
find_header(struct evhttp_request *http, const char *name)
{
	return evhttp_find_header(evhttp_request_get_input_headers(http), name);
}

/* Of a page of ours, or of no page: "https://HOST". */
static bool
is_own_origin(struct evhttp_request *http)
{
	const char *origin = find_header(http, "Origin");
	const char *host = find_header(http, "Host");

	return origin == NULL ||
	    (strncasecmp(origin, "https://", 8) == 0 && host != NULL &&
		strcasecmp(origin + 8, host) == 0);
}

/* Lengths and hosts that two readers could understand in two ways. */
static bool
is_plain_request(struct evhttp_request *http)
{
	unsigned lengths = count_header(http, "Content-Length");
	unsigned codings = count_header(http, "Transfer-Encoding");
	const char *coding = find_header(http, "Transfer-Encoding");

	return lengths + codings <= 1 &&
	    (coding == NULL || strcasecmp(coding, "chunked") == 0) &&
	    count_header(http, "Host") == 1 &&
	    count_header(http, "Authorization") <= 1 &&
	    count_header(http, "Content-Type") <= 1;
}

static char *
copy_text(const char *text)
{
	return text == NULL ? NULL : xstrdup(text);
}

static struct api_job *
make_job(struct api *api, struct evhttp_request *http, const char *method,
    const struct api_connection *connection)
{
	const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(http);
	struct evbuffer *body = evhttp_request_get_input_buffer(http);
	struct api_job *job = xcalloc(1, sizeof(*job));
	const char *path = uri == NULL ? NULL : evhttp_uri_get_path(uri);

	job->api = api;
	job->http = http;
	job->method = xstrdup(method);
	job->path = xstrdup(path == NULL || *path == '\0' ? "/" : path);
	job->query = uri == NULL ? NULL : copy_text(evhttp_uri_get_query(uri));
	job->authorization = copy_text(find_header(http, "Authorization"));
	job->content_type = copy_text(find_header(http, "Content-Type"));
	job->body_length = evbuffer_get_length(body);
	job->body = xcalloc(1, job->body_length + 1);
	evbuffer_copyout(body, job->body, job->body_length);
	snprintf(job->remote_ip, sizeof(job->remote_ip), "%s",
	    connection->ip_text);
	return job;
}

static void
take_request(struct evhttp_request *http, void *context)
{
	struct api *api = context;
	struct api_connection *connection = connection_of(http);
	const char *method = method_name(http);
	struct api_job *job;

	evtimer_del(connection->timer);
	if (!connection->is_counted || atomic_load(&api->is_stopping)) {
		refuse_request(http, 503, "not now");
		return;
	}
	if (method == NULL || !is_plain_request(http)) {
		refuse_request(
		    http, method == NULL ? 405 : 400, "not such a request");
		return;
	}
	if (!is_own_origin(http)) {
		refuse_request(http, 403, "not from another site's page");
		return;
	}
	job = make_job(api, http, method, connection);
	api->jobs++;
	if (worker_pool_run(api->pool, run_job, job) == 0)
		return;
	api->jobs--;
	free_job(job);
	refuse_request(http, 503, "no thread for it");
}

/* -- the thread */

static void *
run_api(void *argument)
{
	struct api *api = argument;

	event_base_dispatch(api->base);
	return NULL;
}

static int
open_http(struct api *api, int fd, struct error *err)
{
	api->base = event_base_new();
	api->http = api->base == NULL ? NULL : evhttp_new(api->base);
	if (api->http == NULL ||
	    evutil_make_socket_nonblocking(fd) == -1)
		return error_set(err, "cannot begin to serve HTTP");
	evhttp_set_max_headers_size(api->http, API_HEADERS_MAX);
	evhttp_set_max_body_size(api->http, API_BODY_MAX);
	evhttp_set_timeout(api->http, API_READ_MS / 1000);
	evhttp_set_allowed_methods(api->http,
	    EVHTTP_REQ_GET | EVHTTP_REQ_POST | EVHTTP_REQ_PUT |
		EVHTTP_REQ_PATCH | EVHTTP_REQ_DELETE);
	evhttp_set_default_content_type(api->http, NULL);
	evhttp_set_bevcb(api->http, make_connection, api);
	evhttp_set_gencb(api->http, take_request, api);
	api->socket = evhttp_accept_socket_with_handle(api->http, fd);
	api->wake = event_new(api->base, api->wake_fd, EV_READ | EV_PERSIST,
	    reap_jobs, api);
	return api->socket == NULL || api->wake == NULL ||
		event_add(api->wake, NULL) == -1
	    ? error_set(err, "cannot serve HTTP")
	    : 0;
}

struct api *
api_start(struct admin_server *server, int fd, struct error *err)
{
	struct api *api = xcalloc(1, sizeof(*api));

	api->server = server;
	pthread_mutex_init(&api->lock, NULL);
	STAILQ_INIT(&api->done);
	api->ips = ipcount_new();
	api->tokens = api_tokens_new();
	api->pool = worker_pool_new(STACK_BYTES, IDLE_WORKERS);
	api->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (api_reload(api, err) == 0 && open_http(api, fd, err) == 0) {
		errno = pthread_create(&api->thread, NULL, run_api, api);
		if (errno == 0) {
			api->has_thread = true;
			return api;
		}
		error_sys(err, "cannot start a thread");
	}
	if (api->socket == NULL)
		close(fd);
	api_stop(&api);
	return NULL;
}

int
api_reload(struct api *api, struct error *err)
{
	OWN_TEXT path = admin_server_certificate(api->server->home);
	struct api_tls *tls = api_tls_new(path, err), *old;

	if (tls == NULL)
		return -1;
	pthread_mutex_lock(&api->lock);
	old = api->tls;
	api->tls = tls;
	pthread_mutex_unlock(&api->lock);
	api_tls_free(&old);
	return 0;
}

void
api_stop(struct api **api_in)
{
	struct api *api = *api_in;

	if (api == NULL)
		return;
	atomic_store(&api->is_stopping, true);
	if (api->has_thread) {
		wake_api(api);
		pthread_join(api->thread, NULL);
	}
	worker_pool_free(&api->pool);
	if (api->wake != NULL)
		event_free(api->wake);
	if (api->http != NULL)
		evhttp_free(api->http);
	if (api->base != NULL)
		event_base_free(api->base);
	if (api->wake_fd != -1)
		close(api->wake_fd);
	api_tls_free(&api->tls);
	api_tokens_free(&api->tokens);
	ipcount_free(&api->ips);
	pthread_mutex_destroy(&api->lock);
	free(api);
	*api_in = NULL;
}
