/* SPDX-License-Identifier: ISC */
/* Files that were half written when an earlier run was killed. */
#include <stdlib.h>

#include "base/file.h"
#include "svctool/init/init.h"

int
init_sweep(struct maker *maker, struct error *err)
{
	const struct home *home = maker->node->home;
	const char *const folders[] = { home->control, maker->node->global_vars,
		home->users, home->tls };

	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		char *real = node_path(maker->node, "%s", folders[i]);
		int count = file_sweep(real, err);

		if (count > 0) {
			make_say("removed",
			    "%d half-written files of killed programs in %s",
			    count, real);
			maker->made++;
		}
		free(real);
		if (count == -1)
			return -1;
	}
	return 0;
}
