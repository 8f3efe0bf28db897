/* SPDX-License-Identifier: ISC */
/*
 * Who may log in: a name and a password, or the proof that a SASL mechanism or
 * APOP has found, against the user store.
 *
 * A wrong user and a wrong password get the same answer after the same time,
 * which is held back for longer with each failure (auth/throttle.h).  Every
 * answer but "could not tell" is one log line with the address.  Any thread.
 */
#ifndef AUTH_LOGIN_H
#define AUTH_LOGIN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/error.h"
#include "control/home.h"
#include "control/settings.h"
#include "lookupd/store.h"

enum login_result {
	LOGIN_OK,
	LOGIN_REFUSED,   /* no such user, or not the password */
	LOGIN_FORBIDDEN, /* proven, but inactive, or the right is missing */
	LOGIN_LOCKED,    /* too many failures: not looked at */
	LOGIN_TOO_SOON,  /* proven, but the last login is not long ago */
	LOGIN_UNKNOWN    /* could not tell, with the reason: our trouble */
};

/* What is logged in to. */
struct login_service {
	const char *name; /* "smtp", "pop3", "imap": for logs and the store */
	unsigned forbidding_flag; /* of enum store_flag */
	bool opens_relay;         /* pop before smtp */
	bool is_spaced;           /* minlogininterval is for it */
	bool is_lookup;           /* nobody logs in: no line, no note */
	bool says_itself;         /* who is let in, in a log of its own */
};

/* Who has logged in.  Texts point into storage. */
struct login_user {
	struct buf storage;
	const char *address; /* local@domain, of the store */
	const char *local, *domain;
	const char *dir; /* the Maildir is dir/Maildir */
	const char *quota;
	unsigned flags;
	uid_t uid;
	gid_t gid;
};

struct login;

/*
 * The store is borrowed; of the settings (defaultlogindomain and those behind
 * it) a copy is taken.  Failures count together with those of all processes of
 * the node home, in its run/logins; for this process alone with NULL, and where
 * that file cannot be used, which is logged.
 */
struct login *login_new(struct store *store, const struct home *home,
    const struct settings *settings);
void login_free(struct login **login);
/* Other settings from now on. */
void login_configure(struct login *login, const struct settings *settings);

/*
 * name is user@domain, user%domain or a bare name, which is of the domain of
 * local_ip (vipmap) or else of defaultlogindomain.  *user_out is the caller's
 * to release, and empty unless the result is LOGIN_OK.  May wait for some
 * seconds.
 */
enum login_result login_plain(struct login *login,
    const struct login_service *service, const char *name, const char *password,
    const char *remote_ip, const char *local_ip, struct login_user *user_out,
    struct error *err);
void login_user_release(struct login_user *user);

/*
 * The same where not the store but check() knows the password: 1 it is right, 0
 * it is not, -1 could not tell, with the reason.  The user has no more than his
 * address, which is the name completed, or the name alone where no domain
 * completes it (domain "").
 */
enum login_result login_elsewhere(struct login *login,
    const struct login_service *service, const char *name,
    const char *remote_ip, const char *local_ip,
    int (*check)(void *context, struct error *err), void *context,
    struct login_user *user_out, struct error *err);

enum { LOGIN_ADDRESS_MAX = 64 + 1 + 255 };

/*
 * The same in two steps, for who finds the proof himself.  After LOGIN_OK of
 * login_begin() the caller goes through the mechanism as if the user were there
 * whether or not has_user says so (then with made-up values), and calls
 * login_end() for it; after any other result it is over.  The texts that were
 * given are borrowed until then.
 */
struct login_attempt {
	const struct login_service *service;
	const char *remote_ip;
	bool is_trusted; /* logintrusted: failures count for the name alone */
	int64_t started_ms;
	char name[LOGIN_ADDRESS_MAX + 1]; /* complete, in lower case; or cut */
	bool has_user;
	struct store_password password; /* if so; wiped by login_end() */
};

enum login_result login_begin(struct login *login,
    const struct login_service *service, const char *name,
    const char *remote_ip, const char *local_ip,
    struct login_attempt *attempt_out, struct error *err);
/*
 * Is it the user's password?  1, 0, or -1 could not tell.  As much work without
 * a user.
 */
int login_check(struct login *login, const struct login_attempt *attempt,
    const char *password, struct error *err);
/* is_proven is not believed without a user. */
enum login_result login_end(struct login *login, struct login_attempt *attempt,
    bool is_proven, struct login_user *user_out);
/* Instead, when the client breaks off: counts nothing, logs nothing. */
void login_abandon(struct login_attempt *attempt);

/*
 * Bytes that are always the same for that name, in all processes of the node,
 * and that nobody can tell from random ones: what a user without a verifier
 * seems to have.
 */
enum { LOGIN_MADE_UP_SIZE = 32 };
void login_make_up(struct login *login, const char *name,
    unsigned char bytes_out[LOGIN_MADE_UP_SIZE]);

/*
 * Is a client's address one of this host, from where a password may come in
 * the clear?
 */
bool login_is_from_here(const char *remote_ip);

#endif
