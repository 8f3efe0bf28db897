/* SPDX-License-Identifier: ISC */
/* The virtual domains that svctool init is asked for. */
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "svctool/init.h"
#include "svctool/spawn.h"

int
init_domains(
    struct maker *maker, const struct init_options *options, struct error *err)
{
	const struct node *node = maker->node;
	char *program = xasprintf("%s/vadddomain", node->programs);
	int result = 0;

	if (options->domains.count > 0 && *node->destdir != '\0')
		result = error_set(err,
		    "--domain does not go with --destdir: add domains on the "
		    "installed node with vadddomain");
	for (size_t i = 0; result == 0 && i < options->domains.count; i++) {
		const char *domain = options->domains.items[i];
		char *folder = node_path(
		    node, "%s/%s", node->home->domains, domain);
		const char *argv[] = { program, "-n", domain, NULL };

		if (access(folder, F_OK) == 0)
			maker->kept++;
		else {
			result = spawn_wait(argv, err);
			if (result == 0) {
				make_say("made",
				    "domain %s (postmaster without a "
				    "password: vpasswd gives one)",
				    domain);
				maker->made++;
			}
		}
		free(folder);
	}
	free(program);
	return result;
}
