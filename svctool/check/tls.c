/* SPDX-License-Identifier: ISC */
/* Can the certificates be used, and for how long? */
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/tls.h"
#include "svctool/check/check.h"
#include "svctool/run/spawn.h"

enum { WARN_BEFORE_DAYS = 14, DAY_S = 86400 };

/* Is it still valid then?  openssl-x509(1) answers by its exit code. */
static bool
is_valid_in(const char *path, unsigned days)
{
	char *seconds = xasprintf("%u", days * DAY_S);
	const char *argv[] = { "openssl", "x509", "-noout", "-checkend",
		seconds, "-in", path, NULL };
	bool is_valid = spawn_filter(argv, "/dev/null", NULL) == 0;

	free(seconds);
	return is_valid;
}

static void
find(struct check *check, enum check_level level, const char *path,
    const char *text, const char *remedy)
{
	check_find(check, level, path, 0, "%s", text);
	check_remedy(check, "%s", remedy);
}

static void
list_certificates(struct check *check, struct arg_list *paths_out)
{
	char *standard = xasprintf("%s/servercert.pem", check->node->home->tls);

	check_listener_files(check, "SERVERCERT", standard, paths_out);
	free(standard);
}

static bool
does_load(struct check *check, const char *path)
{
	struct tls_context *context = NULL;
	struct error err;
	bool is_usable = false;

	if (access(path, F_OK) == -1)
		find(check, CHECK_WARNING, path,
		    "there is none, so STARTTLS is not offered",
		    "put certificate chain and key there, or run 'svctool "
		    "init' for a self-signed one");
	else if ((context = tls_context_new(path, &err)) == NULL)
		find(check, CHECK_ERROR, path, err.text,
		    "put a PEM file with certificate chain and key there");
	else
		is_usable = true;
	tls_context_free(&context);
	return is_usable;
}

void
check_tls_loads(struct check *check)
{
	struct arg_list paths;

	list_certificates(check, &paths);
	for (size_t i = 0; i < paths.count; i++)
		does_load(check, paths.items[i]);
	arg_list_release(&paths);
}

void
check_tls(struct check *check)
{
	struct arg_list paths;

	list_certificates(check, &paths);
	for (size_t i = 0; i < paths.count; i++) {
		const char *path = paths.items[i];

		if (!does_load(check, path))
			;
		else if (!is_valid_in(path, 0))
			find(check, CHECK_ERROR, path,
			    "the certificate has expired",
			    "put a new one there, then svc -h the listeners");
		else if (!is_valid_in(path, WARN_BEFORE_DAYS))
			find(check, CHECK_WARNING, path,
			    "the certificate expires within two weeks",
			    "put a new one there, then svc -h the listeners");
	}
	arg_list_release(&paths);
}
