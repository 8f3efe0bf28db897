/* SPDX-License-Identifier: ISC */
/*
 * limit - the yardstick: the least program that does a mail node's durable work
 *
 *   limit PORT QUEUES MAILDIRS DIR
 *
 * It speaks just enough SMTP for smtp-source.  Each message goes into one of
 * QUEUES queues as two files (mess and todo), is synced in a group, answered,
 * copied into one of MAILDIRS Maildirs (the number in the recipient chooses),
 * synced there in a group, and its queue files are used again.
 *
 * It is a measure and not a design.  It trusts its client, has no policy,
 * lookup, quota, log or retry, forgets its queue when it ends, and uses a file
 * again before the removal of the old envelope is durable.
 */
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/sync_pool.h"

enum {
	QUEUES_MAX = 16,
	MAILDIRS_MAX = 2000,
	SESSIONS = 160, /* threads; each serves one connection at a time */
	SYNC_THREADS = 15,
	FILES = 100000,
	BATCH = 64,
	MESSAGE_MAX = 256 * 1024
};

/* A pair of queue files, which stay open and serve message after message. */
struct slot {
	struct slot *next;
	struct queue *queue;
	unsigned number; /* the name of both files */
	unsigned maildir;
	int mess_fd, todo_fd;
	size_t length;      /* of the message */
	size_t file_length; /* of the mess file */
	sem_t durable;
};

struct list {
	struct slot *first, **end;
};

struct queue {
	int pid_dir, mess_dir, todo_dir; /* pid holds what is free */
	pthread_mutex_t lock;
	pthread_cond_t commits_wait, deliveries_wait;
	struct list commits, deliveries;
	struct slot *free;
	unsigned slots;
};

static struct queue queues[QUEUES_MAX];
static unsigned queue_count, maildir_count;
static int maildir_tmp[MAILDIRS_MAX], maildir_new[MAILDIRS_MAX];
static int listener;

static int
folder(const char *parent, const char *name)
{
	char path[512];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", parent, name);
	if (mkdir(path, 0700) == -1 && errno != EEXIST)
		err(111, "cannot make '%s'", path);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1)
		err(111, "cannot open '%s'", path);
	return fd;
}

static void
move(int from_dir, const char *from, int to_dir, const char *to)
{
	if (renameat(from_dir, from, to_dir, to) == -1)
		err(111, "cannot rename '%s' to '%s'", from, to);
}

static int
create(int dir, const char *name)
{
	int fd = openat(dir, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd == -1)
		err(111, "cannot create '%s'", name);
	return fd;
}

static void
slot_names(const struct slot *slot, char mess[16], char todo[16])
{
	snprintf(mess, 16, "%u", slot->number);
	snprintf(todo, 16, "%u.t", slot->number);
}

static void
list_add(struct list *list, struct slot *slot)
{
	slot->next = NULL;
	*list->end = slot;
	list->end = &slot->next;
}

/* Waits until the list has something; takes up to BATCH of it. */
static unsigned
list_take(struct queue *queue, struct list *list, pthread_cond_t *waits,
    struct slot *batch[BATCH])
{
	unsigned count = 0;

	pthread_mutex_lock(&queue->lock);
	while (list->first == NULL)
		pthread_cond_wait(waits, &queue->lock);
	while (list->first != NULL && count < BATCH) {
		batch[count++] = list->first;
		list->first = list->first->next;
	}
	if (list->first == NULL)
		list->end = &list->first;
	pthread_mutex_unlock(&queue->lock);
	return count;
}

static struct slot *
slot_take(struct queue *queue)
{
	struct slot *slot;
	char mess[16], todo[16];
	unsigned number = 0;

	pthread_mutex_lock(&queue->lock);
	slot = queue->free;
	if (slot != NULL)
		queue->free = slot->next;
	else
		number = ++queue->slots;
	pthread_mutex_unlock(&queue->lock);
	if (slot == NULL) {
		slot = calloc(1, sizeof(*slot));
		if (slot == NULL)
			err(111, "cannot allocate a slot");
		slot->queue = queue;
		slot->number = number;
		slot_names(slot, mess, todo);
		slot->mess_fd = create(queue->pid_dir, mess);
		slot->todo_fd = create(queue->pid_dir, todo);
		sem_init(&slot->durable, 0, 0);
	}
	return slot;
}

