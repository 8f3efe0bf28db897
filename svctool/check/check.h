/* SPDX-License-Identifier: ISC */
/*
 * What svctool check looks at, and how it keeps what it finds.
 *
 * A finding names a file (and line), what is wrong, and the remedy, which
 * check_find() is given, or check_remedy() after it.
 */
#ifndef SVCTOOL_CHECK_CHECK_H
#define SVCTOOL_CHECK_CHECK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "control/layout.h"
#include "control/settings.h"
#include "svctool/make.h"
#include "svctool/node.h"

/* Only errors make the check fail; a note is of what is meant so. */
enum check_level { CHECK_ERROR, CHECK_WARNING, CHECK_NOTE };

struct check_finding {
	enum check_level level;
	char *file;
	unsigned line; /* 0: the file as a whole */
	char *text;
	char *remedy;
};

struct check {
	const struct node *node;
	unsigned errors;
	unsigned warnings;
	unsigned notes;
	struct check_finding *findings;
	size_t count;
	struct strlist used_queues; /* folders that new mail may go to */
	bool is_dropped;            /* the last finding was known already */
	/*
	 * The control files' values, since check_settings(); in the place of
	 * a bad one there is the default.
	 */
	struct settings *settings;
	bool has_bad_count;   /* it is not known which queues are counted */
	bool has_no_database; /* that was found: not tried for each domain */
};

/* Frees what was gathered; the node is the caller's. */
void check_release(struct check *check);

/* In a format of check_find(): what to do about it follows. */
#define REMEDY "\036"

/*
 * Keeps and counts one finding.  Control characters in its texts become '?'.
 * The same text at the same place is kept once.
 */
void check_find(struct check *check, enum check_level level, const char *file,
    unsigned line, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
void check_remedy(struct check *check, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/*
 * A finding from the reason of another function.  "FILE:LINE: text" or "FILE:
 * text" is taken apart, else the file is the first that the text quotes.
 * remedy NULL: what the reason says behind its last "; ".
 */
void check_reason(struct check *check, enum check_level level,
    const char *reason, const char *remedy);

/* The same of that place, with the remedy that the reason has. */
void check_reason_at(struct check *check, enum check_level level,
    const char *file, unsigned line, const char *reason);

/*
 * The same, unless there is an error of the same file already, which most
 * likely says it in other words.
 */
void check_reason_unless_known(
    struct check *check, enum check_level level, const char *reason);

/* Takes the remedy, behind the last "; ", off a reason; NULL: it has none. */
const char *check_cut_remedy(char *text);

/* Is there an error of that file? */
bool check_has_error(const struct check *check, const char *file);

/* Of many findings of one kind the first are kept, and how many there were. */
struct check_crowd {
	unsigned long count;
	enum check_level level; /* of its sum */
};

enum { CHECK_CROWD_MAX = 20 };

/* Counts one more; true when it is to be kept. */
bool check_crowd_has_room(struct check_crowd *crowd);
/* Says at file how many were not kept, if any. */
void check_crowd_end(struct check *check, const struct check_crowd *crowd,
    const char *file, const char *remedy);

/* People's lines; the same with a sum at the end; one JSON array. */
void check_print_findings(const struct check *check);
void check_print_text(const struct check *check);
void check_print_json(const struct check *check);

/* Whose it should be.  False, after a finding at path, if it is not known. */
bool check_owner_uid(struct check *check, const char *path,
    enum layout_owner owner, uid_t *uid_out);

/* Whose a path is, and what follows when it is not. */
struct check_whose {
	uid_t uid;
	gid_t gid; /* if has_gid */
	bool has_gid;
	const char *name;          /* put behind "should to uid N" */
	const char *effect;        /* put behind what keeps its owner from it */
	struct check_crowd *crowd; /* or NULL */
};

/* Is what was found at path as the row says?  Else finds what is not. */
bool check_state(struct check *check, enum layout_id id, const char *path,
    const struct stat *st, const struct check_whose *whose);

/*
 * Takes what settings read out of the environment: that of a service is what
 * its variables/ and global_vars/ say, not what the operator's shell has.
 */
void check_forget_environment(void);

/*
 * Waits a few seconds until nobody changes what a lock file guards
 * (adminsrv/lock.h), and keeps others from it until check_unlock().  A file
 * that is missing is not made: nobody ever changed anything.  False when the
 * lock was not to be had: then a change is under way, and what is seen may be
 * half of it.  *lock_out is for check_unlock() in any case.
 */
bool check_lock(const char *path, int *lock_out);
void check_unlock(int lock);

/*
 * A node that an ordinary user made runs everything as that user: root becomes
 * that user for the rest of the process, and a warning says so.  0, or -1 with
 * the reason.
 */
int check_as_owner(struct check *check, struct error *err);

/* node_services or node_queues. */
typedef int check_list(const struct node *, struct strlist *, struct error *);

/* Its names, the caller's; why it has not got them is a finding. */
void check_names(
    struct check *check, check_list *list, struct strlist *names_out);
/* Looks at each of them. */
void check_each(struct check *check, check_list *list,
    void (*look)(struct check *check, const char *name));

/* The parts, in this order. */
void check_settings(struct check *check);    /* values and unknown files */
void check_place(struct check *check);       /* moved, copied, another's? */
void check_variables(struct check *check);   /* of services, and global_vars */
void check_owners(struct check *check);      /* permissions and owners */
void check_queues(struct check *check);      /* folders, the inode rule */
void check_running(struct check *check);     /* is all of the node up? */
void check_services(struct check *check);    /* run files, ports */
void check_compiled(struct check *check);    /* cdb files and their sources */
void check_rules(struct check *check);       /* envrules and access rules */
void check_collections(struct check *check); /* are all queues there, used? */
void check_domains(struct check *check);     /* virtual domains and users */
void check_tls(struct check *check);         /* the certificates */
void check_space(struct check *check);       /* disks */
void check_starts(struct check *check);      /* what else daemons refuse */

/* A part of check_domains(): virtualdomains and rcpthosts. */
void check_routing(struct check *check);

/*
 * Would the node start as well as it runs?  The findings are printed.  0, or -1
 * when there are errors.
 */
int check_before_restart(const struct node *node, struct error *err);

#endif
