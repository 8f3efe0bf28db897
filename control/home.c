/* SPDX-License-Identifier: ISC */
/* Where a node's folders are. */
#include "control/home.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

/* Takes the '/' off the end of a path that is more than "/". */
static char *
trim(char *path)
{
	size_t length = strlen(path);

	while (length > 1 && path[length - 1] == '/')
		path[--length] = '\0';
	return path;
}

/* path, or below base when it is relative. */
static char *
below_folder(const char *base, const char *path)
{
	if (path[0] == '/')
		return trim(xstrdup(path));
	return trim(
	    xasprintf("%s/%s", strcmp(base, "/") == 0 ? "" : base, path));
}

static char *
from_environment(const char *base, const char *variable, const char *standard)
{
	const char *value = getenv(variable);

	return below_folder(
	    base, value == NULL || *value == '\0' ? standard : value);
}

/* An absolute path, so that a later chdir() does not move the node. */
static char *
absolute(const char *path)
{
	OWN_TEXT folder = getcwd(NULL, 0);

	return below_folder(folder != NULL ? folder : "/", path);
}

struct home *
home_at(const char *root)
{
	struct home *home = xcalloc(1, sizeof(*home));

	home->root = absolute(root);
	home->control = from_environment(home->root, "CONTROLDIR", "control");
	home->users = from_environment(home->root, "ASSIGNDIR", "users");
	home->domains = from_environment(home->root, "DOMAINDIR", "domains");
	home->queue = below_folder(home->root, "queue");
	home->service = below_folder(home->root, "service");
	home->run = below_folder(home->root, "run");
	home->log = below_folder(home->root, "log");
	home->tls = from_environment(home->root, "CERTDIR", "tls");
	home->alias = below_folder(home->root, "alias");
	return home;
}

struct home *
home_new(void)
{
	const char *root = getenv("MQMAIL_HOME");

	return home_at(root == NULL || *root == '\0' ? "/var/mqmail" : root);
}

void
home_free(struct home **home_in)
{
	struct home *home = *home_in;

	if (home == NULL)
		return;
	free(home->root);
	free(home->control);
	free(home->users);
	free(home->domains);
	free(home->queue);
	free(home->service);
	free(home->run);
	free(home->log);
	free(home->tls);
	free(home->alias);
	free(home);
	*home_in = NULL;
}
