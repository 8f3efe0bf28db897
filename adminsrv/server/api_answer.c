/* SPDX-License-Identifier: ISC */
/* What a request of the HTTPS interface asks for, and the answer. */
#include "adminsrv/server/api_answer.h"

#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "adminsrv/server/api_openapi.h"
#include "adminsrv/server/metrics.h"
#include "adminsrv/server/words.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "control/json_text.h"

enum {
	TOKENS_MAX = 256,
	TOKEN_BYTES = 32,
	TOKEN_SIZE = 2 * TOKEN_BYTES + 1,
	TOKEN_S = 3600,
	CREDENTIALS_MAX = 1200, /* in base64 */
	SEGMENTS_MAX = 8,
	OUTPUT_MAX = 16 * 1024 * 1024,
	RUN_MS_MAX = 300 * 1000
};

static const char content_json[] = "application/json";

/* -- answers */

static void
answer_json(struct api_answer *answer, int code, json_t *value)
{
	char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);

	answer->code = code;
	answer->type = content_json;
	buf_reset(&answer->body);
	buf_adds(&answer->body, text == NULL ? "{}" : text);
	buf_addc(&answer->body, '\n');
	free(text);
	json_decref(value);
}

static void
answer_error(struct api_answer *answer, int code, const char *reason)
{
	answer_json(
	    answer, code, json_pack("{s:o}", "error", json_text(reason)));
}

/* -- tokens */

struct token {
	char text[TOKEN_SIZE];
	char *name;
	int64_t expires_ms; /* of clock_ms(); 0: free */
};

struct api_tokens {
	pthread_mutex_t lock; /* for what follows */
	struct token tokens[TOKENS_MAX];
};

struct api_tokens *
api_tokens_new(void)
{
	struct api_tokens *tokens = xcalloc(1, sizeof(*tokens));

	pthread_mutex_init(&tokens->lock, NULL);
	return tokens;
}

void
api_tokens_free(struct api_tokens **tokens)
{
	if (*tokens == NULL)
		return;
	for (size_t i = 0; i < TOKENS_MAX; i++)
		free((*tokens)->tokens[i].name);
	pthread_mutex_destroy(&(*tokens)->lock);
	explicit_bzero((*tokens)->tokens, sizeof((*tokens)->tokens));
	free(*tokens);
	*tokens = NULL;
}

/* In place of the one that ends first when there are too many. */
static void
give_token(
    struct api_tokens *tokens, const char *name, char text_out[TOKEN_SIZE])
{
	unsigned char bytes[TOKEN_BYTES];
	struct token *token;

	if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
		abort();
	for (size_t i = 0; i < TOKEN_BYTES; i++)
		snprintf(text_out + 2 * i, 3, "%02x", bytes[i]);
	pthread_mutex_lock(&tokens->lock);
	token = &tokens->tokens[0];
	for (size_t i = 1; i < TOKENS_MAX; i++)
		if (tokens->tokens[i].expires_ms < token->expires_ms)
			token = &tokens->tokens[i];
	free(token->name);
	token->name = xstrdup(name);
	token->expires_ms = clock_ms() + TOKEN_S * INT64_C(1000);
	memcpy(token->text, text_out, TOKEN_SIZE);
	pthread_mutex_unlock(&tokens->lock);
}

/* Whose it is, the caller's; NULL: nobody's. */
static char *
find_token(struct api_tokens *tokens, const char *text)
{
	int64_t now_ms = clock_ms();
	char *name = NULL;

	if (strlen(text) != TOKEN_SIZE - 1)
		return NULL;
	pthread_mutex_lock(&tokens->lock);
	for (size_t i = 0; i < TOKENS_MAX; i++)
		if (tokens->tokens[i].expires_ms > now_ms &&
		    CRYPTO_memcmp(tokens->tokens[i].text, text,
			TOKEN_SIZE - 1) == 0)
			name = xstrdup(tokens->tokens[i].name);
	pthread_mutex_unlock(&tokens->lock);
	return name;
}

