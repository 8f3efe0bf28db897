# control - settings, control files, cdb maps, users/assign, access rules, users
LIBS += control/libcontrol.a
control/libcontrol.a: control/identity.o
