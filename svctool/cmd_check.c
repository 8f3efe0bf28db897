/* SPDX-License-Identifier: ISC */
/* svctool check: is the node as it should be? */
#include <stdarg.h>
#include <stdio.h>

#include "svctool/args.h"
#include "svctool/check.h"
#include "svctool/svctool.h"

void
check_find(struct check *check, enum check_level level, const char *format, ...)
{
	va_list arguments;

	printf(level == CHECK_ERROR ? "error    " : "warning  ");
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	putchar('\n');
	if (level == CHECK_ERROR)
		check->errors++;
	else
		check->warnings++;
}

int
cmd_check(int argc, char **argv)
{
	const char *home = NULL;
	const struct arg_row rows[] = {
		{ "home", ARG_TEXT, &home },
		{ NULL, ARG_FLAG, NULL },
	};
	static void (*const parts[])(struct check *) = { check_settings,
		check_owners, check_queues, check_services, check_compiled,
		check_tls };
	struct check check = { .errors = 0 };
	struct error err;
	struct node *node;
	int code = EXIT_TROUBLE;

	if (args_parse_options(rows, argc, argv, &err) == -1)
		return complain(EXIT_USAGE, &err);
	node = node_new(home, NULL, &err);
	check.node = node;
	if (node == NULL || !node_exists(node, &err) ||
	    !node_is_ours(node, &err))
		complain(code, &err);
	else {
		for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
			parts[i](&check);
		printf("checked %s: %u errors, %u warnings\n", node->home->root,
		    check.errors, check.warnings);
		code = check.errors == 0 ? EXIT_FINE : EXIT_TROUBLE;
	}
	node_free(&node);
	return code;
}