/* -- who asks */

static enum admin_login
log_in_by_token(struct admin_server *server, struct api_tokens *tokens,
    const char *text, const char *remote_ip, struct admin_session *session_out,
    struct error *err)
{
	OWN_TEXT name = find_token(tokens, text);
	int found;

	*session_out = (struct admin_session){ .age_ms = 0 };
	if (name == NULL)
		return ADMIN_LOGIN_REFUSED;
	found = admins_find(server->admins, name, &session_out->admin,
	    &session_out->age_ms, err);
	if (found == 1 && session_out->admin.is_active) {
		snprintf(session_out->remote_ip, sizeof(session_out->remote_ip),
		    "%s", remote_ip);
		return ADMIN_LOGIN_OK;
	}
	if (found == 1)
		admin_release(&session_out->admin);
	return found == -1 ? ADMIN_LOGIN_UNKNOWN : ADMIN_LOGIN_REFUSED;
}

/* "NAME:PASSWORD" in base64 (RFC 7617). */
static enum admin_login
log_in_by_password(struct admin_server *server, const char *credentials,
    const char *remote_ip, struct admin_session *session_out, struct error *err)
{
	unsigned char text[CREDENTIALS_MAX];
	size_t length = strlen(credentials);
	enum admin_login result;
	char *colon;
	int n;

	if (length == 0 || length % 4 != 0 || length >= CREDENTIALS_MAX)
		return ADMIN_LOGIN_REFUSED;
	n = EVP_DecodeBlock(
	    text, (const unsigned char *)credentials, (int)length);
	if (n <= 0)
		return ADMIN_LOGIN_REFUSED;
	for (size_t i = length; i > 0 && credentials[i - 1] == '='; i--)
		n--;
	text[n < 0 ? 0 : n] = '\0';
	colon = strchr((char *)text, ':');
	if (colon == NULL || strlen((char *)text) != (size_t)n)
		return ADMIN_LOGIN_REFUSED;
	*colon = '\0';
	result = admin_server_login(
	    server, (char *)text, colon + 1, remote_ip, session_out, err);
	explicit_bzero(text, sizeof(text));
	return result;
}

static bool
log_in_request(struct admin_server *server, struct api_tokens *tokens,
    const struct api_request *request, struct admin_session *session_out,
    struct api_answer *answer)
{
	const char *text = request->authorization;
	enum admin_login result = ADMIN_LOGIN_REFUSED;
	struct error err;

	if (text != NULL && strncasecmp(text, "Basic ", 6) == 0)
		result = log_in_by_password(server, text + 6,
		    request->remote_ip, session_out, &err);
	else if (text != NULL && strncasecmp(text, "Bearer ", 7) == 0)
		result = log_in_by_token(server, tokens, text + 7,
		    request->remote_ip, session_out, &err);
	switch (result) {
	case ADMIN_LOGIN_OK:
		return true;
	case ADMIN_LOGIN_REFUSED:
		answer_error(answer, 401, "name or password incorrect");
		break;
	case ADMIN_LOGIN_UNKNOWN:
		log_line("%s: cannot tell who asks: %s", admin_program,
		    err.text);
		answer_error(answer, 503, "temporary authentication error");
		break;
	}
	return false;
}

/* -- parameters */

static int
hex_of(char c)
{
	const char *digits = "0123456789abcdef";
	const char *at = c == '\0' ? NULL : strchr(digits, c | 0x20);

	return at == NULL ? -1 : (int)(at - digits);
}

