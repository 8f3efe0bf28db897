/* SPDX-License-Identifier: ISC */
/* Texts of systemd units. */
#include "svctool/run/systemd_unit.h"
#include "base/mem.h"

/* systemd.unit(5): '%' begins a specifier; quotes hold blanks together. */
static void
add_word(struct buf *buf, const char *text)
{
	buf_addc(buf, '"');
	for (; *text != '\0'; text++) {
		if (*text == '"' || *text == '\\')
			buf_addc(buf, '\\');
		if (*text == '%')
			buf_addc(buf, '%');
		buf_addc(buf, *text);
	}
	buf_addc(buf, '"');
}

/* The same for a setting that takes one path, blanks and all, unquoted. */
static void
add_path(struct buf *buf, const char *text)
{
	for (; *text != '\0'; text++) {
		if (*text == '%')
			buf_addc(buf, '%');
		buf_addc(buf, *text);
	}
}

void
systemd_unit_service(struct buf *buf, const char *name, const char *folder,
    const char *user, bool is_queue)
{
	OWN_TEXT run = xasprintf("%s/run", folder);

	buf_addf(buf,
	    "# Made by 'svctool systemd'.\n"
	    "[Unit]\n"
	    "Description=mqmail %s\n"
	    "Documentation=man:svctool(8)\n"
	    "After=network.target\n"
	    "PartOf=mqmail.target\n"
	    "\n"
	    "[Service]\n"
	    "WorkingDirectory=",
	    name);
	add_path(buf, folder);
	buf_adds(buf, "\nExecStart=");
	add_word(buf, run);
	if (user != NULL)
		buf_addf(buf, "\nUser=%s", user);
	/* TERM to the first process only: it ends its children in order. */
	buf_addf(buf,
	    "\n"
	    "ExecReload=/bin/kill -HUP $MAINPID\n"
	    "KillMode=mixed\n"
	    "TimeoutStopSec=%d\n"
	    "Restart=always\n"
	    "RestartSec=1\n"
	    "LimitNOFILE=65536\n"
	    "NoNewPrivileges=yes\n"
	    "\n"
	    "[Install]\n"
	    "WantedBy=mqmail.target\n",
	    is_queue ? 120 : 30);
}

/* The sections' order is free, so [Unit] can come last and go on. */
void
systemd_unit_target(struct buf *buf)
{
	buf_adds(buf,
	    "# Made by 'svctool systemd'.\n"
	    "[Install]\n"
	    "WantedBy=multi-user.target\n"
	    "\n"
	    "[Unit]\n"
	    "Description=mqmail\n"
	    "Documentation=man:svctool(8)\n");
}

void
systemd_unit_target_service(struct buf *buf, const char *name)
{
	buf_addf(buf, "Wants=mqmail-%s.service\n", name);
}
