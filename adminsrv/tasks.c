/* SPDX-License-Identifier: ISC */
/* Work on files in a cluster. */
#include "adminsrv/tasks.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "adminsrv/database.h"
#include "adminsrv/domain_cluster.h"
#include "adminsrv/move.h"
#include "adminsrv/owner.h"
#include "adminsrv/user_dir.h"
#include "adminsrv/users_backend.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/test_time.h"
#include "control/identity.h"

/* How long a command waits for others, and how often it looks at least. */
enum { WAIT_MS = 30000, LOOK_MS = 1000, ID_SIZE = 24 };

/* Kept, for who wants to know what became of them. */
#define KEEP_DONE "interval '7 days'"

/* In a home that is being made: the task, so that it knows its own again. */
static const char mark_name[] = ".made-by";

void
task_ids_release(struct task_ids *ids)
{
	for (size_t i = 0; i < ids->count; i++)
		free(ids->items[i]);
	free(ids->items);
	*ids = (struct task_ids){ NULL, 0 };
}

void
task_ids_add(struct task_ids *ids, const char *id)
{
	ids->items = mem_room(ids->items, ids->count, sizeof(*ids->items));
	ids->items[ids->count++] = xstrdup(id);
}

enum pg_status
task_add_dirs(struct pg *pg, const char *kind, const char *store_id,
    const char *dirs, struct task_ids *ids, struct error *err)
{
	AUTO(pg_result_free) struct pg_result *row = NULL;
	enum pg_status status = database_run(pg, &row, err,
	    "INSERT INTO mq.tasks (kind, store_id, args) VALUES ($1, "
	    "$2::bigint, jsonb_build_object('dirs', $3::text[])) RETURNING id",
	    kind, store_id, dirs, NULL);

	if (status == PG_OK)
		task_ids_add(ids, pg_text(row, 0, 0));
	return status;
}

enum pg_status
task_add_move(struct pg *pg, const char *from_store_id, const char *user_id,
    const char *to_store, struct task_ids *ids, struct error *err)
{
	AUTO(pg_result_free) struct pg_result *row = NULL;
	enum pg_status status = database_run(pg, &row, err,
	    "INSERT INTO mq.tasks (kind, store_id, args) VALUES ('move', "
	    "$1::bigint, jsonb_build_object('user', $2::text, 'to', $3::text)) "
	    "RETURNING id",
	    from_store_id, user_id, to_store, NULL);

	if (status == PG_OK)
		task_ids_add(ids, pg_text(row, 0, 0));
	return status;
}

/* -- those who wait */

/* The first that failed, or else is not done, with whether its node lives. */
static const char look_sql[] =
    "SELECT t.id, t.state, t.result, coalesce(s.node, t.node, ''), "
    "coalesce(n.is_alive, false), coalesce(s.name, ''), t.attempts "
    "FROM mq.tasks t "
    "LEFT JOIN mq.stores s ON s.id = t.store_id "
    "LEFT JOIN mq.live_nodes n ON n.name = coalesce(s.node, t.node) "
    "WHERE t.id = ANY($1::bigint[]) AND t.state <> 'done' "
    "ORDER BY t.state <> 'failed', coalesce(n.is_alive, false), t.id LIMIT 1";

/* 1: all are done; 0: not yet; else what *result says. */
static int
look_at_tasks(
    struct pg *pg, const char *ids, enum admin_result *result, struct error *err)
{
	AUTO(pg_result_free) struct pg_result *row = NULL;
	enum pg_status status = database_run(
	    pg, &row, err, look_sql, ids, NULL);
	const char *reason;

	*result = database_result(status);
	if (status != PG_OK)
		return -1;
	if (pg_rows(row) == 0)
		return 1;
	reason = pg_text(row, 0, 2);
	if (strcmp(pg_text(row, 0, 1), "failed") == 0) {
		error_set(err, "task %s of store '%s' failed: %s",
		    pg_text(row, 0, 0), pg_text(row, 0, 5), reason);
		*result = ADMIN_REFUSED;
		return -1;
	}
	error_set(err, "task %s waits for node '%s', which %s%s%s",
	    pg_text(row, 0, 0), pg_text(row, 0, 3),
	    pg_bool(row, 0, 4) ? "has not done it yet"
			       : "is away: it is done when the node is back",
	    *reason == '\0' ? "" : ": ", reason);
	*result = ADMIN_FAILED;
	return pg_bool(row, 0, 4) ? 0 : -1;
}

