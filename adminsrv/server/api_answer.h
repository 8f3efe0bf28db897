/* SPDX-License-Identifier: ISC */
/* What a request of the HTTPS interface asks for, and the answer. */
#ifndef ADMINSRV_SERVER_API_ANSWER_H
#define ADMINSRV_SERVER_API_ANSWER_H

#include "adminsrv/server/server.h"
#include "base/buf.h"

struct api_tokens;

/* A request; its texts are the caller's. */
struct api_request {
	const char *method;
	const char *path;  /* as it came, before "?" */
	const char *query; /* behind it, or NULL */
	const char *authorization, *content_type; /* NULL: no such header */
	const char *body;
	size_t body_length;
	const char *remote_ip;
};

struct api_answer {
	int code;
	const char *type;  /* of the content */
	const char *allow; /* methods, with 405; NULL */
	struct buf body;
};

struct api_tokens *api_tokens_new(void);
void api_tokens_free(struct api_tokens **tokens);

/* Any thread; the caller releases answer_out->body. */
void api_answer(struct admin_server *server, struct api_tokens *tokens,
    const struct api_request *request, struct api_answer *answer_out);

/*
 * The words of a route's table for parameters, a JSON object of texts.  0, or -1
 * with the reason: one is missing, or cannot be a word there.  words_out is the
 * caller's.
 */
int api_words(const char *words, const void *params, struct strlist *words_out,
    struct error *err);

#endif
