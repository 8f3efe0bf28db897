/* SPDX-License-Identifier: ISC */
/*
 * The outcomes of a delivery to a virtual user, and their texts: for the log,
 * and for the sender when it is a bounce.  Texts name the address, not files,
 * in what senders see; our own trouble also says what failed.
 */
#ifndef DELIVERY_OUTCOME_H
#define DELIVERY_OUTCOME_H

#include "base/error.h"
#include "delivery/vdeliver.h"

void outcome_delivered(struct vdeliver_item *item);
void outcome_deleted(struct vdeliver_item *item); /* no user; by the rule */
void outcome_general(struct vdeliver_item *item);

/* What a process of its own says; several lines stay so. */
void outcome_process(
    struct vdeliver_item *item, enum job_outcome outcome, const char *text);

void outcome_duplicate(struct vdeliver_item *item); /* dropped */

/* Permanent, as we know them for certain. */
void outcome_no_account(struct vdeliver_item *item);
void outcome_inactive(struct vdeliver_item *item);
void outcome_locked(struct vdeliver_item *item);
void outcome_looping(struct vdeliver_item *item);

/* Permanent, or temporary when is_held. */
void outcome_over_quota(
    struct vdeliver_item *item, const struct quota_usage *usage, bool is_held);

void outcome_domain_full(struct vdeliver_item *item,
    const struct quota_usage *usage, const struct quota *quota, bool is_held);

/* Temporary: until tomorrow. */
void outcome_day_full(struct vdeliver_item *item);

/* Temporary.  error_number (or 0) chooses the enhanced status. */
void outcome_trouble(
    struct vdeliver_item *item, int error_number, const struct error *err);
void outcome_unreadable(struct vdeliver_item *item, const struct error *err);
/*
 * RFC 5321 4.5.1: our server takes a postmaster's mail, whatever its state.
 * name: the account that is to have it; there is none.
 */
void outcome_postmaster(
    struct vdeliver_item *item, const char *name, bool is_inactive);
void outcome_no_postmaster(struct vdeliver_item *item);
void outcome_bad_home(struct vdeliver_item *item, const char *domains);

#endif
