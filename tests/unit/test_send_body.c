/* SPDX-License-Identifier: ISC */
/* Tests of queue/send_body.h. */
#include "queue/send_body.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "queue/exitcode.h"
#include "tests/unit/queue_folder.h"

/* -- the disk: as the kernel it tells each open file once of what has failed */

enum { FDS = 256 };

static struct {
	int error; /* of all that is open, from now on */
	bool is_told[FDS];
	int synced; /* of calls */
	int order[8];
} disk;

enum { FILE_SYNC = 1, FOLDER_SYNC };

static int
tell(int fd, int call)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(S_ISDIR(st.st_mode), call == FOLDER_SYNC);
	disk.order[disk.synced++] = call;
	if (disk.error == 0 || call != FOLDER_SYNC || disk.is_told[fd])
		return 0;
	disk.is_told[fd] = true;
	errno = disk.error;
	return -1;
}

int
fdatasync(int fd)
{
	return tell(fd, FILE_SYNC);
}

int
fsync(int fd)
{
	return tell(fd, FOLDER_SYNC);
}

static int
setup(void **state)
{
	if (folder_setup(state) != 0)
		return -1;
	*state = make_bare_queue("queue", 1);
	memset(&disk, 0, sizeof(disk));
	return 0;
}

static int
teardown(void **state)
{
	struct queue_dir *dir = *state;

	queue_dir_close(&dir);
	return folder_teardown(state);
}

static struct body_file *
write_body(const struct queue_dir *dir, uint64_t id, bool is_whole)
{
	struct body_file *file = body_file_new(dir, NULL, id);

	buf_adds(&file->waiting, "text");
	file->is_whole = is_whole;
	body_file_run(file);
	return file;
}

static void
file_and_name_are_synced(void **state)
{
	const struct queue_dir *dir = *state;
	struct body_file *file = write_body(dir, 7, false);

	assert_int_equal(disk.synced, 0);
	buf_adds(&file->waiting, " and more");
	file->is_whole = true;
	body_file_run(file);
	assert_int_equal(file->result, QQ_OK);
	assert_true(file->is_synced);
	assert_int_equal(disk.synced, 2);
	assert_int_equal(disk.order[0], FILE_SYNC);
	assert_int_equal(disk.order[1], FOLDER_SYNC);
	body_file_free(&file);
	EXPECT_FILE(dir, QUEUE_MESS, 7, "text and more");
}

/* The failure is of all names in the folder, and told to all of them. */
static void
a_failed_sync_of_the_folder_is_everybodys(void **state)
{
	const struct queue_dir *dir = *state;
	struct body_file *files[3];
	char name[] = "mess/1";
	int i;

	for (i = 0; i < 3; i++)
		files[i] = write_body(dir, (uint64_t)i + 1, false);
	disk.error = EIO;
	for (i = 0; i < 3; i++) {
		files[i]->is_whole = true;
		body_file_run(files[i]);
		assert_int_equal(files[i]->result, QQ_SYNC_FOLDER);
		assert_false(files[i]->is_synced);
		name[5] = (char)('1' + i);
		assert_non_null(strstr(files[i]->err.text, name));
		body_file_discard(&files[i]);
		assert_false(has_file(dir, QUEUE_MESS, (uint64_t)i + 1, ""));
	}
}

static void
another_ones_file_is_left_alone(void **state)
{
	const struct queue_dir *dir = *state;
	struct body_file *file;

	put_file(dir, QUEUE_MESS, 7, "other", 5);
	file = write_body(dir, 7, true);
	assert_int_equal(file->result, QQ_MESS);
	body_file_discard(&file);
	EXPECT_FILE(dir, QUEUE_MESS, 7, "other");
}

int
main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(file_and_name_are_synced),
		CASE(a_failed_sync_of_the_folder_is_everybodys),
		CASE(another_ones_file_is_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
