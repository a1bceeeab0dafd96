#include "wire/event.h"

static const char creeld_start[] =
	"version, isolation, mode (root, rootless), limits (setrlimit, when rootless), "
	"audit (kernel, fanotify, none), audit_why (when not kernel)";
static const char secret_read[] =
	"secret, path (as the program named it), folder (store, staged), exe, pid, uid, "
	"auid (who logged in), result (yes, no), guest (yes: the cell's share), count";

const char *const creel_event_fields_doc[CREEL_EV_KINDS] = {
	[CREEL_EV_CREELD_START] = creeld_start,
	[CREEL_EV_CREELD_STOP] = "cells (running, none)",
	[CREEL_EV_CELL_START] = "recipe, image, cpus, memory_mib, uid (who asked)",
	[CREEL_EV_CELL_READY] = "memory_kb",
	[CREEL_EV_CELL_EXIT] = "how (clean, killed, lost), vmm_status or vmm_signal or vmm, last words",
	[CREEL_EV_CELL_KILL] = "why",
	[CREEL_EV_CELL_NOTE] = "text",
	[CREEL_EV_SERVICE_START] = "service",
	[CREEL_EV_SERVICE_READY] = "service",
	[CREEL_EV_SERVICE_EXIT] = "service, status, restart (given up)",
	[CREEL_EV_EXEC_START] = "argv (JSON), user, uid and pid (who asked), stream",
	[CREEL_EV_EXEC_END] = "stream, cut (why it ended before the command did)",
	[CREEL_EV_SECRET_STAGE] = "secret",
	[CREEL_EV_SECRET_READ] = secret_read,
	[CREEL_EV_SECRET_WRITE] = "the same",
	[CREEL_EV_DNS_QUERY] = "name, type, result, addresses (blanks between), ttl, ms (to the answer)",
	[CREEL_EV_DNS_REFUSE] = "name, type, result, why, line (of the file, which decides)",
	[CREEL_EV_DNS_TUNNEL] = "domain, names (that differ), window_s",
	[CREEL_EV_EGRESS_ALLOW] = "name, address, port, proto, way, line, from, from_port",
	[CREEL_EV_EGRESS_DENY] = "name, address, port, proto, reason, line, from, from_port, count",
	[CREEL_EV_EGRESS_END] = "name, address, port, proto, reason, from, from_port, sent, received, ms",
	[CREEL_EV_REACH_ALLOW] = "address, port, proto, line, from, from_port",
	[CREEL_EV_REACH_DENY] = "address, port, proto, reason, from, from_port, count",
	[CREEL_EV_BROKER_ALLOW] = "broker, host, method, path, line, request",
	[CREEL_EV_BROKER_DENY] =
		"broker, host, method, path, reason, line, status (what the guest was told), request",
	[CREEL_EV_BROKER_END] = "broker, host, method, path, status, sent, received, ms, reason, request",
	[CREEL_EV_IMAGE_BUILD] = "recipe, image, by_lock (yes, no), ms, uid (who built)",
	[CREEL_EV_DEFENDER_WARN] = "where, rules, score, tool, file, uid (in the cell)",
	[CREEL_EV_DEFENDER_SANITIZE] = "where, rules, score, tool, file, uid (in the cell)",
	[CREEL_EV_DEFENDER_BLOCK] = "where, rules, score, tool, file, name, why, uid (in the cell)",
	[CREEL_EV_DEFENDER_ERROR] = "where, why, tool, file, uid (in the cell)",
	[CREEL_EV_FILE_RESTORE] =
		"file, was (changed, removed), sha256 (of what stood there), uid (in the cell)",
	[CREEL_EV_KILLSWITCH_SET] = "state (on, off), uid (who asked)",
	[CREEL_EV_POLICY_CHANGE] = "change (in words, a `;` between), uid (who asked)",
	[CREEL_EV_RECORD_FOLD] = "count",
	[CREEL_EV_RECORD_REPAIR] = "octets",
};
