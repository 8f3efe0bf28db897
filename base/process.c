/* SPDX-License-Identifier: ISC */
/* How a process of ours lives. */
#include "base/process.h"

#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/program.h"

/* True when all three ids are the wanted ones and root is out of reach. */
static bool
is_user_for_good(uid_t uid, gid_t gid)
{
	uid_t real, effective, saved;
	gid_t real_gid, effective_gid, saved_gid;

	return getresuid(&real, &effective, &saved) == 0 &&
	    getresgid(&real_gid, &effective_gid, &saved_gid) == 0 &&
	    real == uid && effective == uid && saved == uid &&
	    real_gid == gid && effective_gid == gid && saved_gid == gid &&
	    (uid == 0 || (setuid(0) == -1 && seteuid(0) == -1));
}

/* One group more than the process has. */
static int
join_group(gid_t group)
{
	int count = getgroups(0, NULL);
	gid_t *groups = xcalloc(
	    (size_t)(count < 0 ? 0 : count) + 1, sizeof(*groups));
	int result = count == -1 ? -1 : getgroups(count, groups);

	if (result != -1) {
		groups[result] = group;
		result = setgroups((size_t)result + 1, groups);
	}
	free(groups);
	return result;
}

int
user_become(const char *name, uid_t uid, gid_t gid, struct error *err)
{
	return user_become_in(name, uid, gid, gid, err);
}

int
user_become_in(
    const char *name, uid_t uid, gid_t gid, gid_t more_gid, struct error *err)
{
	if (geteuid() != 0 && (geteuid() != uid || getuid() != uid))
		return error_set(err,
		    "cannot become the user '%s': only root can (start this as "
		    "root, or as that user)",
		    name);
	if (geteuid() == 0) {
		if (initgroups(name, gid) == -1 ||
		    (more_gid != gid && join_group(more_gid) == -1) ||
		    setresgid(gid, gid, gid) == -1 ||
		    setresuid(uid, uid, uid) == -1)
			return error_sys(
			    err, "cannot become the user '%s'", name);
		if (!is_user_for_good(uid, gid))
			return error_set(err,
			    "cannot become the user '%s' for good: root's "
			    "rights came back (look at the capabilities that "
			    "this service is given)",
			    name);
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
		return error_sys(err, "cannot set no_new_privs");
	return 0;
}

uint64_t
files_raise(uint64_t most)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == -1)
		return 0;
	if (limit.rlim_cur < most) {
		limit.rlim_cur = limit.rlim_max < most ? limit.rlim_max : most;
		if (setrlimit(RLIMIT_NOFILE, &limit) == -1)
			return 0;
	}
	return limit.rlim_cur;
}

pid_t
parent_supervise(void)
{
	pid_t parent = getppid();

	return program_is(parent, "supervise") ? parent : 0;
}

void
parent_end_with(pid_t parent)
{
	if (parent == 0)
		return;
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	/* It may have died before we asked to be told. */
	if (getppid() != parent)
		kill(getpid(), SIGTERM);
}

void
batch_policy_set(void)
{
	static const struct sched_param priority = { .sched_priority = 0 };

	/* Another policy than the ordinary one was chosen for us: keep it. */
	if (sched_getscheduler(0) == SCHED_OTHER)
		sched_setscheduler(0, SCHED_BATCH, &priority);
}
