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
	[CREEL_EV_RECORD_FOLD] = "count",
	[CREEL_EV_RECORD_REPAIR] = "octets",
};
