/* SPDX-License-Identifier: ISC */
/* Mail that greets users. */
#include "adminsrv/greet.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "adminsrv/owner.h"
#include "adminsrv/users.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/strlist.h"
#include "delivery/forward.h"
#include "delivery/message_file.h"
#include "delivery/trace.h"

enum { RECIPIENTS_MAX = 1000 }; /* of one message */

/* As the domain's owner, who may have put a link there.  True with a text. */
static bool
read_greeting(const struct home *home, const struct store_domain *domain,
    const char *file, struct buf *text)
{
	struct error err;
	bool is_there;

	if (owner_enter(domain->uid, domain->gid, &err) != ADMIN_OK) {
		log_line("warning: no text '%s' is sent: %s", file, err.text);
		return false;
	}
	is_there = message_file_read(home->domains, domain->dir, file, text);
	owner_leave();
	return is_there;
}

/* The text's own fields, if it begins with some, come behind. */
static void
make_front(const char *domain, const char *file, const char *name,
    const struct buf *text, struct buf *front)
{
	size_t length = strcspn(text->data, ": \t\r\n");
	char date[CLOCK_DATE_SIZE];
	struct uuid uuid;
	char id[UUID_TEXT_SIZE];

	clock_date(time(NULL), date);
	uuid_make(&uuid);
	uuid_format(&uuid, id);
	buf_addf(front, "Date: %s\nMessage-ID: <%s@%s>\nTo: ", date, id,
	    domain);
	if (name == NULL)
		buf_adds(front, "undisclosed-recipients:;");
	else
		trace_put_address(front, name, domain);
	buf_adds(front, "\nAuto-Submitted: auto-generated\n");
	if (length == 0 || text->data[length] != ':')
		buf_addf(front,
		    "From: <postmaster@%s>\n"
		    "Subject: %s\n"
		    "MIME-Version: 1.0\n"
		    "Content-Type: text/plain; charset=utf-8\n\n",
		    domain,
		    strcmp(file, GREET_NEW) == 0
			? "Welcome"
			: "Your mailbox is active again");
}

static int
send_greeting(struct forwarder *forwarder, const char *domain,
    const char *file, const struct buf *text, const char *const *names,
    size_t count, struct error *err)
{
	AUTO(buf_release) struct buf front = BUF_INIT;
	static const struct uuid none;
	struct strlist addresses = { NULL, 0 };
	struct forward forward = { .of = &none,
		.for_whom = "",
		.purpose = "",
		.sender = "",
		.fd = -1,
		.text = text->data };
	int result;

	for (size_t i = 0; i < count; i++) {
		OWN_TEXT address = xasprintf("%s@%s", names[i], domain);

		strlist_add(&addresses, address);
	}
	make_front(domain, file, count == 1 ? names[0] : NULL, text, &front);
	forward.front = front.data;
	forward.recipients = (const char *const *)addresses.items;
	forward.recipient_count = count;
	result = forward_commit(forwarder, &forward, err);
	strlist_release(&addresses);
	return result;
}

void
greet_users(const struct home *home, const char *domain, const char *file,
    const char *const *names, size_t count)
{
	AUTO(store_domain_release) struct store_domain found = { .name = NULL };
	AUTO(buf_release) struct buf text = BUF_INIT;
	struct forwarder *forwarder;
	void (*old)(int);
	struct error err;
	int result;

	buf_init(&text);
	if (count == 0 ||
	    users_find_domain(home->root, domain, &found, &err) != ADMIN_OK ||
	    !read_greeting(home, &found, file, &text))
		return;
	/* A program that QMAILQUEUE names may end before it has read all. */
	old = signal(SIGPIPE, SIG_IGN);
	forwarder = forwarder_new(home, NULL, &err);
	result = forwarder == NULL ? -1 : 0;
	for (size_t at = 0, some; result == 0 && at < count; at += some) {
		some = count - at < RECIPIENTS_MAX ? count - at
						   : RECIPIENTS_MAX;
		result = send_greeting(forwarder, found.name, file, &text,
		    names + at, some, &err);
	}
	if (result == -1)
		log_line("warning: the text '%s' was not sent to users of "
			 "'%s': %s",
		    file, found.name, err.text);
	forwarder_free(&forwarder);
	signal(SIGPIPE, old);
}
