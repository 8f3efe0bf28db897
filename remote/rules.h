/* SPDX-License-Identifier: ISC */
/*
 * All that settings and files say about remote delivery, read once; and, with
 * what the DNS says, the plan of how mail of a sender reaches a domain.
 *
 * Rules are read-only: threads may share them.
 */
#ifndef REMOTE_RULES_H
#define REMOTE_RULES_H

#include "control/bindings.h"
#include "control/cluster_nodes.h"
#include "control/home.h"
#include "control/settings.h"
#include "remote/exchange.h"
#include "remote/session.h"
#include "remote/tls_policy.h"
#include "remote/tls_report.h"
#include "remote/token.h"

struct rules;

/* program: whose settings' errors are told.  NULL with the reason. */
struct rules *rules_new(
    const struct home *home, const char *program, struct error *err);
void rules_free(struct rules **rules);

const struct settings *rules_settings(const struct rules *rules);
/* Does the way depend on the sender, too? */
bool rules_ask_sender(const struct rules *rules);
/* Or, for "DOMAIN[ SENDER]", on the recipient?  True when it cannot be told. */
bool rules_ask_recipient(const struct rules *rules, const char *lane);

/* The program that is run instead of sessions (qmailremote), or NULL. */
const char *rules_program(const struct rules *rules);

/* Of one question to the DNS, for who does not wait as long as mail does. */
void rules_set_timeout(struct rules *rules, int timeout_ms);

/* Sessions that plan_note() is told of are counted there; borrowed. */
void rules_report_to(struct rules *rules, struct tls_report *report);

/* How mail of a sender reaches a domain.  Belongs to its maker. */
struct plan {
	char *domain;
	char *sender;             /* NULL: any */
	char *recipient;          /* the same */
	struct exchange exchange; /* without hosts that TLS forbids */
	struct tls_plan tls;      /* hosts NULL: exchange was not FOUND */
	struct cluster_node node; /* of a lane "@NODE"; name NULL: of none */
	bool ignores_tls_policy;  /* without what the domain publishes of it */
	struct session_credentials credentials; /* user NULL: no AUTH */
};

/*
 * Blocking; domain may be a lane of a node (node.h).  plan_out is always made and
 * released by the caller.  sender,
 * recipient NULL: without what depends on it.
 */
void plan_make(const struct rules *rules, const char *domain,
    const char *sender, const char *recipient, struct plan *plan_out);
/* The same for a message that says TLS-Required: No (tls_required.h). */
void plan_make_without_tls_policy(const struct rules *rules, const char *domain,
    const char *sender, const char *recipient, struct plan *plan_out);
void plan_release(struct plan *plan);

/* Equal for plans that may share connections. */
void plan_put_key(
    const struct rules *rules, const struct plan *plan, struct buf *key);

/* What a session to one of its addresses is opened with. */
struct way {
	struct binding binding;
	struct session_credentials credentials;
	char token[TOKEN_SIZE]; /* of plan_open(), with XOAUTH2 */
	struct session_options options;
};
void plan_fill_way(const struct rules *rules, const struct plan *plan,
    size_t address, struct way *way_out);

/*
 * Blocking: opens a session to that address, unless it is left alone (tcpto.h),
 * and notes there whether it answered.  way_out is to stay as long as the
 * session.  NULL with *failure_out, which the caller releases.
 */
struct session *plan_open(const struct rules *rules, const struct plan *plan,
    size_t address, struct way *way_out, struct session_result *failure_out);

/* In the table of hosts that did not answer. */
void plan_forget_hosts(const struct rules *rules, const struct plan *plan);

/*
 * Logs what came of TLS with one of its addresses, and counts it.  session
 * NULL: it did not come about, by this failure.
 */
void plan_note(const struct rules *rules, const struct plan *plan,
    size_t address, const struct session *session,
    const struct session_result *failure);

#endif
