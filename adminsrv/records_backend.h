/* SPDX-License-Identifier: ISC */
/* records.h of one store; for records.c and the stores only. */
#ifndef ADMINSRV_RECORDS_BACKEND_H
#define ADMINSRV_RECORDS_BACKEND_H

#include "adminsrv/records.h"

/* As the functions of that name in records.h; users exist. */
struct records_backend {
	int (*find_alias)(struct users *users, const char *name,
	    struct strlist *lines, struct error *err);
	int (*alias_names)(
	    struct users *users, struct strlist *names, struct error *err);
	enum admin_result (*put_alias)(struct users *users, const char *name,
	    const struct strlist *lines, struct error *err);
	int (*find_limits)(struct users *users, const char *name,
	    struct store_limits *limits_out, struct error *err);
	enum admin_result (*put_limits)(struct users *users, const char *name,
	    const struct store_limits *limits, struct error *err);
	int (*owner_names)(
	    struct users *users, struct strlist *names, struct error *err);
	int (*find_filters)(struct users *users, const char *name,
	    struct store_filters *filters_out, struct error *err);
	enum admin_result (*put_filters)(struct users *users, const char *name,
	    const struct store_filter *filters, size_t count,
	    struct error *err);
};

extern const struct records_backend records_cdb, records_pg;

#endif
