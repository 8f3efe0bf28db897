/* SPDX-License-Identifier: ISC */
/* Packets between processes of one node. */
#include "base/packet.h"

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* A socket for the path, and its address; or -1 with errno. */
static int
open_socket(
    const char *path, int flags, struct sockaddr_un *address, struct error *err)
{
	int fd;

	_Static_assert(
	    PACKET_PATH_MAX == sizeof(address->sun_path) - 1, "as the kernel");
	if (strlen(path) > PACKET_PATH_MAX) {
		errno = ENAMETOOLONG;
		return error_set(err, "socket path '%s' is over %d bytes", path,
		    PACKET_PATH_MAX);
	}
	*address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	memcpy(address->sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | flags, 0);
	return fd != -1 ? fd : error_sys(err, "cannot make a socket");
}

static void
close_keeping_errno(int fd)
{
	int saved_errno = errno;

	close(fd);
	errno = saved_errno;
}

int
packet_listen(const char *path, mode_t mode, struct error *err)
{
	struct sockaddr_un address;
	int fd = open_socket(path, SOCK_NONBLOCK, &address, err);

	if (fd == -1)
		return -1;
	if (unlink(path) == -1 && errno != ENOENT)
		error_sys(err, "cannot remove old socket '%s'", path);
	else if (bind(fd, (struct sockaddr *)&address, sizeof(address)) == -1 ||
	    chmod(path, mode) == -1 || listen(fd, 1024) == -1)
		error_sys(err, "cannot listen on '%s'", path);
	else
		return fd;
	close_keeping_errno(fd);
	return -1;
}

bool
packet_is_served(const char *path)
{
	struct sockaddr_un address;
	int fd = open_socket(path, SOCK_NONBLOCK, &address, NULL);
	bool is_served;

	if (fd == -1)
		return false;
	/* EAGAIN: those that wait to be accepted are as many as may. */
	is_served = connect(fd, (struct sockaddr *)&address, sizeof(address)) ==
		0 ||
	    errno == EAGAIN;
	close(fd);
	return is_served;
}

int
packet_connect_within(const char *path, int timeout_ms, struct error *err)
{
	struct timeval timeout = { .tv_sec = timeout_ms / 1000,
		.tv_usec = timeout_ms % 1000 * 1000 };
	struct sockaddr_un address;
	int fd = open_socket(path, 0, &address, err);

	if (fd == -1)
		return -1;
	if (setsockopt(
		fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) == -1 ||
	    setsockopt(
		fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) == -1 ||
	    connect(fd, (struct sockaddr *)&address, sizeof(address)) == -1) {
		error_sys(err, "cannot connect to '%s'", path);
		close_keeping_errno(fd);
		return -1;
	}
	return fd;
}

int
packet_send(int fd, const void *data, size_t length, int pass_fd, int flags)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	/* sendmsg(2) only reads. */
	struct iovec part = { (void *)(uintptr_t)data, length };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
	ssize_t n;

	if (pass_fd != -1) {
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.header), &pass_fd, sizeof(int));
		message.msg_control = &control;
		message.msg_controllen = sizeof(control);
	}
	do
		n = sendmsg(fd, &message, flags | MSG_NOSIGNAL);
	while (n == -1 && errno == EINTR);
	return n == -1 ? -1 : 0;
}

/* Takes up a packet's descriptors; how many there were, the first of them. */
static size_t
take_fds(struct msghdr *message, int *first_out)
{
	struct cmsghdr *header;
	size_t count = 0;

	for (header = CMSG_FIRSTHDR(message); header != NULL;
	     header = CMSG_NXTHDR(message, header)) {
		size_t i, in_header;

		if (header->cmsg_level != SOL_SOCKET ||
		    header->cmsg_type != SCM_RIGHTS)
			continue;
		in_header = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (i = 0; i < in_header; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(header) + i * sizeof(int),
			    sizeof(int));
			if (count++ == 0)
				*first_out = fd;
			else
				close(fd);
		}
	}
	return count;
}

ssize_t
packet_receive(int fd, void *data, size_t size, int *passed_fd_out, int flags)
{
	/* Padding makes room for a second one, which then has to be closed. */
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec part = { .iov_base = data, .iov_len = size };
	struct msghdr message = { .msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control) };
	size_t count;
	ssize_t n;

	*passed_fd_out = -1;
	do
		n = recvmsg(fd, &message, flags | MSG_CMSG_CLOEXEC);
	while (n == -1 && errno == EINTR);
	if (n == -1)
		return -1;
	count = take_fds(&message, passed_fd_out);
	if (count <= 1 && !(message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)))
		return n;
	if (count > 0)
		close(*passed_fd_out);
	*passed_fd_out = -1;
	errno = message.msg_flags & MSG_TRUNC ? EMSGSIZE : EBADMSG;
	return -1;
}

#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83 /* Linux 6.16; asm-generic/socket.h */
#endif

bool
packet_refuse_fds(int fd)
{
	int no = 0;

	return setsockopt(fd, SOL_SOCKET, SO_PASSRIGHTS, &no, sizeof(no)) == 0;
}

bool
packet_has_fds(int fd)
{
	char byte;
	struct iovec part = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };

	/* Without room for them they are told, and stay with the packet. */
	return recvmsg(fd, &message, MSG_PEEK | MSG_DONTWAIT) > 0 &&
	    (message.msg_flags & MSG_CTRUNC);
}

int
packet_peer(int fd, uid_t *uid_out, pid_t *pid_out)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == -1)
		return -1;
	*uid_out = peer.uid;
	*pid_out = peer.pid;
	return 0;
}
