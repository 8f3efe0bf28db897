/* SPDX-License-Identifier: ISC */
/* A user's way from one store to another. */
#include "adminsrv/move.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "adminsrv/copy_tree.h"
#include "adminsrv/database.h"
#include "adminsrv/owner.h"
#include "adminsrv/placement.h"
#include "adminsrv/users_backend.h"
#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/scan.h"
#include "control/identity.h"

/* Copies while mail goes on end when one had so little to do. */
enum { PASSES_MAX = 5, FEW_FILES = 50 };

/* Where the messages of new/ are kept in the old home, once that is removed. */
static const char sealed_name[] = "new.moved";

enum move_state { MOVE_COPYING, MOVE_HELD, MOVE_FLIPPED };
static const char *const move_states[] = { "copying", "held", "flipped" };

struct move {
	const struct home *home;
	struct pg *pg;
	const char *user_id;
	char *name, *domain, *dir; /* dir: as the user's row has it */
	struct place from, to;
	enum move_state state;
	char *old;  /* the home, once nobody finds it */
	char *part; /* the new one, until it is whole */
	char *new;
	uint64_t files, bytes;
	struct progress *progress;
	int lock_fd;
};

static void
release_move(struct move *move)
{
	place_release(&move->from);
	place_release(&move->to);
	free(move->name);
	free(move->domain);
	free(move->dir);
	free(move->old);
	free(move->part);
	free(move->new);
	if (move->lock_fd != -1)
		close(move->lock_fd);
}