/* Takes %XX for what it is, and '+' for a blank if so; NULL: no such text. */
static char *
decode_text(const char *text, size_t length, bool has_plus)
{
	AUTO(buf_release) struct buf decoded = BUF_INIT;

	buf_init(&decoded);
	for (size_t i = 0; i < length; i++) {
		int high, low;

		if (text[i] != '%') {
			buf_addc(&decoded,
			    has_plus && text[i] == '+' ? ' ' : text[i]);
			continue;
		}
		if (length - i < 3)
			return NULL;
		high = hex_of(text[i + 1]);
		low = hex_of(text[i + 2]);
		if (high == -1 || low == -1 || high * 16 + low == 0)
			return NULL;
		buf_addc(&decoded, (char)(high * 16 + low));
		i += 2;
	}
	return xstrdup(decoded.data);
}

/* One given twice is as wrong as one that cannot be read. */
static int
set_param(json_t *params, const char *name, const char *value)
{
	return value == NULL || name == NULL ||
		json_object_get(params, name) != NULL ||
		json_object_set_new(params, name, json_string(value)) == -1
	    ? -1
	    : 0;
}

static int
take_query(json_t *params, const char *query)
{
	while (query != NULL && *query != '\0') {
		size_t length = strcspn(query, "&");
		size_t name_length = strcspn(query, "=&");
		OWN_TEXT name = decode_text(query, name_length, true);
		OWN_TEXT value = name_length == length
		    ? xstrdup("true")
		    : decode_text(query + name_length + 1,
			  length - name_length - 1, true);

		if (set_param(params, name, value) == -1)
			return -1;
		query += length;
		query += *query == '&';
	}
	return 0;
}

/* An object of texts, numbers and truths. */
static int
take_body(json_t *params, const char *body, size_t length)
{
	json_t *object = json_loadb(
	    body, length, JSON_REJECT_DUPLICATES, NULL);
	int result = json_is_object(object) ? 0 : -1;
	const char *name;
	json_t *value;

	json_object_foreach (object, name, value) {
		OWN_TEXT text = NULL;

		if (json_is_string(value))
			text = xstrdup(json_string_value(value));
		else if (json_is_integer(value))
			text = xasprintf("%lld",
			    (long long)json_integer_value(value));
		else if (json_is_boolean(value))
			text = xstrdup(json_is_true(value) ? "true" : "false");
		if (result == 0 && !json_is_null(value))
			result = set_param(params, name, text);
	}
	json_decref(object);
	return result;
}

static bool
has_control(const char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			return true;
	return false;
}

static const char *
get_param(const json_t *params, const char *name)
{
	const char *value = json_string_value(json_object_get(params, name));

	return value == NULL || strcmp(value, "false") == 0 ? NULL : value;
}

/* "[OPTION=name]", "[OPTION==name]", "[!OPTION=name]": without brackets. */
static void
add_option(const char *token, const json_t *params, struct strlist *words)
{
	bool is_not = *token == '!';
	/* An option of svctool has no '=' but the last two. */
	const char *equals = strrchr(token, '=');
	bool is_joined = equals > token && equals[-1] == '=';
	size_t length = (size_t)(equals - token) - (is_joined ? 1 : 0);
	OWN_TEXT option = xstrndup(token + is_not, length - is_not);
	const char *value = get_param(params, equals + 1);

	if (is_not) {
		if (value == NULL)
			strlist_add(words, option);
	} else if (value != NULL && is_joined) {
		OWN_TEXT word = xasprintf("%s=%s", option, value);

		strlist_add(words, word);
	} else if (value != NULL) {
		strlist_add(words, option);
		if (strcmp(value, "true") != 0)
			strlist_add(words, value);
	}
}

static int
add_token(const char *token, size_t length, const json_t *params,
    struct strlist *words, struct error *err)
{
	OWN_TEXT inner = NULL;
	const char *value;

	if (*token != '{' && *token != '[') {
		strlist_addn(words, token, length);
		return 0;
	}
	inner = xstrndup(token + 1, length - 2);
	if (*token == '[') {
		add_option(inner, params, words);
		return 0;
	}
	value = get_param(params, inner);
	if (value == NULL || *value == '\0')
		return error_set(err, "parameter '%s' is missing", inner);
	if (*value == '-')
		return error_set(err, "'%s': nothing begins with '-'", inner);
	strlist_add(words, value);
	return 0;
}

