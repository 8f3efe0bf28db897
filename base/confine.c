/* SPDX-License-Identifier: ISC */
/* A process gives up what it does not need. */
#include "base/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <seccomp.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* As of Linux 6.7; Debian 12's header is of 6.1. */
enum {
	NET_BIND_TCP = 1,
	NET_CONNECT_TCP = 2,
	RULE_NET_PORT = 2,
	ABI_NET = 4,
	ABI_TRUNCATE = 3,
	ABI_REFER = 2
};

struct ruleset_attributes {
	uint64_t files, net;
};

struct net_port {
	uint64_t access, port;
};

#ifndef LANDLOCK_ACCESS_FS_REFER
#define LANDLOCK_ACCESS_FS_REFER (1u << 13)
#endif
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1u << 14)
#endif

static uint64_t
file_rights(long abi)
{
	uint64_t all = LANDLOCK_ACCESS_FS_REFER - 1; /* all of the first ABI */

	if (abi >= ABI_REFER)
		all |= LANDLOCK_ACCESS_FS_REFER;
	if (abi >= ABI_TRUNCATE)
		all |= LANDLOCK_ACCESS_FS_TRUNCATE;
	return all;
}

static int
allow_port(int ruleset, unsigned short port, struct error *err)
{
	const struct net_port rule = { NET_CONNECT_TCP, port };

	if (syscall(SYS_landlock_add_rule, ruleset, RULE_NET_PORT, &rule, 0) ==
	    -1)
		return error_sys(err, "cannot allow port %u", port);
	return 0;
}

static int
allow_below(
    int ruleset, const char *path, uint64_t rights, struct error *err)
{
	struct landlock_path_beneath_attr rule = { .allowed_access = rights,
		.parent_fd = open(path, O_PATH | O_CLOEXEC) };
	int result = 0;

	if (rule.parent_fd == -1)
		return error_sys(err, "cannot open '%s'", path);
	if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH,
		&rule, 0) == -1)
		result = error_sys(err, "cannot allow '%s'", path);
	close(rule.parent_fd);
	return result;
}

/* To read everywhere, and all but programs below the folder. */
static int
allow_files(int ruleset, const char *folder, long abi, struct error *err)
{
	uint64_t programs = LANDLOCK_ACCESS_FS_EXECUTE;

	if (allow_below(ruleset, "/",
		LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR,
		err) == -1)
		return -1;
	return allow_below(ruleset, folder, file_rights(abi) & ~programs, err);
}

/* The ruleset's descriptor, or -1. */
static int
make_ruleset(long abi, const struct confine_rules *rules, struct error *err)
{
	struct ruleset_attributes attributes = { .files = file_rights(abi) };
	size_t size = abi >= ABI_NET ? sizeof(attributes) : sizeof(uint64_t), i;
	int ruleset, result = 0;

	if (abi >= ABI_NET && rules->tcp_ports != NULL)
		attributes.net = NET_BIND_TCP | NET_CONNECT_TCP;
	ruleset = (int)syscall(
	    SYS_landlock_create_ruleset, &attributes, size, 0);
	if (ruleset == -1)
		return error_sys(err, "cannot make a Landlock ruleset");
	if (rules->folder != NULL)
		result = allow_files(ruleset, rules->folder, abi, err);
	for (i = 0;
	     result == 0 && abi >= ABI_NET && i < rules->tcp_port_count; i++)
		result = allow_port(ruleset, rules->tcp_ports[i], err);
	if (result == -1) {
		close(ruleset);
		return -1;
	}
	return ruleset;
}

int
confine_files(const struct confine_rules *rules, struct error *err)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0,
	    LANDLOCK_CREATE_RULESET_VERSION);
	int ruleset, result = 0;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
		return error_sys(err, "cannot give up new privileges");
	if (abi < 1)
		return 0; /* not in this kernel */
	ruleset = make_ruleset(abi, rules, err);
	if (ruleset == -1)
		return -1;
	if (syscall(SYS_landlock_restrict_self, ruleset, 0) == -1)
		result = error_sys(err, "cannot restrict files");
	close(ruleset);
	return result;
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)

int
confine_calls(bool has_files, struct error *err)
{
	(void)has_files;
	(void)err;
	return 0;
}

#else

