/* SPDX-License-Identifier: ISC */
/*
 * What lies where in a node, whose it is and with which mode.
 *
 * One table (control/layout.tbl) has every path.  Who makes one takes owner and
 * mode from its row, and who looks at one asks layout_judge().
 */
#ifndef CONTROL_LAYOUT_H
#define CONTROL_LAYOUT_H

#include <stdarg.h>
#include <stdbool.h>
#include <sys/stat.h>

#include "control/home.h"
#include "control/identity.h"

enum layout_id {
#define LAYOUT(name, ...) LAYOUT_##name,
#include "control/layout.tbl"
#undef LAYOUT
	LAYOUT_COUNT
};

enum layout_kind {
	LAYOUT_FOLDER,
	LAYOUT_FILE,
	LAYOUT_CDB, /* a file that is compiled from another */
	LAYOUT_FIFO,
	LAYOUT_SOCKET
};

/* Whose it is: a role's, of a node that root made; else of who made it. */
enum layout_owner {
	LAYOUT_SMTPD = IDENTITY_SMTPD,
	LAYOUT_QUEUE = IDENTITY_QUEUE,
	LAYOUT_VIRTUAL = IDENTITY_VIRTUAL,
	LAYOUT_LOG = IDENTITY_LOG,
	LAYOUT_REMOTE = IDENTITY_REMOTE,
	LAYOUT_LOOKUP = IDENTITY_LOOKUP,
	LAYOUT_CLUSTER = IDENTITY_CLUSTER,
	LAYOUT_ADMIN = IDENTITY_ADMIN,
	LAYOUT_OURS,
	LAYOUT_DOMAIN /* the domain's, as users/assign says */
};

struct layout_row {
	const char *path; /* a node's folder, and below; "/...": the host's */
	enum layout_kind kind;
	enum layout_owner owner;
	const char *group;        /* "": the owner's */
	mode_t mode;              /* as it is made */
	mode_t needed, forbidden; /* what is right has, and has not */
	const char *maker;
	const char *text; /* what it is for */
};

extern const struct layout_row layout_rows[LAYOUT_COUNT];

/*
 * The row's path in that node, with a text for each part that is in capitals.
 * The caller frees.
 */
char *layout_path(const struct home *home, enum layout_id id, ...);
char *layout_vpath(const struct home *home, enum layout_id id, va_list names);

/*
 * What stands in a row's path behind that of the row top, which it is below; ""
 * of top itself.
 */
const char *layout_below(enum layout_id top, enum layout_id id);
/* The same behind the folder that a domain has.  The caller frees. */
char *layout_domain_path(const char *domain_dir, enum layout_id id);

/*
 * Who owns what belongs to owner, in the node of this process.  0, or -1 with
 * the reason.  Not for LAYOUT_DOMAIN.
 */
int layout_uid(enum layout_owner owner, uid_t *uid_out, struct error *err);

/* What is wrong with a path, in words that go on behind its name; else "". */
struct layout_faults {
	char kind[40], mode[80], owner[80];
	mode_t right_mode; /* as little changed as it takes */
	bool is_closed;    /* the owner cannot use it */
};

/* Is what lies there as the row says, and the uid's?  Else the faults. */
bool layout_judge(enum layout_id id, const struct stat *st, uid_t uid,
    struct layout_faults *faults_out);

/* "folder", "file", ... */
const char *layout_kind_name(enum layout_kind kind);

#endif
