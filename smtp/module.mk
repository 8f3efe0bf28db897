# smtp - qmail-smtpd: SMTP and LMTP
LIBS += smtp/libsmtp.a
smtp/libsmtp.a: smtp/address.o smtp/body.o smtp/hops.o smtp/params.o \
    smtp/received.o smtp/reply.o smtp/text.o
