/* SPDX-License-Identifier: ISC */
/* Packets of lookupd's socket, and the records in them. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/packet.h"
#include "lookupd/query.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct query_request request, again;
static struct query_answers answers;

static void
read_record(const void *data, size_t size)
{
	struct query_password password;
	struct query_user user;
	struct query_place place;
	struct store_alias alias = { .lines = { NULL, 0 } };
	struct store_limits limits;
	struct store_filters filters;
	const char *domain;

	if (query_get_place(data, size, &place))
		(void)(strlen(place.store) + strlen(place.node));
	if (query_get_user(data, size, &user))
		assert(strlen(user.dir) < size);
	if (query_get_password(data, size, &password))
		assert(strlen(password.hash) + strlen(password.gecos) < size);
	if (query_get_alias(data, size, &alias))
		assert(alias.lines.count > 0);
	store_alias_release(&alias);
	query_get_limits(data, size, &limits);
	if (query_get_filters(data, size, &filters))
		assert(filters.count > 0);
	store_filters_release(&filters);
	domain = query_get_domain(data, size);
	assert(domain == NULL || strlen(domain) + 1 == size);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf packet = BUF_INIT;

	buf_init(&packet);
	read_record(data, size);
	if (query_get_request(data, size, &request)) {
		/* What is a request is the same when it is sent on. */
		query_put_request(&packet, &request);
		assert(query_get_request(packet.data, packet.length, &again));
		assert(again.count == request.count);
		for (size_t i = 0; i < request.count; i++)
			assert(strcmp(again.queries[i].local,
				   request.queries[i].local) == 0);
	}
	if (query_get_answers(data, size, &answers))
		for (size_t i = 0; i < answers.count; i++)
			read_record(answers.answers[i].record,
			    answers.answers[i].length);
	buf_release(&packet);
	return 0;
}