int
api_words(const char *words, const void *params, struct strlist *words_out,
    struct error *err)
{
	json_t *values = NULL;
	const char *name;
	json_t *value;

	memcpy(&values, &params, sizeof(values)); /* it is not changed */
	json_object_foreach (values, name, value)
		if (has_control(json_string_value(value)))
			return error_set(
			    err, "'%s' has a control character", name);
	while (*words != '\0') {
		size_t length = strcspn(words, " ");

		if (add_token(words, length, params, words_out, err) == -1)
			return -1;
		words += length;
		words += strspn(words, " ");
	}
	return 0;
}

/* -- routes */

/* Does a path fit a template?  Then its parameters are set. */
static bool
fits_path(const char *template, const char *path, json_t *params)
{
	while (*template == '/' && *path == '/') {
		size_t wanted = strcspn(template + 1, "/");
		size_t length = strcspn(path + 1, "/");

		if (template[1] == '{') {
			OWN_TEXT name = xstrndup(template + 2, wanted - 2);
			OWN_TEXT value = decode_text(path + 1, length, false);

			if (value == NULL || *value == '\0' ||
			    set_param(params, name, value) == -1)
				return false;
		} else if (wanted != length ||
		    strncmp(template + 1, path + 1, length) != 0)
			return false;
		template += 1 + wanted;
		path += 1 + length;
	}
	return *template == '\0' && *path == '\0';
}

/* Does the route know all that was given? */
static int
check_known(const struct api_route *route, json_t *params, struct error *err)
{
	const char *name;
	json_t *value;

	json_object_foreach (params, name, value) {
		OWN_TEXT braced = xasprintf("{%s}", name);
		OWN_TEXT option = xasprintf("=%s]", name);

		if (strpbrk(name, "{}[]= ") != NULL ||
		    (strstr(route->path, braced) == NULL &&
			strstr(route->words, braced) == NULL &&
			strstr(route->words, option) == NULL &&
			strcmp(route->input, name) != 0))
			return error_set(
			    err, "there is no parameter '%s' here", name);
	}
	return 0;
}

/* -- commands */

/* One value, or as svctool log has them, one a line. */
static json_t *
read_output(const struct buf *output)
{
	json_t *value = json_loadb(output->data, output->length, 0, NULL);
	const char *at = output->data;
	json_t *lines;

	if (value != NULL)
		return value;
	lines = json_array();
	while (*at == '{') {
		size_t length = strcspn(at, "\n");
		json_t *line = json_loadb(at, length, 0, NULL);

		if (line == NULL)
			break;
		json_array_append_new(lines, line);
		at += length + (at[length] == '\n');
	}
	if (*at == '\0' && output->length > 0)
		return lines;
	json_decref(lines);
	return NULL;
}

static void
answer_output(struct api_answer *answer, int code, const struct buf *output,
    struct buf *errors)
{
	json_t *value = read_output(output);

	/* 1: all is told, and something is wrong, as svctool has it. */
	if (code == 0 || (code == 1 && value != NULL)) {
		answer_json(answer, 200,
		    value != NULL
			? value
			: json_pack("{s:o}", "output", json_text(output->data)));
		return;
	}
	json_decref(value);
	while (errors->length > 0 && errors->data[errors->length - 1] == '\n')
		buf_cut(errors, errors->length - 1);
	answer_json(answer, code == 100 ? 422 : code == 111 ? 503 : 500,
	    json_pack("{s:o, s:i}", "error",
		json_text(errors->length > 0 ? errors->data : output->data),
		"exit", code));
}

