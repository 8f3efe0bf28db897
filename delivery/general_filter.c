/* SPDX-License-Identifier: ISC */
/* What a user's filters do with a message. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "delivery/autorespond.h"
#include "delivery/filter.h"
#include "delivery/general_private.h"

enum { VACATION_S = 7 * 24 * 3600 };

static void
defer_filter(struct local_result *result, const struct general_user *user,
    const struct error *err)
{
	local_result_set(result, JOB_TEMPFAIL,
	    "Unable to deliver to %.300s by the filters: %.400s. (#4.3.0)",
	    user->general->recipient, err->text);
}

/* "/Vacation": an answer, and the inbox. */
static void
answer_for(const struct general_user *user, const struct header *header,
    const char *const *addresses, struct local_result *result)
{
	const struct general *general = user->general;
	OWN_TEXT text = xasprintf("%s/vacation/.vacation.msg", user->user->dir);
	OWN_TEXT folder = xasprintf("%s/vacation/answered", user->user->dir);
	struct autorespond answer = { .text_path = text,
		.folder = folder,
		.most = 1,
		.period_s = VACATION_S,
		.subject_prefix = "Re: ",
		.sender = general->sender,
		.addresses = addresses,
		.header = header,
		.fd = general->fd,
		.size_bytes = general->size_bytes,
		.uuid = general->uuid,
		.recipient = general->recipient,
		.host = general->host,
		.forwarder = general->forwarder };
	const char *why_not;
	struct error err;

	/* Without a text there is no answer; the message is the user's all the
	 * same. */
	if (access(text, F_OK) == -1 && errno == ENOENT)
		general_to_user(user, result);
	else if (autorespond(&answer, time(NULL), &why_not, &err) == -1)
		defer_filter(result, user, &err);
	else
		general_to_user(user, result);
}

/* Where the message itself goes. */
static void
go_to_destination(const struct general_user *user, const char *destination,
    const struct header *header, const char *const *addresses,
    struct local_result *result)
{
	const char *folder = destination;
	struct error err;

	if (strncasecmp(folder, "Maildir/", 8) == 0)
		folder += 8;
	folder += *folder == '.';
	if (strcasecmp(destination, "/NoDeliver") == 0)
		local_result_did(result);
	else if (strncasecmp(destination, "/Vacation", 9) == 0)
		answer_for(user, header, addresses, result);
	else if (*folder == '\0' || strcasecmp(folder, "Inbox") == 0 ||
	    strcasecmp(folder, "Maildir") == 0)
		general_to_user(user, result);
	else if (vdeliver_is_folder(folder))
		general_to_folder(user, folder, result);
	else {
		error_set(
		    &err, "'%.80s' is no folder of a Maildir", destination);
		defer_filter(result, user, &err);
	}
}

/* "&address" or "|program", before anything else is done. */
static void
do_besides(const struct general_user *user, const char *what,
    struct local_result *result)
{
	OWN_TEXT local = NULL;
	struct local_delivery delivery = general_local(
	    user->general, user->user->dir, &local);
	const char *address = what + (*what == '&');

	if (*what == '|')
		local_run_program(&delivery, what + 1, result);
	else if (*address != '\0')
		local_forward(&delivery, &address, 1, result);
}

static void
act(const struct general_user *user, const struct store_filter *filter,
    const struct header *header, const char *const *addresses,
    struct local_result *result)
{
	const char *bounce = filter->bounce_action;
	bool has_more = *bounce == '2' || *bounce == '3';

	*result = (struct local_result){ .outcome = JOB_DELIVERED };
	if (has_more)
		do_besides(user, bounce + 1, result);
	if (result->outcome == JOB_DELIVERED)
		go_to_destination(
		    user, filter->destination, header, addresses, result);
	if (result->outcome == JOB_DELIVERED &&
	    (*bounce == '1' || *bounce == '3'))
		local_result_set(result, JOB_PERMFAIL,
		    "account %.300s does not accept this message. (#5.7.1)",
		    user->general->recipient);
}

/* NAME@DOMAIN of the user, and by the domain that the sender wrote. */
static const char *
second_domain(const struct general *general)
{
	const char *at = strrchr(general->recipient, '@');

	return at != NULL ? at + 1 : general->domain;
}

bool
general_filter(const struct general_user *user, struct local_result *result)
{
	const struct general *general = user->general;
	struct store_filters filters;
	AUTO(header_release) struct header header = { .text = BUF_INIT };
	OWN_TEXT one = xasprintf("%s@%s", user->user->name, user->user->domain);
	OWN_TEXT two = xasprintf(
	    "%s@%s", general->extension, second_domain(general));
	const char *const addresses[] = { one, two, NULL };
	const struct filter_message message = { &header, general->sender,
		addresses };
	const struct store_filter *filter;
	struct error err;
	int found = store_find_filters(general->store, user->user->name,
	    user->user->domain, &filters, &err);

	if (found == 0)
		return false;
	if (found == -1 ||
	    header_read_fd(&header, general->fd, general->size_bytes, &err) ==
		-1) {
		defer_filter(result, user, &err);
		if (found == 1)
			store_filters_release(&filters);
		return true;
	}
	filter = filter_find(&filters, &message);
	if (filter != NULL)
		act(user, filter, &header, addresses, result);
	store_filters_release(&filters);
	return filter != NULL;
}
