/* SPDX-License-Identifier: ISC */
/* The routes of the HTTPS interface, and the document that describes them. */
#ifndef ADMINSRV_SERVER_API_OPENAPI_H
#define ADMINSRV_SERVER_API_OPENAPI_H

#include <jansson.h>
#include <stddef.h>

/* A row of api_routes.tbl. */
struct api_route {
	const char *method, *path, *command, *words, *input, *text;
};

extern const struct api_route api_routes[];
extern const size_t api_route_count;

/* OpenAPI 3.0.3; the caller's. */
json_t *api_openapi(void);

#endif
