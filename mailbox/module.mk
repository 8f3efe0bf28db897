# mailbox - Maildir delivery in batches, and the Maildir++ quota
LIBS += mailbox/libmailbox.a
mailbox/libmailbox.a: mailbox/maildir.o mailbox/maildir_cache.o \
    mailbox/maildir_batch.o mailbox/maildir_file.o mailbox/maildir_name.o \
    mailbox/maildir_tmp.o mailbox/over_quota.o mailbox/quota.o mailbox/quota_scan.o mailbox/sync_choice.o
