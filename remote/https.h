/* SPDX-License-Identifier: ISC */
/*
 * One request by HTTPS, with libcurl, which no other file includes: verified,
 * without redirects, proxies or another resolver than ours.
 */
#ifndef REMOTE_HTTPS_H
#define REMOTE_HTTPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "resolver/dns_client.h"

/* Once in a process, before its threads. */
void https_start(void);

struct https_request {
	struct dns_client *dns;
	const char *ca_file; /* "": the system's authorities */
	int timeout_ms;      /* of one question of two, and then of the rest */
	const char *url;     /* "https://HOST[:PORT]/..." */
	/* What is posted, and its media type; NULL: it is a GET */
	const struct buf *post;
	const char *post_type;
	size_t answer_max; /* a longer answer fails */
};

struct https_answer {
	long code;
	char type[100]; /* its media type, perhaps cut short */
	struct buf text;
};

/*
 * Blocking; any thread.  0, or -1 with the reason.  The caller releases
 * answer_out->text after both.
 */
int https_ask(const struct https_request *request,
    struct https_answer *answer_out, struct error *err);

#endif
