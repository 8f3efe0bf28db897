/* SPDX-License-Identifier: ISC */
/*
 * tls/servercert.pem of a new node: a key and a certificate signed by itself,
 * until the operator puts a better one there.
 */
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "svctool/init/init.h"
#include "svctool/run/spawn.h"

enum { PEM_MAX = 65536 };

/* Who serves TLS may read the key: the group qcerts, or just the one user. */
static int
set_readers(const struct maker *maker, const char *path, struct error *err)
{
	const struct layout_row *row = &layout_rows[LAYOUT_servercert];
	const struct group *group;

	if (!maker->has_users)
		return 0;
	if (getenv("MQMAIL_USER") != NULL)
		return make_owned(maker, path, LAYOUT_SMTPD, err);
	group = getgrnam(row->group);
	if (group == NULL)
		return error_set(err,
		    "no group '%s': make it with 'svctool init "
		    "--create-users'",
		    row->group);
	if (chown(path, 0, group->gr_gid) == -1 || chmod(path, row->mode) == -1)
		return error_sys(err, "cannot set the owner of '%s'", path);
	return 0;
}

/* Runs openssl; key and certificate end up behind what pem holds. */
static int
generate(const char *me, const char *folder, struct buf *pem, struct error *err)
{
	/* The same names each time: a killed run leaves no pile of keys. */
	OWN_TEXT key = xasprintf("%s/.key.new", folder);
	OWN_TEXT cert = xasprintf("%s/.cert.new", folder);
	/* X.509's common name has at most 64 characters. */
	OWN_TEXT subject = xasprintf("/CN=%.64s", me);
	OWN_TEXT names = xasprintf("subjectAltName=DNS:%s", me);
	const char *make_key[] = { "openssl", "genpkey", "-algorithm", "EC",
		"-pkeyopt", "ec_paramgen_curve:P-256", "-out", key, NULL };
	const char *make_cert[] = { "openssl", "req", "-new", "-x509", "-batch",
		"-days", "1095", "-subj", subject, "-addext", names, "-key",
		key, "-out", cert, NULL };
	mode_t old = umask(077);
	int result = spawn_wait(make_key, NULL, err);

	if (result == 0)
		result = spawn_wait(make_cert, NULL, err);
	umask(old);
	if (result == 0 &&
	    (file_read(key, PEM_MAX, pem, err) != 1 ||
		file_read(cert, PEM_MAX, pem, err) != 1))
		result = -1;
	unlink(key);
	unlink(cert);
	return result;
}

int
init_tls(
    struct maker *maker, const struct init_options *options, struct error *err)
{
	OWN_TEXT folder = node_layout_path(maker->node, LAYOUT_tls);
	OWN_TEXT path = node_layout_path(maker->node, LAYOUT_servercert);
	AUTO(buf_release) struct buf pem = BUF_INIT;
	struct stat st;

	if (stat(path, &st) == 0) {
		maker->kept++;
		/* Only root can read it: a killed run got no further. */
		return st.st_uid == 0 && (st.st_mode & 0077) == 0
		    ? set_readers(maker, path, err)
		    : 0;
	}
	if (generate(options->me, folder, &pem, err) == -1 ||
	    file_replace(path, pem.data, pem.length, 0600, err) == -1 ||
	    set_readers(maker, path, err) == -1)
		return error_context(
		    err, "cannot make the certificate '%s'", path);
	make_say(
	    "made", "%s (self-signed, for %s, three years)", path, options->me);
	maker->made++;
	return 0;
}
