/* SPDX-License-Identifier: ISC */
/* Signals that come to an event loop, and threads that none comes to. */
#include "base/signals.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/signalfd.h>
#include <unistd.h>

int
signals_open(int first, ...)
{
	sigset_t set;
	va_list more;

	sigemptyset(&set);
	va_start(more, first);
	for (int number = first; number != 0; number = va_arg(more, int))
		sigaddset(&set, number);
	va_end(more);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

int
signals_next(int fd)
{
	struct signalfd_siginfo info;

	return read(fd, &info, sizeof(info)) == sizeof(info)
	    ? (int)info.ssi_signo
	    : 0;
}

int
thread_start(pthread_t *thread_out, void *(*run)(void *context), void *context)
{
	pthread_attr_t attributes;
	sigset_t all;

	pthread_attr_init(&attributes);
	sigfillset(&all);
	pthread_attr_setsigmask_np(&attributes, &all);
	errno = pthread_create(thread_out, &attributes, run, context);
	pthread_attr_destroy(&attributes);
	return errno == 0 ? 0 : -1;
}
