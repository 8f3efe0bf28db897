/* SPDX-License-Identifier: ISC */
/*
 * Is there such a mailbox?  Asked for domains of the user store, so that mail
 * for nobody is refused here instead of bounced later (reference 2.10).
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/mem.h"
#include "control/percenthack.h"
#include "lookupd/extension.h"
#include "control/recipients.h"
#include "lookupd/store.h"
#include "mailbox/over_quota.h"
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

/* A delivery has found no room for such a message a moment ago. */
static bool
is_over_quota(
    const struct smtp_session *session, const struct store_user *user)
{
	struct quota quota;

	return quota_parse(user->quota, &quota) == 1 &&
	    over_quota_refuses(session->server->over_quota, user->dir, &quota,
		session->transaction.declared_bytes, time(NULL));
}

/* The user of that very name. */
static enum mailbox_state
find_user(const struct smtp_session *session, const char *domain,
    const char *name, struct error *err)
{
	struct store_user user;
	enum mailbox_state state = MAILBOX_OK;

	switch (store_find_user(
	    session->server->store, name, domain, &user, err)) {
	case 1:
		if (!user.is_active)
			state = MAILBOX_INACTIVE;
		else if ((user.flags & STORE_BOUNCE_MAIL) != 0 ||
		    is_over_quota(session, &user))
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

/* Of a user of the cluster's domain that another server may know. */
static enum mailbox_state
find_other_place(struct store *store, const char *domain, const char *name,
    struct error *err)
{
	struct store_place place;

	switch (store_find_place(store, name, domain, &place, err)) {
	case 1:
		store_place_release(&place);
		return MAILBOX_OK;
	case 0:
		return MAILBOX_ABSENT;
	}
	return MAILBOX_UNKNOWN;
}

/* As a delivery looks: the name, an alias, the name in front of a dash. */
static enum mailbox_state
find_local_user(const struct smtp_session *session,
    const struct store_domain *domain, const char *local, struct error *err)
{
	const char *separators = settings_text(
	    session->config->settings, SETTING_userextension);
	enum mailbox_state state = find_user(session, domain->name, local, err);
	size_t length = strlen(local);

	if (state == MAILBOX_ABSENT)
		state = find_alias(
		    session->server->store, domain->name, local, err);
	while (state == MAILBOX_ABSENT &&
	    extension_cut(local, separators, &length)) {
		OWN_TEXT name = xstrndup(local, length);

		state = find_user(session, domain->name, name, err);
	}
	if (state == MAILBOX_ABSENT &&
	    smtp_domain_rule_takes(domain->dir, local))
		state = MAILBOX_OK;
	if (state == MAILBOX_ABSENT && domain->is_clustered)
		state = find_other_place(
		    session->server->store, domain->name, local, err);
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
		state = find_local_user(session, &domain, local, err);
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

/* 1, 0, or -1 could not tell. */
static int
find_recipient(
    struct smtp_session *session, const char *mailbox, struct error *err)
{
	struct smtp_server *server = session->server;
	struct cdb_cache_entry *entry;
	int found = cdb_cache_acquire(server->recipients,
	    server->recipients_path, SMTP_MAX_AGE_MS, &entry, err);

	if (found == 0)
		return error_set(err,
		    "no file '%s', which CHECKRECIPIENT asks for; make it with "
		    "qmail-cdb recipients",
		    server->recipients_path);
	if (found == 1) {
		found = recipients_find(cdb_cache_map(entry), mailbox, err);
		cdb_cache_release(server->recipients, entry);
	}
	return found;
}

/* Who may relay goes on to other hosts, of which nobody here knows. */
static bool
is_own_domain(struct smtp_session *session, const char *mailbox)
{
	struct error unused;

	return rcpthosts_match(session->config->rcpthosts, mailbox, &unused) !=
	    0;
}

/*
 * Where CHECKRECIPIENT asks for it (2: first, 3: instead of the store): what
 * users/recipients.cdb says.  False: it is the store's to say.
 */
static bool
judge_by_recipients(struct smtp_session *session, const char *mailbox,
    enum mailbox_state *state_out, struct error *err)
{
	const char *check = vars_get(
	    smtp_transaction_vars(session), "CHECKRECIPIENT");
	bool is_first = check != NULL && strcmp(check, "2") == 0;
	int found;

	if ((!is_first && (check == NULL || strcmp(check, "3") != 0)) ||
	    !is_own_domain(session, mailbox))
		return false;
	found = find_recipient(session, mailbox, err);
	*state_out = found == 1 ? MAILBOX_OK
	    : found == 0        ? MAILBOX_ABSENT
				: MAILBOX_UNKNOWN;
	return found != 0 || !is_first;
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
	if (!judge_by_recipients(session, mailbox, &state, &err)) {
		*at = '\0';
		state = find_mailbox(session, mailbox, at + 1, &err);
	}
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
