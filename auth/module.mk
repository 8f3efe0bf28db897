# auth - who may log in
LIBS += auth/libauth.a
auth/libauth.a: auth/login.o auth/throttle.o auth/verify.o
auth/libauth.a_LDLIBS := -lcrypt -lcrypto
