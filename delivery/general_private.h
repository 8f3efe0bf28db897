/* SPDX-License-Identifier: ISC */
/* Parts of delivery/general.c. */
#ifndef DELIVERY_GENERAL_PRIVATE_H
#define DELIVERY_GENERAL_PRIVATE_H

#include "delivery/general.h"
#include "delivery/header.h"

/* The user whom it is delivered to. */
struct general_user {
	const struct general *general;
	const struct store_user *user;
	const char *default_part; /* what is behind his name, or NULL */
};

/* A delivery by lines or programs; the caller frees *local_out afterwards. */
struct local_delivery general_local(
    const struct general *general, const char *home, char **local_out);

/* To the user's Maildir, or a folder in it; and by his .qmail file, if any. */
void general_to_folder(const struct general_user *user, const char *folder,
    struct local_result *result);
void general_to_user(
    const struct general_user *user, struct local_result *result);

/* general_filter.c: by one of his filters.  False: none is met. */
bool general_filter(
    const struct general_user *user, struct local_result *result);

#endif
