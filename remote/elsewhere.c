/* SPDX-License-Identifier: ISC */
/* What a host cannot take, another of the same destination may. */
#include "remote/elsewhere.h"

#include <stdlib.h>

#include "base/mem.h"

static bool
is_any_of_host(const struct session_result *results, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (results[i].is_of_host)
			return true;
	return false;
}

static void
send_rest(struct session *session, const struct session_message *message,
    struct session_result *results)
{
	struct session_recipient *to = xcalloc(
	    message->recipient_count, sizeof(*to));
	struct session_result *part_results = xcalloc(
	    message->recipient_count, sizeof(*part_results));
	struct session_message part = *message;
	size_t i, n = 0;

	part.recipients = to;
	for (i = 0; i < message->recipient_count; i++)
		if (results[i].is_of_host)
			to[n++] = message->recipients[i];
	part.recipient_count = n;
	session_send(session, &part, part_results);
	for (i = n = 0; i < message->recipient_count; i++)
		if (results[i].is_of_host) {
			session_result_release(&results[i]);
			results[i] = part_results[n++];
		}
	free(part_results);
	free(to);
}

static void
defer_rest(struct session_result *results, size_t count,
    const struct session_result *failure)
{
	for (size_t i = 0; i < count; i++)
		if (results[i].is_of_host) {
			session_result_release(&results[i]);
			results[i] = *failure;
			results[i].outcome = SESSION_TEMPFAIL;
			results[i].text = xstrdup(failure->text);
		}
}

void
elsewhere_send(const struct rules *rules, const struct plan *plan,
    size_t address, const struct session_message *message,
    struct session_result *results)
{
	const struct exchange *exchange = &plan->exchange;
	AUTO(mem_free)
	bool *has_answered = xcalloc(exchange->host_count, sizeof(bool));
	struct session_result failure = { 0 }, last = { 0 };
	size_t count = message->recipient_count, i, host;

	has_answered[exchange->addresses[address].host] = true;
	for (i = 0; i < exchange->address_count && is_any_of_host(results, count);
	     i++) {
		struct way way;
		struct session *session;

		host = exchange->addresses[i].host;
		if (has_answered[host])
			continue;
		session = plan_open(rules, plan, i, &way, &failure);
		if (session == NULL) {
			session_result_release(&last);
			last = failure;
			continue;
		}
		has_answered[host] = true;
		send_rest(session, message, results);
		session_close(&session);
	}
	for (host = 0; host < exchange->host_count; host++)
		if (!has_answered[host] && last.text != NULL)
			defer_rest(results, count, &last);
	session_result_release(&last);
}