enum admin_result
tasks_wait(struct pg *pg, const struct task_ids *ids, struct error *err)
{
	AUTO(buf_release) struct buf array = BUF_INIT;
	int64_t until_ms = clock_ms() + test_time_ms("TASK_WAIT_MS", WAIT_MS);
	enum admin_result result = ADMIN_OK;
	struct error ignored;
	int found;

	if (ids->count == 0)
		return ADMIN_OK;
	pg_array(&array, (const char *const *)ids->items, ids->count);
	if (pg_script(pg, "LISTEN mq_tasks", DATABASE_MS, err) != PG_OK)
		return ADMIN_FAILED;
	while ((found = look_at_tasks(pg, array.data, &result, err)) == 0 &&
	    clock_ms() < until_ms)
		pg_wait_notify(pg, -1, LOOK_MS, &ignored);
	return found == 1 ? ADMIN_OK : result;
}

/* -- those who do them */

struct task {
	char id[ID_SIZE];
	char *kind, *epoch, *store_path, *user, *to;
	struct strlist dirs;
};

struct runner {
	const struct home *home;
	struct pg *pg;
	const char *own_node;
	struct identity owner; /* of virtual users' files */
};

static void
task_release(struct task *task)
{
	free(task->kind);
	free(task->epoch);
	free(task->store_path);
	free(task->user);
	free(task->to);
	strlist_release(&task->dirs);
}

/*
 * $1 this node, $2 the kinds.  One that runs already is another's of this
 * node, which was killed (there is one at a time), or of a node that served the
 * store before.  What is about one folder is done in turn.
 */
static const char claim_sql[] =
    "UPDATE mq.tasks t SET state = 'running', attempts = t.attempts + 1, "
    "claimed_by = $1, claimed_epoch = c.epoch FROM ("
    "SELECT t.id, coalesce(s.epoch, n.epoch) AS epoch, s.path "
    "FROM mq.tasks t LEFT JOIN mq.stores s ON s.id = t.store_id "
    "LEFT JOIN mq.nodes n ON n.name = t.node "
    "WHERE t.kind = ANY($2::text[]) AND ("
    "(t.state = 'waiting' AND t.not_before <= now()) OR "
    "(t.state = 'running' AND (t.claimed_by = $1 OR "
    "t.claimed_epoch < coalesce(s.epoch, n.epoch)))) "
    "AND (coalesce(s.node, t.node) = $1 AND (s.id IS NULL OR s.is_many_served "
    "OR s.lease_until IS NULL OR s.lease_until > now()) "
    "OR (s.is_many_served AND s.node IS NULL)) "
    "AND NOT EXISTS (SELECT FROM mq.tasks e WHERE e.store_id = t.store_id "
    "AND e.id < t.id AND e.state IN ('waiting', 'running') AND "
    "e.args->'dirs' ?| ARRAY(SELECT jsonb_array_elements_text("
    "t.args->'dirs'))) "
    "ORDER BY t.id LIMIT 1 FOR UPDATE OF t SKIP LOCKED) AS c "
    "WHERE t.id = c.id RETURNING t.id, t.kind, t.claimed_epoch, "
    "coalesce(c.path, ''), coalesce(t.args->>'user', ''), "
    "coalesce(t.args->>'to', '')";

static enum pg_status
read_dirs(struct runner *runner, struct task *task, struct error *err)
{
	AUTO(pg_result_free) struct pg_result *rows = NULL;
	enum pg_status status = database_run(runner->pg, &rows, err,
	    "SELECT jsonb_array_elements_text(args->'dirs') FROM mq.tasks "
	    "WHERE id = $1::bigint",
	    task->id, NULL);

	for (size_t i = 0; status == PG_OK && i < pg_rows(rows); i++)
		strlist_add(&task->dirs, pg_text(rows, i, 0));
	return status;
}

/* 1; 0: nothing is due; -1. */
static int
claim_task(struct runner *runner, const char *kinds, struct task *task,
    struct error *err)
{
	AUTO(pg_result_free) struct pg_result *row = NULL;

	*task = (struct task){ .kind = NULL };
	if (database_run(runner->pg, &row, err, claim_sql, runner->own_node,
		kinds, NULL) != PG_OK)
		return -1;
	if (pg_rows(row) == 0)
		return 0;
	snprintf(task->id, sizeof(task->id), "%s", pg_text(row, 0, 0));
	task->kind = xstrdup(pg_text(row, 0, 1));
	task->epoch = xstrdup(pg_text(row, 0, 2));
	task->store_path = xstrdup(*pg_text(row, 0, 3) != '\0'
		? pg_text(row, 0, 3)
		: runner->home->domains);
	task->user = xstrdup(pg_text(row, 0, 4));
	task->to = xstrdup(pg_text(row, 0, 5));
	return read_dirs(runner, task, err) == PG_OK ? 1 : -1;
}

