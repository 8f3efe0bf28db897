/* SPDX-License-Identifier: ISC */
/*
 * maildirserial: hands the names of a Maildir's messages to a client, and does
 * with them what that says (maildirserial(1)).
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/scan.h"
#include "base/usage.h"
#include "control/home.h"
#include "remote/serial_maildir.h"

static const char usage[] =
    "usage: maildirserial [-b] [-t SECONDS] DIR PREFIX CLIENT [ARGUMENT...]";

/* A file without a name with the names of what is not settled; NULL: errno. */
static FILE *
list_names(const struct serial_maildir *maildir)
{
	FILE *list = tmpfile();

	if (list == NULL)
		return NULL;
	for (size_t i = 0; i < maildir->count; i++)
		if (!maildir->files[i].is_settled) {
			fputs(maildir->files[i].name, list);
			putc('\0', list);
		}
	if (fflush(list) == 0 && fseek(list, 0, SEEK_SET) == 0)
		return list;
	fclose(list);
	return NULL;
}

static pid_t
start_client(char **client, int input, int output)
{
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	signal(SIGPIPE, SIG_DFL);
	if (dup2(input, 0) != -1 && dup2(output, 1) != -1)
		execvp(client[0], client);
	log_line("cannot run '%s': %s", client[0], strerror(errno));
	_exit(111);
}

static struct serial_file *
find_file(struct serial_maildir *maildir, const char *name)
{
	for (size_t i = 0; i < maildir->count; i++)
		if (!maildir->files[i].is_settled &&
		    strcmp(maildir->files[i].name, name) == 0)
			return &maildir->files[i];
	return NULL;
}

/* NAME NUL LETTER TEXT LF, each; how many of them were about ours. */
static size_t
read_results(struct serial_maildir *maildir, FILE *results)
{
	AUTO(mem_free) char *name = NULL;
	AUTO(mem_free) char *line = NULL;
	size_t name_size = 0, line_size = 0, count = 0;

	while (getdelim(&name, &name_size, '\0', results) > 0 &&
	    getline(&line, &line_size, results) > 1) {
		struct serial_file *file = find_file(maildir, name);

		/* One that was cut short is none. */
		if (line[strlen(line) - 1] != '\n')
			break;
		line[strlen(line) - 1] = '\0';
		if (file == NULL || strchr("KZD", line[0]) == NULL) {
			log_line("warning: the client speaks of '%s'", name);
			continue;
		}
		serial_maildir_settle(maildir, file, line[0], line + 1);
		count++;
	}
	return count;
}

/* One run of the client: how many results there were; -1 with the reason. */
static int
run_client(struct serial_maildir *maildir, char **client, int *status_out,
    struct error *err)
{
	FILE *list = list_names(maildir), *results = NULL;
	int fds[2] = { -1, -1 };
	int result = -1;
	pid_t pid = -1;

	if (list != NULL && pipe(fds) == 0)
		pid = start_client(client, fileno(list), fds[1]);
	if (pid == -1)
		error_sys(err, "cannot start the client");
	if (fds[1] != -1)
		close(fds[1]);
	if (pid != -1 && (results = fdopen(fds[0], "r")) != NULL)
		result = (int)read_results(maildir, results);
	if (results != NULL)
		fclose(results);
	else if (fds[0] != -1)
		close(fds[0]);
	while (pid != -1 && waitpid(pid, status_out, 0) == -1 && errno == EINTR)
		continue;
	if (list != NULL)
		fclose(list);
	return result;
}

static bool
has_more(const struct serial_maildir *maildir)
{
	for (size_t i = 0; i < maildir->count; i++)
		if (!maildir->files[i].is_settled)
			return true;
	return false;
}

/* A client that has lost its host is started again, if it got anywhere. */
static int
run(struct serial_maildir *maildir, char **client, struct error *err)
{
	int status = 0, progress = 1;

	while (has_more(maildir) && progress > 0) {
		progress = run_client(maildir, client, &status, err);
		if (progress == -1)
			return 111;
		if (WIFEXITED(status) && WEXITSTATUS(status) == 100) {
			error_set(err, "the client ended with 100");
			return 100;
		}
	}
	if (!has_more(maildir))
		return maildir->is_left ? 111 : 0;
	error_set(err, "making no progress, giving up");
	return 111;
}

/* False when they are none of ours. */
static bool
read_options(int argc, char **argv, struct serial_options *options)
{
	int option;

	while ((option = getopt(argc, argv, "+bt:")) != -1)
		if (option == 'b')
			options->bounces = true;
		else if (option == 't' &&
		    scan_u64(optarg, INT32_MAX, &options->lifetime_s))
			options->has_lifetime = true;
		else
			return false;
	return argc - optind >= 3;
}

int
main(int argc, char **argv)
{
	struct serial_options options = { .bounces = false };
	struct serial_maildir maildir;
	struct settings *settings;
	struct home *home;
	struct error err = { .text = "" };
	int result;

	signal(SIGPIPE, SIG_IGN);
	log_open("maildirserial");
	usage_answer(argv, "maildirserial", usage);
	opterr = 0;
	if (!read_options(argc, argv, &options))
		fatal(100, "%s", usage);
	options.prefix = argv[optind + 1];
	home = home_new();
	settings = settings_load(home->control, "maildirserial", NULL, &err);
	if (settings == NULL ||
	    serial_maildir_open(
		&maildir, argv[optind], &options, settings, &err) == -1)
		fatal(111, "%s", err.text);
	result = run(&maildir, argv + optind + 2, &err);
	if (result != 0 && err.text[0] != '\0')
		log_line("fatal: %s", err.text);
	serial_maildir_release(&maildir);
	settings_free(&settings);
	home_free(&home);
	return result;
}