/* Runs it if he may: its exit code, or -1 with the answer. */
static int
run_order(struct admin_server *server, struct admin_order *order,
    const char *input, struct buf *output, struct buf *errors,
    struct api_answer *answer)
{
	struct admin_config *config = admin_server_config(server);
	const struct run_request request = { .number = order->number,
		.argv = order->argv,
		.input = input,
		.output_max = OUTPUT_MAX,
		.timeout_ms = config->timeout_ms < RUN_MS_MAX
		    ? config->timeout_ms
		    : RUN_MS_MAX };
	struct error err;
	int code = -1;

	admin_config_release(&config);
	switch (admin_server_admit(server, order, &err)) {
	case ADMIN_ADMITTED:
		code = runner_collect(
		    server->runner, &request, output, errors, &err);
		admin_server_done(server, order, code);
		if (code == -1)
			answer_error(answer, 503, err.text);
		break;
	case ADMIN_ABSENT:
		answer_error(answer, 404, err.text);
		break;
	case ADMIN_DENIED:
		answer_error(answer, 403, "permission denied");
		break;
	case ADMIN_UNCHANGING:
		answer_error(answer, 503, err.text);
		break;
	}
	return code;
}

static void
run_route(struct admin_server *server, const struct admin_session *session,
    const struct api_route *route, json_t *params, struct api_answer *answer)
{
	AUTO(strlist_release) struct strlist words = { .count = 0 };
	AUTO(buf_release) struct buf output = BUF_INIT;
	AUTO(buf_release) struct buf errors = BUF_INIT;
	struct admin_order order = { .session = session };
	const char *value = get_param(params, route->input);
	OWN_TEXT input = value == NULL ? NULL : xasprintf("%s\n", value);
	struct error err;
	int code;

	order.number = command_find(route->command);
	strlist_add(&words, route->command);
	if (check_known(route, params, &err) == -1 ||
	    api_words(route->words, params, &words, &err) == -1) {
		answer_error(answer, 400, err.text);
		return;
	}
	order.argv = words.items;
	buf_init(&output);
	buf_init(&errors);
	code = run_order(server, &order, input, &output, &errors, answer);
	if (code != -1)
		answer_output(answer, code, &output, &errors);
	if (input != NULL)
		explicit_bzero(input, strlen(input));
}

static void
answer_metrics(struct admin_server *server,
    const struct admin_session *session, struct api_answer *answer)
{
	char program[] = "svctool", verb[] = "status", option[] = "--json";
	char *const argv[] = { program, verb, option, NULL };
	AUTO(buf_release) struct buf output = BUF_INIT;
	AUTO(buf_release) struct buf errors = BUF_INIT;
	AUTO(buf_release) struct buf nodes = BUF_INIT;
	struct admin_order order = { .session = session,
		.number = COMMAND_SVCTOOL,
		.argv = argv };
	struct error err;
	bool has_nodes;

	buf_init(&output);
	buf_init(&errors);
	if (run_order(server, &order, NULL, &output, &errors, answer) == -1)
		return;
	has_nodes = admins_query_json(server->admins,
			"SELECT name, is_alive, is_draining FROM mq.live_nodes "
			"ORDER BY name",
			&nodes, &err) == 0;
	buf_reset(&answer->body);
	if (metrics_write(output.data, output.length,
		has_nodes ? nodes.data : NULL, &answer->body) == -1) {
		answer_error(answer, 503, "svctool status says nothing");
		return;
	}
	answer->code = 200;
	answer->type = "text/plain; version=0.0.4; charset=utf-8";
}

static void
answer_token(struct api_tokens *tokens, const struct admin_session *session,
    struct api_answer *answer)
{
	char text[TOKEN_SIZE];

	give_token(tokens, session->admin.name, text);
	answer_json(answer, 200,
	    json_pack("{s:s, s:s, s:i}", "access_token", text, "token_type",
		"Bearer", "expires_in", TOKEN_S));
	explicit_bzero(text, sizeof(text));
}

