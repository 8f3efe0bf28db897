/* SPDX-License-Identifier: ISC */
/* The services and queues that the parts of svctool check go through. */
#include "svctool/check.h"

void
check_names(struct check *check,
    int (*list)(const struct node *, struct arg_list *, struct error *),
    struct arg_list *names_out)
{
	struct error err;

	*names_out = (struct arg_list){ .count = 0 };
	if (list(check->node, names_out, &err) == -1)
		check_reason(check, CHECK_ERROR, err.text,
		    "run this as its owner or root");
}