static bool
is_folder_at(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* -- what is known of it */

static char *
old_name(const char *dir, const char *user_id)
{
	const char *slash = strrchr(dir, '/');

	return xasprintf("%.*s/.moved.%s.%s", (int)(slash - dir), dir, user_id,
	    slash + 1);
}

/* Below the new store as below the old one. */
static enum admin_result
name_folders(struct move *move, struct error *err)
{
	/* Once it is flipped the row has the new home. */
	bool is_flipped = move->state == MOVE_FLIPPED;
	const char *here = is_flipped ? move->to.path : move->from.path;
	const char *there = is_flipped ? move->from.path : move->to.path;
	OWN_TEXT other = NULL;
	const char *slash;

	if (strlen(move->dir) <= strlen(here) ||
	    !users_is_within(move->dir, here))
		return admin_refuse(err,
		    "the home '%s' of '%s@%s' is not in the store's folder "
		    "'%s'",
		    move->dir, move->name, move->domain, here);
	other = xasprintf("%s%s", there, move->dir + strlen(here));
	move->new = xstrdup(is_flipped ? move->dir : other);
	move->old = old_name(is_flipped ? other : move->dir, move->user_id);
	slash = strrchr(move->new, '/');
	move->part = xasprintf("%.*s/.moving.%s.%s", (int)(slash - move->new),
	    move->new, move->user_id, slash + 1);
	return ADMIN_OK;
}

static int
read_state(const char *text, enum move_state *state_out)
{
	for (size_t i = 0; i < sizeof(move_states) / sizeof(move_states[0]);
	     i++)
		if (strcmp(text, move_states[i]) == 0) {
			*state_out = (enum move_state)i;
			return 0;
		}
	return -1;
}

/*
 * $1: the user.  old_dir: where the home was when the move began; of one that
 * did not begin yet the home.
 */
static const char read_sql[] =
    "SELECT u.name, d.name, u.dir, s.name, coalesce(m.state, ''), "
    "coalesce(f.name, ''), coalesce(t.name, ''), m.error "
    "FROM mq.users u JOIN mq.domains d ON d.id = u.domain_id "
    "LEFT JOIN mq.stores s ON s.id = u.store_id "
    "LEFT JOIN mq.moves m ON m.user_id = u.id "
    "LEFT JOIN mq.stores f ON f.id = m.from_store "
    "LEFT JOIN mq.stores t ON t.id = m.to_store WHERE u.id = $1::bigint";

static enum admin_result
find_store(struct move *move, const char *own_node, const char *name,
    struct place *place, struct error *err)
{
	int found = place_of_store(move->pg, own_node, name, place, err);

	if (found == 0)
		return admin_refuse(err, "no store '%s'", name);
	if (found == 1 && *place->path == '\0') {
		free(place->path);
		place->path = xstrdup(move->home->domains);
	}
	return admin_result_of(found);
}

/*
 * What the rows say.  *is_done_out: the user is there and nothing is left to be
 * done.
 */
static enum admin_result
read_move(struct move *move, const char *own_node, const char *to_store,
    bool *is_begun_out, bool *is_done_out, struct error *err)
{
	AUTO(pg_result_free) struct pg_result *row = NULL;
	const char *state, *from;
	enum admin_result result;

	if (database_run(
		move->pg, &row, err, read_sql, move->user_id, NULL) != PG_OK)
		return ADMIN_FAILED;
	if (pg_rows(row) == 0)
		return admin_refuse(err, "the user has gone meanwhile");
	move->name = xstrdup(pg_text(row, 0, 0));
	move->domain = xstrdup(pg_text(row, 0, 1));
	move->dir = xstrdup(pg_text(row, 0, 2));
	if (pg_text(row, 0, 3) == NULL)
		return admin_refuse(err,
		    "'%s@%s' is in no store: the domain is one node's alone",
		    move->name, move->domain);
	state = pg_text(row, 0, 4);
	*is_begun_out = *state != '\0';
	if (*is_begun_out && strcmp(pg_text(row, 0, 6), to_store) != 0)
		return admin_refuse(err,
		    "'%s@%s' is on the way to store '%s' already", move->name,
		    move->domain, pg_text(row, 0, 6));
	if (*is_begun_out && read_state(state, &move->state) == -1)
		return admin_refuse(err,
		    "a newer mqmail has moved '%s@%s' to the state '%s'",
		    move->name, move->domain, state);
	*is_done_out = !*is_begun_out && strcmp(pg_text(row, 0, 3), to_store) ==
		0;
	from = *is_begun_out ? pg_text(row, 0, 5) : pg_text(row, 0, 3);
	result = find_store(move, own_node, from, &move->from, err);
	if (result == ADMIN_OK)
		result = find_store(move, own_node, to_store, &move->to, err);
	return result;
}

/* -- its way in the database */

/* $1 user, $2 from, $3 to; the old home is remembered with the row. */
static const char begin_sql[] =
    "INSERT INTO mq.moves (user_id, from_store, to_store, state, error) "
    "SELECT u.id, $2::bigint, $3::bigint, 'copying', '' FROM mq.users u "
    "WHERE u.id = $1::bigint AND u.store_id = $2::bigint "
    "ON CONFLICT DO NOTHING";

static enum admin_result
begin_move(struct move *move, struct error *err)
{
	AUTO(pg_result_free) struct pg_result *result = NULL;
	AUTO(buf_release) struct buf array = BUF_INIT;
	const char *new = move->new;
	enum admin_result unused;

	if (!move->to.is_alive)
		return admin_refuse(err,
		    "node '%s', which serves store '%s', is away",
		    move->to.node, move->to.name);
	if (move->to.room == 0)
		return admin_refuse(err, "store '%s' is full", move->to.name);
	if (is_folder_at(move->new))
		return admin_refuse(err,
		    "'%s' is there already: move it away, or remove it, first",
		    move->new);
	pg_array(&array, &new, 1);
	unused = place_check_unused(move->pg, array.data, err);
	if (unused != ADMIN_OK)
		return unused;
	if (database_run(move->pg, &result, err, begin_sql, move->user_id,
		move->from.id, move->to.id, NULL) != PG_OK)
		return ADMIN_FAILED;
	if (pg_changed(result) == 1)
		return ADMIN_OK;
	error_set(err, "another has begun to move '%s@%s' just now",
	    move->name, move->domain);
	return ADMIN_FAILED;
}

/* Only who serves the old store, still in the epoch that we have read. */
#define FENCE                                                          \
	"AND EXISTS (SELECT FROM mq.stores s WHERE s.id = m.from_store " \
	"AND s.epoch = $2::bigint) "

static enum admin_result
say_fenced(const struct move *move, struct error *err)
{
	error_set(err,
	    "store '%s' has another epoch, or the move another state, than "
	    "when this began",
	    move->from.name);
	return ADMIN_FAILED;
}

static enum admin_result
note_pass(struct move *move, struct error *err)
{
	OWN_TEXT files = xasprintf("%" PRIu64, move->files);
	OWN_TEXT bytes = xasprintf("%" PRIu64, move->bytes);

	return database_result(database_run(move->pg, NULL, err,
	    "UPDATE mq.moves SET pass = pass + 1, files = $2::bigint, "
	    "bytes = $3::bigint, changed = now() WHERE user_id = $1::bigint",
	    move->user_id, files, bytes, NULL));
}

static enum admin_result
hold_mail(struct move *move, struct error *err)
{
	AUTO(pg_result_free) struct pg_result *result = NULL;
	enum pg_status status = database_run(move->pg, &result, err,
	    "WITH m AS (UPDATE mq.moves m SET state = 'held', changed = now() "
	    "WHERE user_id = $1::bigint AND state = 'copying' " FENCE
	    "RETURNING user_id) "
	    "UPDATE mq.users u SET is_moving = true FROM m "
	    "WHERE u.id = m.user_id",
	    move->user_id, move->from.epoch, NULL);

	if (status != PG_OK)
		return database_result(status);
	move->state = MOVE_HELD;
	return pg_changed(result) == 1 ? ADMIN_OK : say_fenced(move, err);
}

static enum admin_result
flip_place(struct move *move, struct error *err)
{
	AUTO(pg_result_free) struct pg_result *result = NULL;
	enum pg_status status = database_run(move->pg, &result, err,
	    "WITH m AS (UPDATE mq.moves m SET state = 'flipped', "
	    "changed = now() WHERE user_id = $1::bigint AND state = 'held' "
	    FENCE "RETURNING user_id, to_store) "
	    "UPDATE mq.users u SET store_id = m.to_store, dir = $3, "
	    "place_epoch = place_epoch + 1, is_moving = false FROM m "
	    "WHERE u.id = m.user_id",
	    move->user_id, move->from.epoch, move->new, NULL);

	if (status != PG_OK)
		return database_result(status);
	move->state = MOVE_FLIPPED;
	return pg_changed(result) == 1 ? ADMIN_OK : say_fenced(move, err);
}

/* -- its way on disk */

/* Files and bytes of a tree. */
static int
count_tree(const char *path, uint64_t *files, uint64_t *bytes)
{
	DIR *folder = opendir(path);
	const struct dirent *entry;

	if (folder == NULL)
		return errno == ENOENT ? 0 : -1;
	while ((entry = readdir(folder)) != NULL) {
		OWN_TEXT inner = xasprintf("%s/%s", path, entry->d_name);
		struct stat st;

		if (strcmp(entry->d_name, ".") == 0 ||
		    strcmp(entry->d_name, "..") == 0 || lstat(inner, &st) == -1)
			continue;
		if (S_ISDIR(st.st_mode))
			count_tree(inner, files, bytes);
		else {
			++*files;
			*bytes += (uint64_t)st.st_size;
		}
	}
	closedir(folder);
	return 0;
}

static enum admin_result
copy_live(struct move *move, struct error *err)
{
	uint64_t before = 0, after = 0, ignored = 0;
	int pass = 0;

	if (!is_folder_at(move->dir)) {
		error_set(err, "'%s@%s' has no home '%s' yet", move->name,
		    move->domain, move->dir);
		return ADMIN_FAILED;
	}
	do {
		enum admin_result result;

		before = after = move->bytes = 0;
		count_tree(move->part, &before, &ignored);
		if (copy_tree(move->dir, move->part, move->progress, err) == -1)
			return ADMIN_FAILED;
		count_tree(move->part, &after, &move->bytes);
		move->files = after;
		result = note_pass(move, err);
		if (result != ADMIN_OK)
			return result;
	} while (++pass < PASSES_MAX && after > before + FEW_FILES);
	return ADMIN_OK;
}

/*
 * Empties new/ of a Maildir, or of a folder in it, and removes it: a delivery
 * that has it open then fails, and mail is not reported as delivered that
 * nobody copies.
 */
static int
seal_new(const char *maildir, struct error *err)
{
	OWN_TEXT new = xasprintf("%s/new", maildir);
	OWN_TEXT sealed = xasprintf("%s/%s", maildir, sealed_name);

	if (!is_folder_at(new))
		return 0;
	if (mkdir(sealed, 0700) == -1 && errno != EEXIST)
		return error_sys(err, "cannot make '%s'", sealed);
	while (rmdir(new) == -1) {
		DIR *folder;
		const struct dirent *entry;

		if (errno != ENOTEMPTY && errno != EEXIST)
			return error_sys(err, "cannot remove '%s'", new);
		folder = opendir(new);
		if (folder == NULL)
			return error_sys(err, "cannot open '%s'", new);
		while ((entry = readdir(folder)) != NULL) {
			OWN_TEXT from = xasprintf("%s/%s", new, entry->d_name);
			OWN_TEXT to = xasprintf(
			    "%s/%s", sealed, entry->d_name);

			if (strcmp(entry->d_name, ".") == 0 ||
			    strcmp(entry->d_name, "..") == 0)
				continue;
			if (rename(from, to) == -1 && errno != ENOENT) {
				closedir(folder);
				return error_sys(
				    err, "cannot rename '%s'", from);
			}
		}
		closedir(folder);
	}
	return 0;
}

/* Has one copied tree's new/ the other's name, or its own again. */
static int
name_sealed(const char *maildir, bool is_own_again, struct error *err)
{
	OWN_TEXT new = xasprintf("%s/new", maildir);
	OWN_TEXT sealed = xasprintf("%s/%s", maildir, sealed_name);
	const char *from = is_own_again ? sealed : new;
	const char *to = is_own_again ? new : sealed;

	return is_folder_at(from) && !is_folder_at(to) && rename(from, to) == -1
	    ? error_sys(err, "cannot rename '%s'", from)
	    : 0;
}

static int
name_sealed_back(const char *maildir, struct error *err)
{
	return name_sealed(maildir, true, err);
}

static int
name_as_sealed(const char *maildir, struct error *err)
{
	return name_sealed(maildir, false, err);
}

/* The Maildir, and the folders in it. */
static int
each_maildir(const char *home,
    int (*act)(const char *maildir, struct error *err), struct error *err)
{
	OWN_TEXT maildir = xasprintf("%s/Maildir", home);
	DIR *folder = opendir(maildir);
	const struct dirent *entry;
	int result;

	if (folder == NULL)
		return errno == ENOENT
		    ? 0
		    : error_sys(err, "cannot open '%s'", maildir);
	result = act(maildir, err);
	while (result == 0 && (entry = readdir(folder)) != NULL) {
		OWN_TEXT inner = xasprintf("%s/%s", maildir, entry->d_name);

		if (*entry->d_name == '.' && strcmp(entry->d_name, ".") != 0 &&
		    strcmp(entry->d_name, "..") != 0 && is_folder_at(inner))
			result = act(inner, err);
	}
	closedir(folder);
	return result;
}

/* Every file of the old home, but those in tmp/, is in the new one. */
static int
compare_trees(const char *from, const char *to, struct error *err)
{
	DIR *folder = opendir(from);
	const struct dirent *entry;
	int result = 0;

	if (folder == NULL)
		return error_sys(err, "cannot open '%s'", from);
	while (result == 0 && (entry = readdir(folder)) != NULL) {
		OWN_TEXT old = xasprintf("%s/%s", from, entry->d_name);
		OWN_TEXT new = xasprintf("%s/%s", to, entry->d_name);
		struct stat a, b;

		if (strcmp(entry->d_name, ".") == 0 ||
		    strcmp(entry->d_name, "..") == 0 ||
		    strcmp(entry->d_name, "tmp") == 0 || lstat(old, &a) == -1)
			continue;
		if (S_ISDIR(a.st_mode))
			result = compare_trees(old, new, err);
		else if (lstat(new, &b) == -1 ||
		    (S_ISREG(a.st_mode) && a.st_size != b.st_size))
			result = error_set(err,
			    "'%s' and its copy '%s' differ: the old one stays",
			    old, new);
	}
	closedir(folder);
	return result;
}

static int
sync_filesystem_of(const char *path, struct error *err)
{
	AUTO(file_close)
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd == -1 || syncfs(fd) == -1
	    ? error_sys(err, "cannot sync the filesystem of '%s'", path)
	    : 0;
}

/*
 * Deliveries and sessions find the home no more; those that have it open end in
 * the one that is copied, or fail.
 */
static int
copy_last(struct move *move, struct error *err)
{
	if (!is_folder_at(move->old)) {
		if (rename(move->dir, move->old) == -1)
			return error_sys(
			    err, "cannot rename '%s'", move->dir);
		if (file_sync_parent(move->dir, err) == -1)
			return -1;
	}
	/* Killed behind its last step: the copy has its name. */
	if (is_folder_at(move->new))
		return 0;
	if (each_maildir(move->old, seal_new, err) == -1 ||
	    each_maildir(move->part, name_as_sealed, err) == -1 ||
	    copy_tree(move->old, move->part, move->progress, err) == -1 ||
	    compare_trees(move->old, move->part, err) == -1 ||
	    each_maildir(move->part, name_sealed_back, err) == -1 ||
	    sync_filesystem_of(move->part, err) == -1)
		return -1;
	if (rename(move->part, move->new) == -1)
		return error_sys(err, "cannot rename '%s'", move->part);
	return file_sync_parent(move->new, err);
}

/*
 * Two that move one user would be in each other's way.  The lock goes with the
 * process.
 */
static enum admin_result
lock_move(struct move *move, struct error *err)
{
	const char *slash = strrchr(move->new, '/');
	OWN_TEXT folder = xstrndup(move->new, (size_t)(slash - move->new));
	OWN_TEXT path = xasprintf("%s/.moving.%s.lock", folder, move->user_id);

	if (file_make_dirs(folder, 0700, err) == -1)
		return ADMIN_FAILED;
	move->lock_fd = open(
	    path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (move->lock_fd == -1)
		return admin_fail(err, "cannot open the lock '%s'", path);
	if (flock(move->lock_fd, LOCK_EX | LOCK_NB) == 0)
		return ADMIN_OK;
	error_set(err, "'%s@%s' is being moved by another process", move->name,
	    move->domain);
	return ADMIN_FAILED;
}

static void
remove_lock(const struct move *move)
{
	const char *slash = strrchr(move->new, '/');
	OWN_TEXT path = xasprintf("%.*s/.moving.%s.lock",
	    (int)(slash - move->new), move->new, move->user_id);

	unlink(path);
}

static enum admin_result
end_move(struct move *move, struct error *err)
{
	if (file_remove_tree(move->old, err) == -1) {
		error_context(err, "the user is moved, but '%s' is left",
		    move->old);
		return ADMIN_FAILED;
	}
	remove_lock(move);
	return database_result(database_run(move->pg, NULL, err,
	    "DELETE FROM mq.moves WHERE user_id = $1::bigint "
	    "AND state = 'flipped'",
	    move->user_id, NULL));
}

static enum admin_result
go_on(struct move *move, bool is_begun, struct error *err)
{
	enum admin_result result = lock_move(move, err);

	if (result == ADMIN_OK && !is_begun)
		result = begin_move(move, err);
	if (result == ADMIN_OK && move->state == MOVE_COPYING)
		result = copy_live(move, err);
	if (result == ADMIN_OK && move->state == MOVE_COPYING)
		result = hold_mail(move, err);
	if (result == ADMIN_OK && move->state == MOVE_HELD)
		result = admin_result_of(copy_last(move, err));
	if (result == ADMIN_OK && move->state == MOVE_HELD)
		result = flip_place(move, err);
	return result == ADMIN_OK ? end_move(move, err) : result;
}

/* Why not, for who looks at the row. */
static void
note_error(struct move *move, const struct error *err)
{
	struct error ignored;

	database_run(move->pg, NULL, &ignored,
	    "UPDATE mq.moves SET error = $2, changed = now() "
	    "WHERE user_id = $1::bigint",
	    move->user_id, err->text, NULL);
}

enum admin_result
move_user(const struct home *home, struct pg *pg, const char *own_node,
    const char *user_id, const char *to_store, struct progress *progress,
    struct error *err)
{
	AUTO(release_move)
	struct move move = { .home = home,
		.pg = pg,
		.user_id = user_id,
		.progress = progress,
		.lock_fd = -1 };
	bool is_begun = false, is_done = false;
	struct identity owner;
	enum admin_result result = read_move(
	    &move, own_node, to_store, &is_begun, &is_done, err);
	int found;

	if (result != ADMIN_OK || is_done)
		return result;
	if (!move.from.is_here)
		return admin_refuse(err,
		    "store '%s' is served by node '%s', which has to do this",
		    move.from.name, move.from.node);
	if (access(move.to.path, X_OK) == -1)
		return admin_refuse(err,
		    "the folder '%s' of store '%s' cannot be reached on this "
		    "node: only a store on this host, or on shared storage, "
		    "can be moved to",
		    move.to.path, move.to.name);
	result = name_folders(&move, err);
	if (result != ADMIN_OK)
		return result;
	found = identity_find(IDENTITY_VIRTUAL, &owner, err);
	if (found != 1)
		return found == 0 ? ADMIN_REFUSED : ADMIN_FAILED;
	result = owner_enter(owner.uid, owner.gid, err);
	if (result != ADMIN_OK)
		return result;
	result = go_on(&move, is_begun, err);
	owner_leave();
	if (result != ADMIN_OK)
		note_error(&move, err);
	return result;
}
