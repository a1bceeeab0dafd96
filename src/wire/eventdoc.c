#include "wire/event.h"

const char *const creel_event_fields_doc[CREEL_EV_KINDS] = {
	[CREEL_EV_CREELD_START] = "version, isolation",
	[CREEL_EV_CREELD_STOP] = "cells (running, none)",
	[CREEL_EV_CELL_START] = "recipe, image, cpus, memory_mib, uid (who asked)",
	[CREEL_EV_CELL_READY] = "memory_kb",
	[CREEL_EV_CELL_EXIT] = "how (clean, killed, lost), vmm_status or vmm_signal or vmm, last (what "
			       "was heard of it last)",
	[CREEL_EV_CELL_KILL] = "why",
	[CREEL_EV_CELL_NOTE] = "text",
	[CREEL_EV_SERVICE_START] = "service",
	[CREEL_EV_SERVICE_READY] = "service",
	[CREEL_EV_SERVICE_EXIT] = "service, status, restart (given up)",
	[CREEL_EV_EXEC_START] = "argv (JSON), user, uid and pid (who asked), stream",
	[CREEL_EV_EXEC_END] = "stream, cut (why it ended before the command did)",
	[CREEL_EV_SECRET_STAGE] = "secret",
	[CREEL_EV_DNS_QUERY] = "name, type, result, addresses (blanks between), ttl, ms (to the answer)",
	[CREEL_EV_DNS_REFUSE] = "name, type, result, why, line (of the file, which decides)",
	[CREEL_EV_DNS_TUNNEL] = "domain, names (that differ), window_s",
	[CREEL_EV_EGRESS_ALLOW] = "name, address, port, proto, way, line, from, from_port",
	[CREEL_EV_EGRESS_DENY] = "name, address, port, proto, reason, line, from, from_port, count",
	[CREEL_EV_EGRESS_END] = "name, address, port, proto, reason, from, from_port, sent, received, ms",
	[CREEL_EV_REACH_ALLOW] = "address, port, proto, line, from, from_port",
	[CREEL_EV_REACH_DENY] = "address, port, proto, reason, from, from_port, count",
	[CREEL_EV_POLICY_CHANGE] = "change (in words, a `;` between), uid (who asked)",
	[CREEL_EV_RECORD_FOLD] = "count",
	[CREEL_EV_RECORD_REPAIR] = "octets",
};
