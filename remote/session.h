/* SPDX-License-Identifier: ISC */
/*
 * One connection to a host that takes mail: SMTP (RFC 5321), LMTP (RFC 2033)
 * or QMTP, for any number of messages, one after the other.
 *
 * Blocking, with deadlines; a session is used by one thread.  The
 * beginning of a connection, and each session_send(), ends at twice the longer
 * time-out, however the peer trickles.
 */
#ifndef REMOTE_SESSION_H
#define REMOTE_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/tls.h"
#include "base/uuid.h"
#include "remote/reply.h"
#include "resolver/dns.h"

enum session_transport { SESSION_SMTP, SESSION_LMTP, SESSION_QMTP };

/* What of TLS is wanted (docs/remote.md, TLS). */
enum tls_level {
	TLS_NONE,    /* never */
	TLS_MAY,     /* if it is offered; any certificate, plain if it fails */
	TLS_ENCRYPT, /* always; any certificate */
	TLS_VERIFY   /* always, and the certificate proves the host: by its
		      * names and the system's authorities, or by DANE */
};

struct session_tls {
	enum tls_level level;
	/* Not VERIFY by authorities, but it is told whether it would do. */
	bool is_examined;
	bool is_wrapped; /* from the first byte (port 465) */
	/* a client's, with its certificate and ciphers; may be shared.  Not for
	 * NONE.  For VERIFY by authorities it trusts the system's. */
	struct tls_context *context;
	/* VERIFY: a file of the authorities, not the context's; or NULL */
	const char *authorities_path;
	/* VERIFY: that the certificate may name; the host's if there is none */
	const char *const *names;
	size_t name_count;
	/* VERIFY: it has one of these pins, and nothing else counts; or NULL */
	const struct strlist *pins;
	/* VERIFY by DANE (RFC 7672): records in wire form; 0: by authorities */
	const struct dns_tlsa *tlsa;
	size_t tlsa_count;
};

struct session_credentials {
	const char *user, *secret;
	/* SCRAM-SHA-256, CRAM-MD5, PLAIN, LOGIN; XOAUTH2, whose secret is a
	 * token; NULL: the first of the four that the peer has.  With MAY and
	 * without TLS only those that do not show the secret. */
	const char *mechanism;
	bool is_only_in_tls; /* all of them, whatever the level */
};

/* All borrowed for the life of the session. */
struct session_options {
	enum session_transport transport;
	const char *host; /* its name: for SNI, certificates, texts */
	/* It is another node of the cluster, which must take us for one (the
	 * extension XNODE); messages go with their UUID. */
	bool is_node;
	const struct sockaddr *address;
	const struct sockaddr *source; /* or NULL: the kernel chooses */
	const char *helo;
	/* Our name for an address of ours that the kernel chose, or NULL: helo;
	 * itself NULL: helo counts always. */
	const char *(*find_helo)(
	    const void *context, const struct sockaddr *source);
	const void *find_helo_context;
	struct session_tls tls;
	const struct session_credentials *credentials; /* or NULL */
	int connect_ms, remote_ms; /* timeoutconnect, timeoutremote */
};

enum session_stage {
	STAGE_CONNECT,
	STAGE_GREETING,
	STAGE_HELO,
	STAGE_TLS,
	STAGE_AUTH,
	STAGE_MAIL,
	STAGE_RCPT,
	STAGE_DATA, /* until the answer to the final dot */
	STAGE_OVER
};

enum session_outcome {
	SESSION_DELIVERED = 'K',
	SESSION_TEMPFAIL = 'Z',
	SESSION_PERMFAIL = 'D'
};

/* What became of a recipient, or of a connection that did not come about. */
struct session_result {
	enum session_outcome outcome;
	enum session_stage stage;
	enum tls_failure tls_failure; /* STAGE_TLS */
	bool was_resuming;  /* STAGE_TLS: it may go well as a new session */
	bool is_of_peer;    /* STAGE_CONNECT: it is no trouble of this node */
	bool is_of_host;    /* it lacks what the message needs */
	bool is_dsn_passed; /* the peer tells the sender (RFC 3461 5.2.2) */
	struct reply reply; /* code 0: the peer said nothing, or nonsense */
	char *text;         /* as in qmail-remote's report; freed by
			     * session_result_release() */
};
void session_result_release(struct session_result *result);

struct session;

/*
 * Connects, greets, and does TLS and AUTH as wanted; connects once more when
 * TLS failed with a session that was to be resumed, and once more, in plain,
 * when TLS may be but failed.  NULL with *failure_out, which the caller
 * releases.
 *
 * A session of TLS is resumed only by one with the same context, level, proofs
 * and credentials, between the same addresses.
 */
struct session *session_open(
    const struct session_options *options, struct session_result *failure_out);

/*
 * Can it take one more message?  Looks for EOF or a 421 that has come, and
 * whether the peer takes no more on a connection (RFC 9422 MAILMAX).
 */
bool session_is_usable(const struct session *session);

struct session_recipient {
	const char *address;
	const char *dsn; /* " NOTIFY=... ORCPT=..." for RCPT, or "" */
};

/* A message; its body has LF line ends (mess/ID). */
struct session_message {
	const char *sender;
	const char *dsn;    /* " RET=... ENVID=..." for MAIL, or "" */
	const char *header; /* lines to put in front, or "" */
	const char *body;   /* size_bytes of them; NULL: fd, by pread from 0 */
	int fd;
	uint64_t size_bytes; /* committed: reading less defers */
	bool requires_tls;   /* REQUIRETLS (RFC 8689) */
	struct uuid uuid;    /* a node is told it; none: it makes one */
	const struct session_recipient *recipients;
	size_t recipient_count;
};

/*
 * Sends it to all recipients: one transaction, or several if the peer does not
 * take so many at once.  results_out has recipient_count places, all of which
 * are made; the caller releases them.
 */
void session_send(struct session *session,
    const struct session_message *message, struct session_result *results_out);

/*
 * "TLSv1.3 TLS_AES_256_GCM_SHA384 (resumed) verified by dane" for logs; ""
 * without TLS.  The session's.
 */
const char *session_tls_text(const struct session *session);

/*
 * What is wrong with TLS though the session came about: why it is in plain, or
 * what is_examined has found.
 */
enum tls_failure session_tls_failure(const struct session *session);

/* Says QUIT if the session is still usable, without waiting for an answer. */
void session_close(struct session **session);

#endif
