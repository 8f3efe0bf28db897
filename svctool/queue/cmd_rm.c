/* SPDX-License-Identifier: ISC */
/* qmail-rm(8): svctool queue delete, by the name that IndiMail has for it. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/usage.h"
#include "svctool/queue/messages.h"
#include "svctool/svctool.h"

static const char rm_usage[] =
    "usage: qmail-rm [-an] [-b TEXT] [-q QUEUE] [-s SENDER] [-r RECIPIENT]\n"
    "                [ID ...]";

int
cmd_rm(int argc, char **argv)
{
	struct message_options options = { .timeout_s = 60 };
	int option, code;

	usage_answer(argv, "qmail-rm", rm_usage);
	while ((option = getopt(argc, argv, "anb:q:s:r:")) != -1)
		switch (option) {
		case 'a':
			options.filter.is_all = true;
			break;
		case 'n':
			options.is_dry_run = true;
			break;
		case 'b':
			options.text = optarg;
			break;
		case 'q':
			strlist_addn(
			    &options.filter.queues, optarg, strlen(optarg));
			break;
		case 's':
			options.filter.sender = optarg;
			break;
		case 'r':
			options.filter.recipient = optarg;
			break;
		default:
			fprintf(stderr, "%s\n", rm_usage);
			return EXIT_USAGE;
		}
	code = queue_messages_run(NULL,
	    options.text == NULL ? "delete" : "bounce", argc - optind,
	    argv + optind, &options);
	filter_release(&options.filter);
	if (code == EXIT_USAGE)
		fprintf(stderr, "%s\n", rm_usage);
	return code;
}