/*
 * Nothing is written for who acts with an older epoch than the store's: another
 * has it, and does the task.
 */
static const char end_sql[] =
    "UPDATE mq.tasks t SET state = $4, result = $5, "
    "not_before = now() + least(power(2, attempts), 300) * interval '1 s', "
    "ended = CASE WHEN $4 IN ('done', 'failed') THEN now() END "
    "WHERE id = $1::bigint AND state = 'running' AND claimed_by = $2 "
    "AND claimed_epoch = $3::bigint AND NOT EXISTS (SELECT FROM mq.stores s "
    "WHERE s.id = t.store_id AND s.epoch > t.claimed_epoch)";

static int
end_task(struct runner *runner, const struct task *task,
    enum admin_result result, const char *reason, struct tasks_count *count,
    struct error *err)
{
	const char *state = result == ADMIN_OK ? "done"
	    : result == ADMIN_REFUSED	       ? "failed"
					       : "waiting";

	if (database_run(runner->pg, NULL, err, end_sql, task->id,
		runner->own_node, task->epoch, state, reason, NULL) != PG_OK)
		return -1;
	if (result == ADMIN_OK)
		count->done++;
	else if (result == ADMIN_REFUSED)
		count->failed++;
	else
		count->retried++;
	return 0;
}

/* The store's folder, its owner's. */
static enum admin_result
act_as_owner(struct runner *runner, const struct task *task, struct error *err)
{
	struct stat st;

	if (stat(task->store_path, &st) == -1)
		return admin_fail(err, "cannot find the store's folder '%s'",
		    task->store_path);
	return owner_enter(runner->owner.uid, runner->owner.gid, err);
}

static enum admin_result
make_home(const struct task *task, const char *dir, struct error *err)
{
	OWN_TEXT mark = xasprintf("%s/%s", dir, mark_name);
	AUTO(buf_release) struct buf text = BUF_INIT;
	int found = file_read(mark, ID_SIZE, &text, err);
	enum admin_result result = ADMIN_OK;

	if (found == -1)
		return ADMIN_FAILED;
	/* Ours already, and there may be mail in it. */
	if (found == 0 || strcmp(text.data, task->id) != 0)
		result = user_dir_check_unused(dir, err);
	if (result == ADMIN_OK &&
	    (file_make_dirs(dir, 0700, err) == -1 ||
		file_replace(mark, task->id, strlen(task->id), 0600, err) ==
		    -1))
		result = ADMIN_FAILED;
	if (result == ADMIN_OK)
		result = user_dir_fill(dir, err);
	if (result == ADMIN_OK &&
	    user_dir_sync(task->store_path, dir, err) == -1)
		result = ADMIN_FAILED;
	return result;
}

/* Renamed at once, so that nobody finds a part of it. */
static enum admin_result
remove_dir(const struct task *task, const char *dir, struct error *err)
{
	const char *slash = strrchr(dir, '/');
	OWN_TEXT aside = xasprintf("%.*s/.removed.%s.%s", (int)(slash - dir),
	    dir, task->id, slash + 1);

	if (rename(dir, aside) == -1 && errno != ENOENT)
		return admin_fail(err, "cannot rename '%s'", dir);
	if (access(aside, F_OK) == 0 &&
	    (file_sync_parent(aside, err) == -1 ||
		file_remove_tree(aside, err) == -1))
		return ADMIN_FAILED;
	return ADMIN_OK;
}

static enum admin_result
count_again(const struct task *task, const char *dir, struct error *err)
{
	(void)task;
	return admin_result_of(user_dir_forget_size(dir, err));
}

static enum admin_result
do_dirs(struct runner *runner, const struct task *task,
    enum admin_result (*act)(
	const struct task *task, const char *dir, struct error *err),
    struct error *err)
{
	enum admin_result result = act_as_owner(runner, task, err);

	if (result != ADMIN_OK)
		return result;
	for (size_t i = 0; result == ADMIN_OK && i < task->dirs.count; i++) {
		const char *dir = task->dirs.items[i];

		/* Whoever wrote the row: nothing but the store's. */
		if (strstr(dir, "/../") != NULL ||
		    strcmp(dir, task->store_path) == 0 ||
		    !users_is_within(dir, task->store_path))
			result = admin_refuse(err,
			    "'%s' is not in the store's folder '%s'", dir,
			    task->store_path);
		else
			result = act(task, dir, err);
	}
	owner_leave();
	return result;
}

