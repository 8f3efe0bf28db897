/* SPDX-License-Identifier: ISC */
/* May this client send from that address?  Who has to log in, and as whom. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "control/idn.h"
#include "lookupd/extension.h"
#include "lookupd/store.h"
#include "smtp/author.h"
#include "smtp/domain_rule.h"
#include "smtp/session_private.h"

/* With CHECKSENDER: is the sender of a domain of ours?  1, 0 or -1. */
static int
is_sender_ours(struct smtp_session *session, const struct smtp_address *sender)
{
	struct vars *vars = smtp_transaction_vars(session);
	struct error err;
	int found;

	if (sender->domain == NULL ||
	    (!settings_flag(
		 session->config->settings, SETTING_checksender) &&
		vars_get(vars, "CHECKSENDER") == NULL &&
		vars_get(vars, "ANTISPOOFING") == NULL))
		return 0;
	found = rcpthosts_match(session->config->rcpthosts, sender->text, &err);
	if (found == -1)
		smtp_log(session, "cannot look up the sender's domain: %s",
		    err.text);
	return found;
}

/*
 * Is there something that makes everybody log in, or those of this sender?
 * 1, 0, or -1 could not tell, which is logged.
 */
static int
needs_login(struct smtp_session *session, const struct smtp_address *sender)
{
	struct vars *vars = smtp_transaction_vars(session);
	const struct strlist *domains = settings_list(
	    session->config->settings, SETTING_authdomains);
	char canonical[IDN_DOMAIN_SIZE];
	const char *domain = sender->domain;

	if (session->kind->is_submission || session->kind->is_odmr ||
	    vars_get(vars, "REQUIREAUTH") != NULL)
		return 1;
	if (domain == NULL || domains->count == 0)
		return is_sender_ours(session, sender);
	if (!idn_is_ascii(domain) && idn_domain_canonical(domain, canonical))
		domain = canonical;
	return strlist_has_name(domains, domain)
	    ? 1
	    : is_sender_ours(session, sender);
}

/* A line of an alias: does it end in the user's mailbox? */
static bool
is_line_of_user(const struct login_user *user, const char *line)
{
	size_t length = strlen(user->dir);

	line += *line == '&';
	return strcasecmp(line, user->address) == 0 ||
	    (length > 0 && strncmp(line, user->dir, length) == 0 &&
		(line[length] == '/' || line[length] == '\0'));
}

/*
 * An alias of this name: 1 one that leads to the user, 0 one that does not, or
 * *is_alias_out is false: there is none; -1 could not tell.
 */
static int
is_alias_of_user(struct store *store, const struct login_user *user,
    const char *local, bool *is_alias_out, struct error *err)
{
	struct store_alias alias;
	int found = store_find_alias(store, local, user->domain, &alias, err);

	*is_alias_out = found == 1;
	if (found != 1)
		return found;
	found = 0;
	for (size_t i = 0; i < alias.lines.count && found == 0; i++)
		found = is_line_of_user(user, alias.lines.items[i]);
	store_alias_release(&alias);
	return found;
}

/* Is there a user of this very name?  1, 0, or -1 could not tell. */
static int
is_user(struct store *store, const struct login_user *user, const char *local,
    struct error *err)
{
	struct store_user other;
	int found = store_find_user(store, local, user->domain, &other, err);

	if (found == 1)
		store_user_release(&other);
	return found;
}

/* Does a .qmail file of the domain decide about the name? */
static int
has_domain_file(struct store *store, const struct login_user *user,
    const char *local, struct error *err)
{
	struct store_domain domain;
	int found = store_find_domain(store, user->domain, &domain, err);

	if (found == 1) {
		found = smtp_domain_rule_has_file(
		    domain.dir, local, err);
		store_domain_release(&domain);
	}
	return found;
}

/* Of the users in front of a separator it is the longest's, as of deliveries.
 */
static int
is_extension_of_user(struct store *store, const struct login_user *user,
    const char *local, const char *separators, struct error *err)
{
	size_t length = strlen(local);
	int found = 0;

	while (found == 0 && extension_cut(local, separators, &length)) {
		OWN_TEXT name = xstrndup(local, length);

		if (strcmp(name, user->local) == 0)
			return 1;
		found = is_user(store, user, name, err);
	}
	return found == 1 ? 0 : found;
}

/*
 * Would mail to this name, which is not the user's, come to the user?  The same
 * order as in smtp/policy_mailbox.c and delivery/general.c.
 */
static int
is_led_to_user(struct store *store, const struct login_user *user,
    const char *local, const char *separators, struct error *err)
{
	bool is_alias;
	int found = is_user(store, user, local, err);

	if (found != 0)
		return found == 1 ? 0 : -1;
	found = is_alias_of_user(store, user, local, &is_alias, err);
	if (found != 0 || is_alias)
		return found;
	found = has_domain_file(store, user, local, err);
	if (found != 0)
		return found == 1 ? 0 : -1;
	return is_extension_of_user(store, user, local, separators, err);
}

