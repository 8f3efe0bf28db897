# control - settings, control files, cdb maps, users/assign, access rules, users
LIBS += control/libcontrol.a
control/libcontrol.a: control/access.o control/assign.o control/bindings.o \
    control/cdb_cache.o control/cdb_records.o control/cdb_text.o control/cdbmap.o control/cluster_domains.o \
    control/cluster_leases.o control/cluster_nodes.o control/domain_lines.o control/envrules.o control/global_vars.o control/home.o \
    control/identity.o control/idn.o control/json_text.o control/layout.o control/node_setting.o control/port_address.o \
    control/etrnhosts.o control/network.o control/own_addresses.o control/percenthack.o \
    control/rcpthosts.o control/recipients.o control/setting_check.o control/settings.o \
    control/showctl_print.o control/smtproutes.o control/suspensions.o control/tlspolicy.o \
    control/unknown.o
# Whoever is linked with it.
control/libcontrol.a_LDLIBS := -Wl,--as-needed -lcdb -lidn2 \
    -Wl,--no-as-needed

PROGS += control/qmail-cdb control/qmail-newu control/qmail-newmrh control/qmail-showctl
control/qmail-cdb: control/qmail_cdb.o control/libcontrol.a base/libbase.a
control/qmail-newu: control/newu.o control/libcontrol.a base/libbase.a
control/qmail-newmrh: control/newmrh.o control/libcontrol.a base/libbase.a
control/qmail-showctl: control/showctl.o control/libcontrol.a base/libbase.a
control/qmail-showctl: LDLIBS += -ljansson

# The manual's list of settings is the table's.
BUILT_MANS += control/mqmail-control.5
control/mqmail-control.5: control/mqmail-control.5.head \
    control/mqmail-control.5.tail control/qmail-showctl
	@echo "  MAN   $@"
	@{ cat $(SRC)/$@.head && control/qmail-showctl --man && \
	    cat $(SRC)/$@.tail; } >$@.new && mv $@.new $@

MANS += control/qmail-cdb.8 control/qmail-newu.8 control/qmail-newmrh.8 control/qmail-showctl.8 \
    control/qmail-users.5
