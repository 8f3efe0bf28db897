/* SPDX-License-Identifier: ISC */
/*
 * Is there such a mailbox?  Asked for domains of the user store, so that mail
 * for nobody is refused here instead of bounced later (reference 2.10).
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "control/percenthack.h"
#include "delivery/extension.h"
#include "lookupd/store.h"
#include "smtp/domain_rule.h"
#include "smtp/session_private.h"
#include "smtp/text.h"

enum mailbox_state {
	MAILBOX_OK,
	MAILBOX_ABSENT,
	MAILBOX_INACTIVE,
	MAILBOX_OVERQUOTA,
	MAILBOX_UNKNOWN /* could not tell */
};

static const struct {
	const char *text, *status;
} refusals[] = {
	[MAILBOX_ABSENT] = { "is absent on this domain", "5.1.1" },
	[MAILBOX_INACTIVE] = { "is inactive on this domain", "5.2.1" },
	[MAILBOX_OVERQUOTA] = { "is overquota on this domain", "5.2.2" },
};

/* The user of that very name. */
static enum mailbox_state
find_user(struct store *store, const char *domain, const char *name,
    struct error *err)
{
	struct store_user user;
	enum mailbox_state state = MAILBOX_OK;

	switch (store_find_user(store, name, domain, &user, err)) {
	case 1:
		if (!user.is_active)
			state = MAILBOX_INACTIVE;
		else if (user.flags & STORE_BOUNCE_MAIL)
			state = MAILBOX_OVERQUOTA;
		store_user_release(&user);
		return state;
	case 0:
		return MAILBOX_ABSENT;
	}
	return MAILBOX_UNKNOWN;
}

static enum mailbox_state
find_alias(struct store *store, const char *domain, const char *name,
    struct error *err)
{
	struct store_alias alias;

	switch (store_find_alias(store, name, domain, &alias, err)) {
	case 1:
		store_alias_release(&alias);
		return MAILBOX_OK;
	case 0:
		return MAILBOX_ABSENT;
	}
	return MAILBOX_UNKNOWN;
}

/* As a delivery looks: the name, an alias, the name in front of a dash. */
static enum mailbox_state
find_local_user(struct store *store, const struct store_domain *domain,
    const char *local, const char *separators, struct error *err)
{
	enum mailbox_state state = find_user(store, domain->name, local, err);
	size_t length = strlen(local);

	if (state == MAILBOX_ABSENT)
		state = find_alias(store, domain->name, local, err);
	while (state == MAILBOX_ABSENT &&
	    extension_cut(local, separators, &length)) {
		OWN_TEXT name = xstrndup(local, length);

		state = find_user(store, domain->name, name, err);
	}
	if (state == MAILBOX_ABSENT &&
	    smtp_domain_rule_takes(domain->dir, local))
		state = MAILBOX_OK;
	return state;
}

static enum mailbox_state
find_mailbox(struct smtp_session *session, const char *local,
    const char *domain_name, struct error *err)
{
	struct store *store = session->server->store;
	struct store_domain domain;
	enum mailbox_state state;

	switch (store_find_domain(store, domain_name, &domain, err)) {
	case 0:
		return MAILBOX_OK; /* not the store's: later parts decide */
	case -1:
		return MAILBOX_UNKNOWN;
	}
	/* RFC 5321 4.5.1: every domain has one. */
	if (strcasecmp(local, "postmaster") == 0)
		state = MAILBOX_OK;
	else
		state = find_local_user(store, &domain, local,
		    settings_text(session->config->settings,
			SETTING_userextension),
		    err);
	store_domain_release(&domain);
	return state;
}

/*
 * The words are the reference's, sender in front, since tools look for them.
 * Addresses are shown when that is safe.
 */
static void
refuse_mailbox(struct smtp_session *session, const struct smtp_address *address,
    enum mailbox_state state)
{
	const char *sender = session->transaction.sender;
	const char *text = refusals[state].text;
	const char *status = refusals[state].status;
	bool is_sender_shown = smtp_text_is_plain(sender) &&
	    strlen(sender) + strlen(address->text) < 400;
	char more[64];

	snprintf(more, sizeof(more), "state <%s>", text);
	smtp_log_refused(
	    session, "Invalid RECIPIENT address", "RCPT", address->text, more);
	if (smtp_text_is_plain(address->text))
		smtp_reply(session, 550, status, "sorry, %s%smailbox <%s> %s",
		    is_sender_shown ? sender : "",
		    is_sender_shown && sender[0] != '\0' ? " " : "",
		    address->text, text);
	else
		smtp_reply(
		    session, 550, status, "sorry, this mailbox %s", text);
}

/* MAX_RCPT_ERRCOUNT, or what a session may try. */
static void
count_refusal(struct smtp_session *session, const struct smtp_address *address)
{
	uint64_t most;
	char what[64];

	if (smtp_transaction_number(session, "MAX_RCPT_ERRCOUNT",
		SMTP_BAD_RECIPIENTS_MAX, &most) == -1)
		most = SMTP_BAD_RECIPIENTS_MAX;
	if (++session->bad_recipients <= most)
		return;
	snprintf(what, sizeof(what), "Too many Invalid RECIPIENTS (%u)",
	    session->bad_recipients);
	smtp_log_refused(session, what, "last RCPT", address->text, NULL);
	smtp_reply(
	    session, 421, "4.7.1", "too many invalid addresses, goodbye");
	session->is_over = true;
}

static bool
is_asked_for(struct smtp_session *session, const char *domain)
{
	const char *check = vars_get(
	    smtp_transaction_vars(session), "CHECKRECIPIENT");

	return (check == NULL || strcmp(check, "0") != 0) &&
	    smtp_config_checks_domain(session->config, domain);
}

bool
smtp_policy_mailbox(
    struct smtp_session *session, const struct smtp_address *address)
{
	enum mailbox_state state;
	char mailbox[SMTP_ADDRESS_MAX + 1], *at;
	struct error err;

	/* Judged as it will be delivered. */
	memcpy(mailbox, address->text, strlen(address->text) + 1);
	percenthack_apply(
	    settings_list(session->config->settings, SETTING_percenthack),
	    mailbox);
	at = strrchr(mailbox, '@');
	if (address->domain == NULL || at == NULL ||
	    !is_asked_for(session, at + 1))
		return true;
	*at = '\0';
	state = find_mailbox(session, mailbox, at + 1, &err);
	switch (state) {
	case MAILBOX_OK:
		return true;
	case MAILBOX_ABSENT:
	case MAILBOX_INACTIVE:
	case MAILBOX_OVERQUOTA:
		refuse_mailbox(session, address, state);
		count_refusal(session, address);
		return false;
	case MAILBOX_UNKNOWN:
		break;
	}
	smtp_log(session, "cannot look up the recipient: %s", err.text);
	smtp_reply(
	    session, 451, "4.3.2", "Sorry, I got a temporary database error");
	return false;
}
