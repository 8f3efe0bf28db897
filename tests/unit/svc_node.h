/* SPDX-License-Identifier: ISC */
/*
 * A node in the folder of tests/unit/folder.h, as svctool init leaves one, but
 * without queues and services.  Include after cmocka.h.
 */
#ifndef TESTS_UNIT_SVC_NODE_H
#define TESTS_UNIT_SVC_NODE_H

#include <sys/stat.h>
#include <unistd.h>

#include "base/packet.h"
#include "queue/health.h"
#include "svctool/node.h"
#include "tests/unit/folder.h"

static struct node *node;

static inline void
svc_dir(const char *name)
{
	assert_int_equal(file_make_dirs(folder_path(name), 0755, NULL), 0);
}

/* A file, with the folders above it. */
static inline void
svc_put(const char *name, const char *text)
{
	char parent[200];

	snprintf(parent, sizeof(parent), "%s", name);
	if (strchr(parent, '/') != NULL) {
		*strrchr(parent, '/') = '\0';
		svc_dir(parent);
	}
	folder_write(name, text, strlen(text));
	assert_int_equal(chmod(folder_path(name), 0644), 0);
}

static inline bool
svc_has(const char *name)
{
	return access(folder_path(name), F_OK) == 0;
}

static inline void
svc_expect_file(const char *name, const char *wanted)
{
	struct buf text;

	buf_init(&text);
	if (file_read(folder_path(name), 100000, &text, NULL) != 1)
		fail_msg("no %s", name);
	if (strcmp(text.data, wanted) != 0)
		fail_msg("%s: got '%s', wanted '%s'", name, text.data, wanted);
	buf_release(&text);
}

static inline int
svc_setup(void **state)
{
	static const char *const folders[] = { "control/global_vars", "users",
		"domains", "queue", "service", "run/mta-sts", "run/tls-report",
		"run/lookupd", "run/cluster", "imap", "run/imap",
		"users/logins", "log", "tls", "alias" };
	static const char *const others[] = { "CONTROLDIR", "ASSIGNDIR",
		"DOMAINDIR", "CERTDIR", "MQMAIL_USER" };
	struct error err;

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		unsetenv(others[i]);
	if (folder_setup(state) != 0 || chmod(folder, 0755) == -1)
		return -1;
	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++)
		if (file_make_dirs(folder_path(folders[i]), 0755, &err) == -1)
			return -1;
	node = node_new(folder, NULL, &err);
	if (node == NULL)
		return -1;
	folder_write("control/me", "m.test\n", 7);
	folder_write("run/logins", "", 0);
	return chmod(folder_path("run/logins"), 0660);
}

static inline int
svc_teardown(void **state)
{
	node_free(&node);
	return folder_teardown(state);
}

/* What a running queue shows of itself: it listens, and has its health. */
struct svc_queue {
	int listener;
	struct health_file *file;
};

static inline struct svc_queue
svc_queue_up(const char *name, const struct health *health)
{
	char path[128], socket_path[160];
	struct error err = { "" };
	struct svc_queue queue;

	snprintf(path, sizeof(path), "queue/%s/lock", name);
	svc_dir(path);
	snprintf(path, sizeof(path), "%s/queue/%s", folder, name);
	snprintf(socket_path, sizeof(socket_path), "%s/lock/intake", path);
	queue.file = health_file_create(path, &err);
	if (queue.file == NULL)
		fail_msg("%s", err.text);
	health_file_publish(queue.file, health);
	queue.listener = packet_listen(socket_path, 0600, &err);
	if (queue.listener == -1)
		fail_msg("%s", err.text);
	return queue;
}

static inline void
svc_queue_down(struct svc_queue *queue)
{
	close(queue->listener);
	health_file_close(&queue->file);
}

#define SVC_TEST(name) \
	cmocka_unit_test_setup_teardown(name, svc_setup, svc_teardown)

#endif
