/* SPDX-License-Identifier: ISC */
/*
 * From which of our addresses, and under which name, a connection to another
 * host is made: bindroutes, domainbindings, outgoingip, outgoingip.DOMAIN,
 * helohost and helohostbyip.
 */
#ifndef CONTROL_BINDINGS_H
#define CONTROL_BINDINGS_H

#include <stdbool.h>
#include <sys/socket.h>

#include "base/error.h"
#include "control/idn.h"
#include "control/settings.h"

/*
 * Checks a line of bindroutes, or (is_sender) domainbindings: "KEY:ADDRESS",
 * "KEY:ADDRESS,ADDRESS", or "KEY:", the system chooses.  0, or -1 with the
 * reason.
 */
int binding_judge(const char *line, bool is_sender, struct error *err);
/* The same of helohostbyip, "ADDRESS:NAME". */
int binding_judge_helo(const char *line, struct error *err);

/* Threads may share it. */
struct bindings;

/*
 * NULL when a file outgoingip.DOMAIN, or one that DOMAINBINDINGS or
 * HELOHOSTBYIP names, is wrong or cannot be read.
 */
struct bindings *bindings_new(const char *control_dir,
    const struct settings *settings, struct error *err);
void bindings_free(struct bindings **bindings);

/* May our address depend on the sender? */
bool bindings_ask_sender(const struct bindings *bindings);

struct binding {
	bool has_source;                /* else the system chooses */
	struct sockaddr_storage source; /* port 0 */
	/* Equal for all connections whose addresses come from one list; 0: from
	 * none.  For who keeps connections: the next of a list is as good. */
	unsigned list;
	char helo[IDN_DOMAIN_SIZE];
};

/*
 * For mail of sender ("": the null sender) to a domain in its canonical
 * spelling, at this remote address.  A line of bindroutes for the domain counts
 * most, then one for the remote address, then its line for all others;
 * then domainbindings, outgoingip.DOMAIN, outgoingip.  Of a list the next
 * address of the remote address's family is taken; has it none, the system
 * chooses.
 */
void bindings_find(struct bindings *bindings, const char *sender,
    const char *domain, const struct sockaddr *remote,
    struct binding *binding_out);

/* Our name for connections from that address of ours (helohostbyip), or NULL;
 * the bindings'. */
const char *bindings_helo(
    const struct bindings *bindings, const struct sockaddr *source);

#endif
