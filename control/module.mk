# control - settings, control files, cdb maps, users/assign, access rules, users
LIBS += control/libcontrol.a
control/libcontrol.a: control/assign.o control/cdbmap.o control/home.o \
    control/identity.o control/setting_check.o control/settings.o
