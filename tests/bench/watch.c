/* SPDX-License-Identifier: ISC */
/*
 * watch - tells when the last message has come into new/
 *
 *   watch SECONDS  < FOLDERS, one a line, then an empty line
 *
 * Says "ready" when every folder is watched.  A number on standard input is how
 * many files are awaited in all; when that many have come it prints the count
 * and the moment the last came (nanoseconds of CLOCK_MONOTONIC), and ends.
 * SECONDS after that number it prints what has come and "late".  It looks at
 * the kernel's events (inotify) every few milliseconds, so it costs the
 * measured servers next to nothing.  Exit: 0, 111 when something failed.
 */
#include <sys/inotify.h>

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LOOK_EVERY_MS = 2 };

static int64_t
now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Reads folders' names until an empty line. */
static void
watch_folders(int notify)
{
	char line[4096];

	while (fgets(line, sizeof(line), stdin) != NULL && line[0] != '\n') {
		line[strcspn(line, "\n")] = '\0';
		if (inotify_add_watch(notify, line,
			IN_MOVED_TO | IN_CREATE | IN_ONLYDIR) == -1)
			err(111, "cannot watch '%s'", line);
	}
}

/* Counts the events that wait. */
static uint64_t
count_events(int notify)
{
	static char buffer[1 << 18]
	    __attribute__((aligned(__alignof__(struct inotify_event))));
	uint64_t count = 0;
	ssize_t got, at;

	while ((got = read(notify, buffer, sizeof(buffer))) > 0)
		for (at = 0; at < got;) {
			const struct inotify_event *event =
			    (const void *)(buffer + at);

			if ((event->mask & IN_Q_OVERFLOW) != 0)
				errx(111,
				    "the kernel dropped events: raise "
				    "fs.inotify.max_queued_events");
			count++;
			at += (ssize_t)sizeof(*event) + event->len;
		}
	if (got == -1 && errno != EAGAIN)
		err(111, "cannot read events");
	return count;
}

/* Takes the awaited number if it is there; false at the end of the input. */
static bool
read_awaited(uint64_t *awaited_out)
{
	struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };
	char line[64];

	if (*awaited_out != 0 || poll(&input, 1, 0) <= 0)
		return true;
	if (fgets(line, sizeof(line), stdin) == NULL)
		return false;
	*awaited_out = strtoull(line, NULL, 10);
	return true;
}

int
main(int argc, char **argv)
{
	const struct timespec nap = { .tv_nsec = LOOK_EVERY_MS * 1000000 };
	uint64_t come = 0, awaited = 0;
	int64_t last_ns = 0, limit_ns, deadline_ns = INT64_MAX;
	int notify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);

	if (argc != 2)
		errx(100, "usage: watch SECONDS");
	if (notify == -1)
		err(111, "cannot use inotify");
	limit_ns = strtoll(argv[1], NULL, 10) * 1000000000;
	/* Unbuffered, so that poll() sees what stdio has not taken. */
	setvbuf(stdin, NULL, _IONBF, 0);
	watch_folders(notify);
	printf("ready\n");
	fflush(stdout);
	for (;;) {
		uint64_t new = count_events(notify);

		if (new > 0)
			last_ns = now_ns();
		come += new;
		if (!read_awaited(&awaited))
			return 0;
		if (awaited != 0 && deadline_ns == INT64_MAX)
			deadline_ns = now_ns() + limit_ns;
		if (awaited != 0 && come >= awaited)
			break;
		if (now_ns() > deadline_ns) {
			printf("%ju %jd late\n", (uintmax_t)come,
			    (intmax_t)last_ns);
			return 0;
		}
		nanosleep(&nap, NULL);
	}
	printf("%ju %jd\n", (uintmax_t)come, (intmax_t)last_ns);
	return 0;
}
