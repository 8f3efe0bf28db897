/* SPDX-License-Identifier: ISC */
/* How much the intake's clients may take up (docs/protocol.md, Intake). */
#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "queue/send_client.h"

/* How long it is believed that there are not enough open files left. */
enum { FILES_SHORT_MS = 100 };

/*
 * A recycled file still has the last message in it, which the next one is
 * written over.  Only our own programs are known to say truly how much they
 * wrote; to anybody else the file is given empty.
 */
bool
client_is_trusted(const struct client *client)
{
	return client->uid == 0 || client->uid == getuid() ||
	    client->uid == client->send->smtpd_uid;
}

bool
client_is_one_too_many(const struct client *client)
{
	const struct client *other;
	unsigned count = 0, count_of_user = 0;

	if (client_is_trusted(client))
		return false;
	for (other = client->send->clients; other != NULL;
	     other = other->next) {
		count += !client_is_trusted(other);
		count_of_user += other->uid == client->uid;
	}
	return count > STRANGERS_MAX || count_of_user > STRANGERS_OF_A_USER;
}

bool
client_is_too_much(const struct client *client, size_t piece_length)
{
	const struct client *other;
	size_t total = piece_length;

	if (client->envelope.length + piece_length > ENVELOPE_MAX_BYTES)
		return true;
	if (client_is_trusted(client))
		return false;
	for (other = client->send->clients; other != NULL; other = other->next)
		if (!client_is_trusted(other))
			total += other->envelope.length;
	return total > STRANGERS_BYTES;
}

/* Each of them takes memory until the deliveries are over. */
bool
client_has_too_many(const struct client *client, size_t recipient_count)
{
	return !client_is_trusted(client) &&
	    recipient_count > STRANGERS_RECIPIENTS;
}

/* A file that claims far more than it takes would fill others' disks. */
bool
client_is_sparse(const struct client *client, uint64_t size_bytes)
{
	struct stat st;

	return fstat(client->spare.mess_fd, &st) == -1 ||
	    (uint64_t)st.st_blocks * 512 + STRANGERS_SPARSE_BYTES <
	    size_bytes ||
	    (uint64_t)st.st_blocks * 512 + STRANGERS_SPARSE_BYTES <
	    (uint64_t)st.st_size;
}

/* It may write to its file for long without a packet. */
bool
client_is_asleep(const struct client *client, int64_t now_ms, time_t now)
{
	struct stat st;

	if (client->is_gone || client->state == CLIENT_COMMITTING ||
	    now_ms - client->active_at < CLIENT_IDLE_MS)
		return false;
	if (client->state == CLIENT_IDLE)
		return !client_is_trusted(client);
	return fstat(client->spare.mess_fd, &st) == -1 ||
	    now - st.st_mtime >= CLIENT_IDLE_MS / 1000;
}

/* Counts the descriptors of this process.  False when it cannot be told. */
static bool
count_files(unsigned *count_out)
{
	DIR *stream = opendir("/proc/self/fd");
	unsigned count = 0;

	if (stream == NULL)
		return false;
	while (readdir(stream) != NULL)
		count++;
	closedir(stream);
	*count_out = count - 3; /* ".", ".." and the stream's own */
	return true;
}

void
client_recount_files(struct send *send)
{
	send->files_used = send->files_max;
}

bool
client_has_files(struct send *send, unsigned wanted)
{
	unsigned left = send->files_max / FILES_LEFT_PART;
	int64_t now_ms;

	if (left > FILES_LEFT_MAX)
		left = FILES_LEFT_MAX;
	/* A connection may still come, to hear why it gets nothing more. */
	if (wanted < CLIENT_FILES)
		left /= 2;
	send->files_used += wanted;
	if (send->files_used + left <= send->files_max)
		return true;
	now_ms = clock_ms();
	if (now_ms < send->files_short_until && left >= send->files_short)
		return false;
	if (!count_files(&send->files_used)) {
		/* Without /proc the limit itself will tell. */
		client_recount_files(send);
		return errno != EMFILE && errno != ENFILE;
	}
	send->files_used += wanted;
	if (send->files_used + left <= send->files_max)
		return true;
	send->files_short = left;
	send->files_short_until = now_ms + FILES_SHORT_MS;
	return false;
}