/* -- requests */

static bool
is_json_type(const char *type)
{
	size_t length = type == NULL ? 0 : strcspn(type, "; ");

	return length == sizeof(content_json) - 1 &&
	    strncasecmp(type, content_json, length) == 0;
}

/*
 * Browsers send no JSON to another site without asking it first, and nobody
 * answers that: so no page elsewhere uses what a browser remembers of a login.
 */
static bool
takes_content(const struct api_request *request, struct api_answer *answer)
{
	bool has_none = strcmp(request->method, "GET") == 0 ||
	    strcmp(request->method, "DELETE") == 0;

	if (has_none && request->body_length > 0)
		answer_error(answer, 400, "nothing is taken as content here");
	else if (!has_none && !is_json_type(request->content_type))
		answer_error(answer, 415, "the content must be application/json");
	else
		return true;
	return false;
}

/* By the path: 1 found; 0 no such path; -1 another method, with the answer. */
static int
find_route(const struct api_request *request, json_t *params,
    const struct api_route **route_out, struct api_answer *answer)
{
	static _Thread_local char allowed[64];

	*allowed = '\0';
	for (size_t i = 0; i < api_route_count; i++) {
		json_t *found = json_object();
		size_t length = strlen(allowed);

		if (!fits_path(api_routes[i].path, request->path, found)) {
			json_decref(found);
			continue;
		}
		if (strcmp(api_routes[i].method, request->method) == 0) {
			json_object_update(params, found);
			json_decref(found);
			*route_out = &api_routes[i];
			return 1;
		}
		json_decref(found);
		snprintf(allowed + length, sizeof(allowed) - length, "%s%s",
		    length == 0 ? "" : ", ", api_routes[i].method);
	}
	if (*allowed == '\0')
		return 0;
	answer_error(answer, 405, "this has other methods");
	answer->allow = allowed;
	return -1;
}

static void
answer_route(struct admin_server *server, const struct admin_session *session,
    const struct api_request *request, struct api_answer *answer)
{
	const struct api_route *route;
	json_t *params = json_object();
	int found = find_route(request, params, &route, answer);

	if (found == 0)
		answer_error(answer, 404, "there is no such thing here");
	else if (found == 1 && takes_content(request, answer)) {
		if (take_query(params, request->query) == -1 ||
		    (request->body_length > 0 &&
			take_body(params, request->body,
			    request->body_length) == -1))
			answer_error(answer, 400,
			    "the parameters cannot be read, or one is there "
			    "twice");
		else
			run_route(server, session, route, params, answer);
	}
	json_decref(params);
}

static bool
is_path(const struct api_request *request, const char *path,
    const char *method, struct api_answer *answer)
{
	if (strcmp(request->path, path) != 0)
		return false;
	if (strcmp(request->method, method) != 0) {
		answer_error(answer, 405, "this has other methods");
		answer->allow = method;
	}
	return true;
}

void
api_answer(struct admin_server *server, struct api_tokens *tokens,
    const struct api_request *request, struct api_answer *answer_out)
{
	struct admin_session session;

	*answer_out = (struct api_answer){ .code = 0 };
	buf_init(&answer_out->body);
	if (is_path(request, "/openapi.json", "GET", answer_out)) {
		if (answer_out->code == 0)
			answer_json(answer_out, 200, api_openapi());
		return;
	}
	if (!log_in_request(server, tokens, request, &session, answer_out))
		return;
	if (is_path(request, "/metrics", "GET", answer_out)) {
		if (answer_out->code == 0)
			answer_metrics(server, &session, answer_out);
	} else if (is_path(request, "/v1/token", "POST", answer_out)) {
		if (answer_out->code == 0 && takes_content(request, answer_out))
			answer_token(tokens, &session, answer_out);
	} else
		answer_route(server, &session, request, answer_out);
	admin_release(&session.admin);
}
