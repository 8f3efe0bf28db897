/* SPDX-License-Identifier: ISC */
/* The routes of the HTTPS interface, and the document that describes them. */
#include "adminsrv/server/api_openapi.h"

#include <stdlib.h>
#include <stdbool.h>
#include <string.h>

#include "base/mem.h"
#include "base/usage.h"

const struct api_route api_routes[] = {
#define ROUTE(method, path, command, words, input, text) \
	{ #method, path, command, words, input, text },
#include "adminsrv/server/api_routes.tbl"
#undef ROUTE
};
const size_t api_route_count = sizeof(api_routes) / sizeof(api_routes[0]);

static bool
has_body(const char *method)
{
	return strcmp(method, "GET") != 0 && strcmp(method, "DELETE") != 0;
}

struct operation {
	const struct api_route *route;
	json_t *parameters, *properties, *required;
};

static void
add_parameter(struct operation *operation, const char *name, bool is_required)
{
	OWN_TEXT braced = xasprintf("{%s}", name);
	bool is_in_path = strstr(operation->route->path, braced) != NULL;
	json_t *schema = json_pack("{s:s}", "type", "string");

	if (is_in_path || !has_body(operation->route->method)) {
		json_array_append_new(operation->parameters,
		    json_pack("{s:s, s:s, s:b, s:o}", "name", name, "in",
			is_in_path ? "path" : "query", "required",
			is_in_path || is_required, "schema", schema));
		return;
	}
	if (json_object_get(operation->properties, name) != NULL) {
		json_decref(schema);
		return;
	}
	json_object_set_new(operation->properties, name, schema);
	if (is_required)
		json_array_append_new(
		    operation->required, json_string(name));
}

/* Each name of "{name}" and "[OPTION=name]". */
static void
add_names(struct operation *operation)
{
	const char *at = operation->route->words;

	for (; *at != '\0'; at += strcspn(at, " "), at += strspn(at, " ")) {
		size_t length = strcspn(at, " ");
		OWN_TEXT token = xstrndup(at, length);
		const char *equals = strrchr(token, '=');

		if (*token != '{' && *token != '[')
			continue;
		token[length - 1] = '\0';
		/* Of "[-d=line] [!-D=line]" one is enough. */
		if (token[0] == '{')
			add_parameter(operation, token + 1, true);
		else if (token[1] != '!')
			add_parameter(operation, equals + 1, false);
	}
	if (*operation->route->input != '\0')
		add_parameter(operation, operation->route->input,
		    strchr(operation->route->words, '!') == NULL);
}

static json_t *
body_json(struct operation *operation)
{
	json_t *schema = json_pack("{s:s, s:o}", "type", "object",
	    "properties", operation->properties);

	if (json_array_size(operation->required) > 0)
		json_object_set(schema, "required", operation->required);
	return json_pack("{s:{s:{s:o}}}", "content", "application/json",
	    "schema", schema);
}

static json_t *
operation_json(const struct api_route *route)
{
	struct operation operation = { .route = route,
		.parameters = json_array(),
		.properties = json_object(),
		.required = json_array() };
	json_t *object;

	add_names(&operation);
	object = json_pack("{s:s, s:o, s:{s:{s:s}, s:{s:s}, s:{s:s}, s:{s:s}}}",
	    "summary", route->text, "parameters", operation.parameters,
	    "responses", "200", "description", "Done.", "403", "description",
	    "No right.", "422", "description", "Refused, with the reason.",
	    "503", "description", "Something failed that may pass.");
	if (has_body(route->method))
		json_object_set_new(
		    object, "requestBody", body_json(&operation));
	else
		json_decref(operation.properties);
	json_decref(operation.required);
	return object;
}

/* "get" of GET. */
static char *
lower_method(const char *method)
{
	char *lower = xstrdup(method);

	for (char *c = lower; *c != '\0'; c++)
		*c = (char)(*c | 0x20);
	return lower;
}

json_t *
api_openapi(void)
{
	json_t *paths = json_object();

	for (size_t i = 0; i < api_route_count; i++) {
		json_t *path = json_object_get(paths, api_routes[i].path);
		OWN_TEXT method = lower_method(api_routes[i].method);

		if (path == NULL) {
			path = json_object();
			json_object_set_new(paths, api_routes[i].path, path);
		}
		json_object_set_new(
		    path, method, operation_json(&api_routes[i]));
	}
	return json_pack("{s:s, s:{s:s, s:s}, s:{s:{s:{s:s, s:s}, s:{s:s, s:s}}}, "
			 "s:[{s:[]}, {s:[]}], s:o}",
	    "openapi", "3.0.3", "info", "title", "mqmail", "version",
	    MQMAIL_VERSION, "components", "securitySchemes", "basic", "type",
	    "http", "scheme", "basic", "bearer", "type", "http", "scheme",
	    "bearer", "security", "basic", "bearer", "paths", paths);
}