/* Of the user's domain, under one of its names? */
static int
is_own_domain(struct store *store, const struct login_user *user,
    const char *name, struct error *err)
{
	struct store_domain domain;
	int found;

	if (strcasecmp(name, user->domain) == 0)
		return 1;
	found = store_find_domain(store, name, &domain, err);
	if (found == 1) {
		found = strcasecmp(domain.name, user->domain) == 0;
		store_domain_release(&domain);
	}
	return found;
}

/* Has the user this address?  1, 0, -1 could not tell. */
static int
is_own_address(struct smtp_session *session, const struct login_user *user,
    const struct smtp_address *sender, struct error *err)
{
	const struct settings *settings = session->config->settings;
	struct store *store = session->server->store;
	/* Where a report to a name alone would go. */
	const char *domain = sender->domain != NULL
	    ? sender->domain
	    : settings_text(settings, SETTING_envnoathost);
	OWN_TEXT local = xstrndup(sender->text,
	    sender->domain != NULL
		? (size_t)(sender->domain - 1 - sender->text)
		: strlen(sender->text));
	int found;

	ascii_lower(local, local, strlen(local));
	/* Who has no domain is a user of this host. */
	if (user->domain[0] == '\0')
		return strcmp(local, user->local) == 0 &&
		    (sender->domain == NULL ||
			strcasecmp(domain, session->config->name) == 0);
	found = is_own_domain(store, user, domain, err);
	if (found != 1)
		return found;
	if (strcmp(local, user->local) == 0)
		return 1;
	return is_led_to_user(store, user, local,
	    settings_text(settings, SETTING_userextension), err);
}

/* Nobody has logged in, or somebody who may be anybody. */
static bool
may_be_anybody(struct smtp_session *session)
{
	return smtp_session_user(session) == NULL ||
	    settings_flag(session->config->settings, SETTING_masquerade) ||
	    vars_get(smtp_transaction_vars(session), "MASQUERADE") != NULL;
}

/* The null sender is everybody's: reports that a message was read have it. */
static bool
is_senders_own(struct smtp_session *session, const struct smtp_address *sender)
{
	const struct login_user *user = smtp_session_user(session);
	struct error err;
	char more[LOGIN_ADDRESS_MAX + 16];
	int found;

	if (sender->text[0] == '\0' || may_be_anybody(session))
		return true;
	found = is_own_address(session, user, sender, &err);
	if (found == 1)
		return true;
	if (found == -1) {
		smtp_log(session, "cannot look up the sender: %s", err.text);
		smtp_reply(session, 451, "4.3.2",
		    "Sorry, I got a temporary database error");
		return false;
	}
	snprintf(more, sizeof(more), "Auth <%s>", session->auth_name);
	smtp_log_refused(session, "Invalid masquerade", NULL, NULL, more);
	smtp_reply(session, 553, "5.7.1",
	    "sorry, this MTA does not accept masquerading/forging, auth %s",
	    session->auth_name);
	return false;
}

/* 1, 0, or -1 with the reason. */
static int
is_own_author(
    struct smtp_session *session, const struct buf *author, struct error *err)
{
	struct smtp_address address;

	return smtp_address_read(author->data, author->length, &address) ==
		SMTP_ADDRESS_OK
	    ? is_own_address(
		  session, smtp_session_user(session), &address, err)
	    : 0;
}

int
smtp_policy_authors(
    struct smtp_session *session, const struct originate *originate)
{
	const char *at = originate->authors.data;
	const char *end = at + originate->authors.length;
	AUTO(buf_release) struct buf author = BUF_INIT;
	struct error err;
	int found, is_own = 1;

	if (!originate->options.keeps_authors || may_be_anybody(session))
		return 1;
	if (originate->are_authors_long)
		return 0;
	while (is_own == 1 && (found = author_next(&at, end, &author)) != 0)
		is_own = found == 1 ? is_own_author(session, &author, &err) : 0;
	if (is_own == -1)
		smtp_log(
		    session, "cannot look up the header's From: %s", err.text);
	return is_own;
}

bool
smtp_policy_sender(
    struct smtp_session *session, const struct smtp_address *sender)
{
	int is_needed = smtp_session_user(session) == NULL &&
		vars_get(smtp_transaction_vars(session), "RELAYCLIENT") == NULL
	    ? needs_login(session, sender)
	    : 0;

	if (is_needed == -1)
		smtp_reply(session, 451, "4.3.0",
		    "Sorry, I'm unable to read controls");
	if (is_needed == 1)
		smtp_reply(session, 530, "5.7.1", "authentication required");
	return is_needed == 0 && is_senders_own(session, sender);
}