/* A new home's mark has done its work; if it stays it does no harm. */
static void
remove_marks(struct runner *runner, const struct task *task)
{
	struct error ignored;

	if (act_as_owner(runner, task, &ignored) != ADMIN_OK)
		return;
	for (size_t i = 0; i < task->dirs.count; i++) {
		OWN_TEXT mark = xasprintf(
		    "%s/%s", task->dirs.items[i], mark_name);

		unlink(mark);
	}
	owner_leave();
}

static enum admin_result
do_task(struct runner *runner, const struct task *task, struct error *err)
{
	if (strcmp(task->kind, "make") == 0)
		return do_dirs(runner, task, make_home, err);
	if (strcmp(task->kind, "remove") == 0)
		return do_dirs(runner, task, remove_dir, err);
	if (strcmp(task->kind, "count") == 0)
		return do_dirs(runner, task, count_again, err);
	if (strcmp(task->kind, "drop") == 0)
		return domain_cluster_drop_folder(
		    runner->home, task->user, err);
	return move_user(runner->home, runner->pg, runner->own_node, task->user,
	    task->to, NULL, err);
}

static int
run_kinds(struct runner *runner, const char *kinds, struct tasks_count *count,
    struct error *err)
{
	struct task task;
	int found;

	while ((found = claim_task(runner, kinds, &task, err)) == 1) {
		struct error reason = { .text = "" };
		enum admin_result result = do_task(runner, &task, &reason);

		found = end_task(runner, &task, result,
		    result == ADMIN_OK ? "" : reason.text, count, err);
		if (found == 0 && result == ADMIN_OK &&
		    strcmp(task.kind, "make") == 0)
			remove_marks(runner, &task);
		task_release(&task);
		if (found == -1)
			return -1;
	}
	task_release(&task);
	return found;
}

/*
 * One at a time of each lane, so that one long move does not keep homes
 * waiting.  1, and the descriptor that holds it; 0: another does it; -1.
 */
static int
take_lane(struct runner *runner, const char *lane, int *fd_out,
    struct error *err)
{
	OWN_TEXT path = xasprintf(
	    "%s/.tasks.%s.lock", runner->home->domains, lane);

	if (owner_enter(runner->owner.uid, runner->owner.gid, err) != ADMIN_OK)
		return -1;
	*fd_out = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	owner_leave();
	if (*fd_out == -1)
		return error_sys(err, "cannot open the lock '%s'", path);
	if (flock(*fd_out, LOCK_EX | LOCK_NB) == 0)
		return 1;
	return errno == EWOULDBLOCK
	    ? 0
	    : error_sys(err, "cannot lock '%s'", path);
}

static enum admin_result
run_lane(struct runner *runner, const char *lane, const char *kinds,
    struct tasks_count *count, struct error *err)
{
	AUTO(file_close) int fd = -1;
	int found = take_lane(runner, lane, &fd, err);

	return found == 1 ? admin_result_of(run_kinds(runner, kinds, count, err))
			  : admin_result_of(found);
}

static enum admin_result
find_owner(struct runner *runner, struct error *err)
{
	int found = identity_find(IDENTITY_VIRTUAL, &runner->owner, err);

	return found == 0 ? ADMIN_REFUSED : admin_result_of(found);
}

enum admin_result
tasks_run(const struct home *home, struct pg *pg, const char *own_node,
    unsigned lanes, struct tasks_count *count, struct error *err)
{
	struct runner runner = { .home = home, .pg = pg, .own_node = own_node };
	enum admin_result result = find_owner(&runner, err);

	*count = (struct tasks_count){ 0 };
	if (result == ADMIN_OK)
		result = domain_cluster_make_folders(home, pg, err);
	if (result == ADMIN_OK && (lanes & TASKS_QUICK) != 0)
		result = run_lane(&runner, "quick", "{make,remove,count,drop}",
		    count, err);
	if (result == ADMIN_OK && (lanes & TASKS_MOVES) != 0)
		result = run_lane(&runner, "move", "{move}", count, err);
	if (result == ADMIN_OK)
		result = database_result(database_run(pg, NULL, err,
		    "DELETE FROM mq.tasks WHERE state IN ('done', 'failed') "
		    "AND ended < now() - " KEEP_DONE, NULL));
	return result;
}