static void
slot_return(struct slot *slot)
{
	struct queue *queue = slot->queue;

	pthread_mutex_lock(&queue->lock);
	slot->next = queue->free;
	queue->free = slot;
	pthread_mutex_unlock(&queue->lock);
}

static void
sync_all(struct sync_pool *pool, struct sync_job *jobs, size_t count)
{
	sync_pool_run(pool, jobs, count);
	while (count-- > 0)
		if (jobs[count].error != 0)
			errx(111, "cannot sync: %s",
			    strerror(jobs[count].error));
}

/* The names appear with the data: whatever waits is one group of syncs. */
static void *
committer(void *arg)
{
	struct queue *queue = arg;
	struct sync_pool *pool = sync_pool_new(SYNC_THREADS);
	struct sync_job jobs[2 * BATCH + 2];
	struct slot *batch[BATCH];
	char mess[16], todo[16];

	for (;;) {
		unsigned count = list_take(queue, &queue->commits,
			     &queue->commits_wait, batch),
			 i;
		size_t job = 0;

		for (i = 0; i < count; i++) {
			slot_names(batch[i], mess, todo);
			move(queue->pid_dir, mess, queue->mess_dir, mess);
			move(queue->pid_dir, todo, queue->todo_dir, mess);
			jobs[job++] = (struct sync_job){ batch[i]->mess_fd,
				false, 0 };
			jobs[job++] = (struct sync_job){ batch[i]->todo_fd,
				false, 0 };
		}
		jobs[job++] = (struct sync_job){ queue->mess_dir, true, 0 };
		jobs[job++] = (struct sync_job){ queue->todo_dir, true, 0 };
		sync_all(pool, jobs, job);
		pthread_mutex_lock(&queue->lock);
		for (i = 0; i < count; i++) {
			sem_post(&batch[i]->durable);
			list_add(&queue->deliveries, batch[i]);
		}
		pthread_cond_signal(&queue->deliveries_wait);
		pthread_mutex_unlock(&queue->lock);
	}
	return NULL;
}

static void
copy(const struct slot *slot, int to, char *buffer)
{
	if (pread(slot->mess_fd, buffer, slot->length, 0) !=
	    (ssize_t)slot->length)
		err(111, "cannot read message %u", slot->number);
	if (write(to, buffer, slot->length) != (ssize_t)slot->length)
		err(111, "cannot write to a Maildir");
}

/* Adds the folder unless it is there. */
static size_t
add_folder(struct sync_job *jobs, size_t count, int fd)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (jobs[i].fd == fd)
			return count;
	jobs[count] = (struct sync_job){ fd, true, 0 };
	return count + 1;
}

static void
deliver(struct sync_pool *pool, struct slot *batch[BATCH], unsigned count,
    char *buffer)
{
	static unsigned delivered;
	struct sync_job files[BATCH], folders[BATCH];
	char names[BATCH][32];
	size_t folder_count = 0;
	unsigned i;

	for (i = 0; i < count; i++) {
		snprintf(names[i], sizeof(names[i]), "%u.limit",
		    __atomic_add_fetch(&delivered, 1, __ATOMIC_RELAXED));
		files[i].is_folder = false;
		files[i].fd = create(maildir_tmp[batch[i]->maildir], names[i]);
		copy(batch[i], files[i].fd, buffer);
		folder_count = add_folder(
		    folders, folder_count, maildir_new[batch[i]->maildir]);
	}
	sync_all(pool, files, count);
	for (i = 0; i < count; i++) {
		close(files[i].fd);
		move(maildir_tmp[batch[i]->maildir], names[i],
		    maildir_new[batch[i]->maildir], names[i]);
	}
	sync_all(pool, folders, folder_count);
}

