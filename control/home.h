/* SPDX-License-Identifier: ISC */
/* Where a node's folders are: MQMAIL_HOME and its variables. */
#ifndef CONTROL_HOME_H
#define CONTROL_HOME_H

/* All paths are absolute and belong to the struct. */
struct home {
	char *root;    /* MQMAIL_HOME, default /var/mqmail */
	char *control; /* CONTROLDIR (relative: below root), default control */
	char *users;   /* ASSIGNDIR, default users */
	char *domains; /* DOMAINDIR, default domains */
	char *queue;   /* root/queue; QUEUE_BASE is the multiplexer's matter */
	char *service;
	char *run;
	char *log;
	char *tls; /* CERTDIR, default tls */
	char *alias;
};

/* Reads the environment.  home_free() accepts NULL inside. */
struct home *home_new(void);
struct home *home_at(const char *root); /* root instead of MQMAIL_HOME */
void home_free(struct home **home);

#endif