static const int calls[] = {
	/* descriptors */
	SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(readv), SCMP_SYS(writev),
	SCMP_SYS(preadv2), SCMP_SYS(pwritev2), SCMP_SYS(close), SCMP_SYS(fcntl),
	SCMP_SYS(ioctl), SCMP_SYS(fstat), SCMP_SYS(newfstatat), SCMP_SYS(lseek),
	SCMP_SYS(pipe2), SCMP_SYS(eventfd2), SCMP_SYS(poll), SCMP_SYS(ppoll),
	SCMP_SYS(select), SCMP_SYS(pselect6), SCMP_SYS(epoll_create1),
	SCMP_SYS(epoll_ctl), SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait),
	/* the network */
	SCMP_SYS(socket), SCMP_SYS(bind), SCMP_SYS(connect), SCMP_SYS(accept4),
	SCMP_SYS(sendto), SCMP_SYS(sendmsg), SCMP_SYS(sendmmsg),
	SCMP_SYS(recvfrom), SCMP_SYS(recvmsg), SCMP_SYS(recvmmsg),
	SCMP_SYS(shutdown), SCMP_SYS(getsockname), SCMP_SYS(getpeername),
	SCMP_SYS(getsockopt), SCMP_SYS(setsockopt),
	/* memory, threads */
	SCMP_SYS(brk), SCMP_SYS(mmap), SCMP_SYS(munmap), SCMP_SYS(mremap),
	SCMP_SYS(mprotect), SCMP_SYS(madvise), SCMP_SYS(futex), SCMP_SYS(clone),
	SCMP_SYS(clone3), SCMP_SYS(set_robust_list), SCMP_SYS(rseq),
	SCMP_SYS(sched_yield), SCMP_SYS(exit), SCMP_SYS(exit_group),
	/* libzmq's threads, when they begin */
	SCMP_SYS(sched_getparam), SCMP_SYS(sched_getscheduler),
	SCMP_SYS(sched_setscheduler),
	/* signals, time, ourselves */
	SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn), SCMP_SYS(sigaltstack),
	SCMP_SYS(restart_syscall), SCMP_SYS(tgkill), SCMP_SYS(clock_gettime),
	SCMP_SYS(clock_nanosleep), SCMP_SYS(nanosleep), SCMP_SYS(gettimeofday),
	SCMP_SYS(time), SCMP_SYS(getpid), SCMP_SYS(gettid), SCMP_SYS(getuid),
	SCMP_SYS(geteuid), SCMP_SYS(getgid), SCMP_SYS(getegid),
	SCMP_SYS(getrandom), SCMP_SYS(uname), SCMP_SYS(sysinfo),
	SCMP_SYS(prlimit64)
};

/*
 * For who opens files, also by libraries (names, TLS, ZeroMQ); and a socket that
 * is to be made anew, which takes the more right.
 */
static const int file_calls[] = {
	SCMP_SYS(listen),
	SCMP_SYS(open), SCMP_SYS(openat), SCMP_SYS(stat), SCMP_SYS(lstat),
	SCMP_SYS(statx), SCMP_SYS(access), SCMP_SYS(faccessat),
	SCMP_SYS(faccessat2), SCMP_SYS(readlink), SCMP_SYS(readlinkat),
	SCMP_SYS(statfs), SCMP_SYS(getdents64), SCMP_SYS(getcwd),
	SCMP_SYS(pread64), SCMP_SYS(pwrite64), SCMP_SYS(ftruncate), SCMP_SYS(fallocate),
	SCMP_SYS(fsync), SCMP_SYS(fdatasync), SCMP_SYS(fadvise64),
	SCMP_SYS(fchmod), SCMP_SYS(flock), SCMP_SYS(rename),
	SCMP_SYS(renameat), SCMP_SYS(renameat2), SCMP_SYS(unlink),
	SCMP_SYS(unlinkat),
	/* libzmq's threads set what they have, and abort when they may not. */
	SCMP_SYS(sched_getparam), SCMP_SYS(sched_getscheduler),
	SCMP_SYS(sched_setscheduler)
};

static int
allow_calls(scmp_filter_ctx filter, const int *list, size_t count)
{
	int result = 0;

	for (size_t i = 0; result == 0 && i < count; i++)
		result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, list[i], 0);
	return result;
}

static int
load_filter(scmp_filter_ctx filter, bool has_files)
{
	int result = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);

	if (result == 0)
		result = allow_calls(
		    filter, calls, sizeof(calls) / sizeof(calls[0]));
	if (result == 0 && has_files)
		result = allow_calls(filter, file_calls,
		    sizeof(file_calls) / sizeof(file_calls[0]));
	return result == 0 ? seccomp_load(filter) : result;
}

int
confine_calls(bool has_files, struct error *err)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int result = filter == NULL ? -ENOMEM : load_filter(filter, has_files);

	if (filter != NULL)
		seccomp_release(filter);
	if (result == 0 || result == -ENOSYS)
		return 0;
	errno = -result;
	return error_sys(err, "cannot restrict system calls");
}

#endif