static void *
deliverer(void *arg)
{
	struct queue *queue = arg;
	struct sync_pool *pool = sync_pool_new(SYNC_THREADS);
	struct slot *batch[BATCH];
	char *buffer = malloc(MESSAGE_MAX);
	char mess[16], todo[16];

	if (buffer == NULL)
		err(111, "cannot allocate a buffer");
	for (;;) {
		unsigned count = list_take(queue, &queue->deliveries,
			     &queue->deliveries_wait, batch),
			 i;

		deliver(pool, batch, count, buffer);
		for (i = 0; i < count; i++) {
			slot_names(batch[i], mess, todo);
			move(queue->todo_dir, mess, queue->pid_dir, todo);
			move(queue->mess_dir, mess, queue->pid_dir, mess);
			slot_return(batch[i]);
		}
	}
	return NULL;
}

static bool
say(int fd, const char *text)
{
	return write(fd, text, strlen(text)) == (ssize_t)strlen(text);
}

/* What a session has received and not yet used. */
struct input {
	int fd;
	size_t start, end;
	char data[MESSAGE_MAX];
};

/*
 * Receives up to and with the mark (length bytes).  Returns how many bytes
 * from input->start on that are; 0 when the client left or sends too much.
 */
static size_t
receive(struct input *input, const char *mark, size_t length)
{
	size_t seen = input->start;

	for (;;) {
		char *found = input->end - seen < length
		    ? NULL
		    : memmem(
			  input->data + seen, input->end - seen, mark, length);
		ssize_t got;

		if (found != NULL)
			return (size_t)(found - input->data) + length -
			    input->start;
		if (input->end - input->start >= length)
			seen = input->end - (length - 1);
		if (input->end == MESSAGE_MAX) {
			if (input->start == 0)
				return 0;
			input->end -= input->start;
			seen -= input->start;
			memmove(input->data, input->data + input->start,
			    input->end);
			input->start = 0;
		}
		got = read(input->fd, input->data + input->end,
		    MESSAGE_MAX - input->end);
		if (got <= 0)
			return 0;
		input->end += (size_t)got;
	}
}

static void
store(struct slot *slot, const char *data, size_t length)
{
	static const char envelope[] =
	    "u0\0p0\0Fa@example.org\0Tu@example.test";

	if (pwrite(slot->mess_fd, data, length, 0) != (ssize_t)length ||
	    pwrite(slot->todo_fd, envelope, sizeof(envelope), 0) !=
		(ssize_t)sizeof(envelope))
		err(111, "cannot write message %u", slot->number);
	if (length < slot->file_length &&
	    ftruncate(slot->mess_fd, (off_t)length) == -1)
		err(111, "cannot shorten message %u", slot->number);
	slot->length = slot->file_length = length;
}

static bool
message(struct input *input, unsigned maildir)
{
	static unsigned turn;
	struct queue *queue =
	    &queues[__atomic_fetch_add(&turn, 1, __ATOMIC_RELAXED) %
		queue_count];
	struct slot *slot;
	size_t length;

	if (!say(input->fd, "354 go on\r\n"))
		return false;
	length = receive(input, "\r\n.\r\n", 5);
	if (length == 0)
		return false;
	slot = slot_take(queue);
	slot->maildir = maildir;
	store(slot, input->data + input->start, length - 3);
	input->start += length;
	pthread_mutex_lock(&queue->lock);
	list_add(&queue->commits, slot);
	pthread_cond_signal(&queue->commits_wait);
	pthread_mutex_unlock(&queue->lock);
	while (sem_wait(&slot->durable) == -1)
		;
	return say(input->fd, "250 ok\r\n");
}

