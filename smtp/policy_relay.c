/* SPDX-License-Identifier: ISC */
/* May mail go there?  rcpthosts, morercpthosts.cdb, RELAYCLIENT, CHECKRELAY. */
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "smtp/session_private.h"

/* As long as the reference waits for it (RELAY_CLEAR_MINUTES). */
enum { RELAY_MINUTES = 30 };

/*
 * Has the sender's user logged in from this address not long ago, by POP3 or
 * the like?  1, 0, or -1 could not tell.
 */
static int
has_logged_in(struct smtp_session *session, struct error *err)
{
	struct vars *vars = smtp_transaction_vars(session);
	const char *sender = session->transaction.sender;
	const char *at = strrchr(sender, '@');
	OWN_TEXT local = NULL;
	uint64_t minutes;

	if (vars_get(vars, "CHECKRELAY") == NULL || at == NULL)
		return 0;
	if (smtp_transaction_number(session, "RELAY_CLEAR_MINUTES",
		RELAY_MINUTES, &minutes) == -1 ||
	    minutes > UINT32_MAX / 60)
		minutes = RELAY_MINUTES;
	local = xstrndup(sender, (size_t)(at - sender));
	ascii_lower(local, local, strlen(local));
	return store_find_relay(session->server->store, local, at + 1,
	    session->peer->remote_ip, (unsigned)minutes * 60, err);
}

/*
 * Another node thinks that the domain is of the cluster: one of the two does
 * not know yet.
 */
static bool
refuse_for_now(struct smtp_session *session, const struct smtp_address *address,
    int found, const struct error *err)
{
	if (found == -1)
		smtp_log(session, "cannot look up the recipient's domain: %s",
		    err->text);
	smtp_log_refused(session, "Not a domain of this node", "RCPT",
	    address->text, NULL);
	smtp_reply(session, 451, "4.3.5",
	    "sorry, that domain isn't known to this node of the cluster");
	return false;
}

bool
smtp_policy_relay(struct smtp_session *session,
    const struct smtp_address *address, bool *is_relayed_out)
{
	bool may_relay = vars_get(smtp_transaction_vars(session),
			     "RELAYCLIENT") != NULL;
	struct error err;
	int found;

	*is_relayed_out = false;
	/* RFC 5321 4.5.1: <postmaster> is taken without a domain. */
	if (address->domain == NULL) {
		if (may_relay || strcasecmp(address->text, "postmaster") == 0)
			return true;
		smtp_log_refused(session, "recipient without a domain", "RCPT",
		    address->text, NULL);
		smtp_reply_error(
		    session, 555, "5.1.3", "syntax error in address");
		return false;
	}
	found = rcpthosts_match(
	    session->config->rcpthosts, address->text, &err);
	if (found == 1)
		return true;
	if (session->kind->is_node)
		return refuse_for_now(session, address, found, &err);
	if (!may_relay && found == 0) {
		found = has_logged_in(session, &err);
		may_relay = found == 1;
		if (found == -1)
			smtp_log(session, "cannot look up who may relay: %s",
			    err.text);
	} else if (!may_relay)
		smtp_log(session, "cannot look up the recipient's domain: %s",
		    err.text);
	if (may_relay) {
		*is_relayed_out = true;
		return true;
	}
	if (found == -1) {
		smtp_reply(session, 451, "4.3.0",
		    "Sorry, I'm unable to read controls");
		return false;
	}
	smtp_log_refused(
	    session, "Invalid RELAY client", "RCPT", address->text, NULL);
	smtp_reply(session, 553, "5.7.1",
	    "sorry, that domain isn't in my "
	    "list of allowed rcpthosts");
	return false;
}
