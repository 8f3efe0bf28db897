/* SPDX-License-Identifier: ISC */
/* Files that were half written when an earlier run was killed. */
#include <stdlib.h>

#include "base/file.h"
#include "svctool/init/init.h"

int
init_sweep(struct maker *maker, struct error *err)
{
	static const enum layout_id folders[] = { LAYOUT_control,
		LAYOUT_global_vars, LAYOUT_users, LAYOUT_tls };

	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		char *real = node_layout_path(maker->node, folders[i]);
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
