/* SPDX-License-Identifier: ISC */
/* May mail go there?  rcpthosts, morercpthosts.cdb, RELAYCLIENT. */
#include <strings.h>

#include "smtp/session_private.h"

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
	if (may_relay) {
		*is_relayed_out = true;
		return true;
	}
	if (found == -1) {
		smtp_log(session, "cannot look up the recipient's domain: %s",
		    err.text);
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