static void
session(struct input *input)
{
	unsigned maildir = 0;
	bool goes_on = say(input->fd, "220 limit\r\n");

	input->start = input->end = 0;
	while (goes_on) {
		size_t length = receive(input, "\r\n", 2);
		char *line = input->data + input->start;

		if (length < 6)
			return;
		input->start += length;
		if (input->start == input->end)
			input->start = input->end = 0;
		if (strncasecmp(line, "QUIT", 4) == 0) {
			say(input->fd, "221 bye\r\n");
			return;
		}
		if (strncasecmp(line, "DATA", 4) == 0) {
			goes_on = message(input, maildir);
			continue;
		}
		if (strncasecmp(line, "RCPT", 4) == 0 && length > 10)
			maildir = (unsigned)strtoul(line + 9, NULL, 10) %
			    maildir_count;
		goes_on = say(input->fd, "250 ok\r\n");
	}
}

static void *
sessions(void *arg)
{
	struct input *input = malloc(sizeof(*input));
	int one = 1;

	(void)arg;
	if (input == NULL)
		err(111, "cannot allocate a session");
	for (;;) {
		input->fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		if (input->fd == -1)
			continue;
		setsockopt(
		    input->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		session(input);
		close(input->fd);
	}
	return NULL;
}

static void
start(void *(*run)(void *), void *arg)
{
	pthread_attr_t attr;
	pthread_t thread;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 256 * 1024);
	if (pthread_create(&thread, &attr, run, arg) != 0)
		errx(111, "cannot start a thread");
	pthread_attr_destroy(&attr);
}

static void
open_queue(struct queue *queue, const char *dir, unsigned number)
{
	char name[16], path[512];

	snprintf(name, sizeof(name), "queue%u", number);
	close(folder(dir, name));
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	queue->pid_dir = folder(path, "pid");
	queue->mess_dir = folder(path, "mess");
	queue->todo_dir = folder(path, "todo");
	queue->commits.end = &queue->commits.first;
	queue->deliveries.end = &queue->deliveries.first;
	pthread_mutex_init(&queue->lock, NULL);
	pthread_cond_init(&queue->commits_wait, NULL);
	pthread_cond_init(&queue->deliveries_wait, NULL);
	start(committer, queue);
	start(deliverer, queue);
}

static void
open_maildirs(const char *dir)
{
	char name[32], path[512];
	unsigned i;

	for (i = 0; i < maildir_count; i++) {
		snprintf(name, sizeof(name), "maildir%u", i);
		close(folder(dir, name));
		snprintf(path, sizeof(path), "%s/%s", dir, name);
		maildir_tmp[i] = folder(path, "tmp");
		maildir_new[i] = folder(path, "new");
	}
}

static void
open_listener(unsigned port)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int one = 1;

	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (listener == -1)
		err(111, "cannot make a socket");
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) ==
		-1 ||
	    listen(listener, 1024) == -1)
		err(111, "cannot listen on port %u", port);
}

/* Each message that is under way has two files open. */
static void
raise_file_limit(void)
{
	struct rlimit limit = { .rlim_cur = FILES, .rlim_max = FILES };

	if (setrlimit(RLIMIT_NOFILE, &limit) == -1)
		warn("cannot open %d files", FILES);
}

int
main(int argc, char **argv)
{
	unsigned i;

	if (argc != 5)
		errx(100, "usage: limit PORT QUEUES MAILDIRS DIR");
	queue_count = (unsigned)strtoul(argv[2], NULL, 10);
	maildir_count = (unsigned)strtoul(argv[3], NULL, 10);
	if (queue_count < 1 || queue_count > QUEUES_MAX)
		errx(100, "QUEUES is 1 to %d", QUEUES_MAX);
	if (maildir_count < 1 || maildir_count > MAILDIRS_MAX)
		errx(100, "MAILDIRS is 1 to %d", MAILDIRS_MAX);
	signal(SIGPIPE, SIG_IGN);
	raise_file_limit();
	if (mkdir(argv[4], 0700) == -1 && errno != EEXIST)
		err(111, "cannot make '%s'", argv[4]);
	open_maildirs(argv[4]);
	for (i = 0; i < queue_count; i++)
		open_queue(&queues[i], argv[4], i + 1);
	open_listener((unsigned)strtoul(argv[1], NULL, 10));
	for (i = 0; i < SESSIONS; i++)
		start(sessions, NULL);
	for (;;)
		pause();
}
