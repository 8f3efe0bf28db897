/* SPDX-License-Identifier: ISC */
/*
 * The environment that a service starts with: control/global_vars/, and over it
 * service/NAME/variables/, one variable a file, as envdir(8) reads them.
 */
#ifndef SVCTOOL_RUN_SERVICE_ENV_H
#define SVCTOOL_RUN_SERVICE_ENV_H

#include <stdbool.h>

#include "base/error.h"
#include "base/vars.h"
#include "smtp/options.h"
#include "svctool/node.h"

struct service_env {
	struct vars vars; /* a name whose file is empty is unset */
	struct vars own;  /* those of variables/ */
	char *own_folder, *global_folder;
	bool is_pop3; /* a listener of POP3 */
};

/* What cannot be read is left out.  The caller releases it. */
void service_env_read(
    const struct node *node, const char *service, struct service_env *env_out);
void service_env_release(struct service_env *env);

/* The value, or NULL (of text: "") when it is unset or empty. */
const char *service_env_text(const struct service_env *env, const char *name);
const char *service_env_get(const struct service_env *env, const char *name);

/* The file that sets, or would set, the variable; the caller frees. */
char *service_env_file(const struct service_env *env, const char *name);

/*
 * The command line of a listener, as its run file makes it of LISTEN and
 * OPTIONS and qmail-smtpd or qmail-pop3d reads it.  0, or -1 with the reason, which begins
 * with the file to be put right.
 */
int service_env_options(const struct service_env *env,
    struct smtp_options *options_out, struct error *err);

/* The same by LISTEN alone, which says where it listens. */
int service_env_listen(const struct service_env *env,
    struct smtp_options *options_out, struct error *err);

/* Gives the calling process this environment, with the node's home and PATH. */
void service_env_take(const struct service_env *env, const struct node *node);

#endif
