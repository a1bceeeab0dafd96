#include "wire/event.h"
#include <assert.h>
#include <string.h>

const struct creel_event_kind_row creel_event_kinds[] = {
	[CREEL_EV_CREELD_START] = {"creeld.start", false, true, "creeld has started"},
	[CREEL_EV_CREELD_STOP] = {"creeld.stop", false, true, "creeld stops"},
	[CREEL_EV_CELL_START] = {"cell.start", false, true, "a cell's machine is started"},
	[CREEL_EV_CELL_READY] = {"cell.ready", true, false, "every service of a cell is ready"},
	[CREEL_EV_CELL_EXIT] = {"cell.exit", false, false, "a cell's machine has ended"},
	[CREEL_EV_CELL_KILL] = {"cell.kill", false, true, "a cell was ended without its consent"},
	[CREEL_EV_CELL_NOTE] = {"cell.note", true, false, "a cell's init has something to say"},
	[CREEL_EV_SERVICE_START] = {"service.start", true, false, "a service was started"},
	[CREEL_EV_SERVICE_READY] = {"service.ready", true, false, "a service's probe was answered"},
	[CREEL_EV_SERVICE_EXIT] = {"service.exit", true, false, "a service has ended"},
	[CREEL_EV_EXEC_START] = {"exec.start", false, false, "a command is run in a cell"},
	[CREEL_EV_EXEC_END] = {"exec.end", false, false, "that command has ended"},
	[CREEL_EV_SECRET_SET] = {"secret.set", false, true, "a secret was stored"},
	[CREEL_EV_SECRET_STAGE] = {"secret.stage", false, true, "a secret was put before a cell"},
	[CREEL_EV_SECRET_READ] = {"secret.read", false, false, "a secret's file was read on the host"},
	[CREEL_EV_SECRET_WRITE] = {"secret.write", false, false, "a secret's file was written on the host"},
	[CREEL_EV_EGRESS_ALLOW] = {"egress.allow", false, false, "a flow was let out"},
	[CREEL_EV_EGRESS_DENY] = {"egress.deny", false, false, "a flow was not let out, and why"},
	[CREEL_EV_EGRESS_END] = {"egress.end", false, false, "a flow has ended, and what it carried"},
	[CREEL_EV_REACH_ALLOW] = {"reach.allow", false, false, "a flow to another cell was let through"},
	[CREEL_EV_REACH_DENY] = {"reach.deny", false, false, "a flow to another cell was not let through"},
	[CREEL_EV_DNS_QUERY] = {"dns.query", false, false, "a name was resolved for a cell"},
	[CREEL_EV_DNS_REFUSE] = {"dns.refuse", false, false, "a name was not resolved, and why"},
	[CREEL_EV_DNS_TUNNEL] = {"dns.tunnel", false, true, "a cell's queries look like a tunnel"},
	[CREEL_EV_IMAGE_BUILD] = {"image.build", false, false, "an image was built"},
	[CREEL_EV_FILE_RESTORE] = {"file.restore", true, false, "a declared file was put back"},
	[CREEL_EV_POLICY_CHANGE] = {"policy.change", false, true, "what a cell may do was changed"},
	[CREEL_EV_KILLSWITCH_SET] = {"killswitch.set", false, true,
				     "a cell's kill switch was thrown or taken back"},
	[CREEL_EV_GATE_EXEC] = {"gate.exec", true, true, "a tool is run for another cell"},
	[CREEL_EV_GATE_ASK] = {"gate.ask", true, true, "a call of a tool waits for a human"},
	[CREEL_EV_GATE_DENY] = {"gate.deny", true, true, "a call of a tool was refused"},
	[CREEL_EV_BROKER_ALLOW] = {"broker.allow", true, false,
				   "a request went out with a credential that the cell has not"},
	[CREEL_EV_BROKER_DENY] = {"broker.deny", true, false, "a request, or its answer, was refused"},
	[CREEL_EV_BROKER_END] = {"broker.end", true, false, "its answer ended"},
	[CREEL_EV_DEFENDER_WARN] = {"defender.warn", true, false, "a text looks like an injection"},
	[CREEL_EV_DEFENDER_SANITIZE] = {"defender.sanitize", true, false, "parts of a text were taken out"},
	[CREEL_EV_DEFENDER_BLOCK] = {"defender.block", true, false, "a text or an action was stopped"},
	[CREEL_EV_DEFENDER_ERROR] = {"defender.error", true, false, "a layer of the defender failed"},
	[CREEL_EV_APPROVAL_ASK] = {"approval.ask", false, true, "a human is asked"},
	[CREEL_EV_APPROVAL_GRANT] = {"approval.grant", false, true, "a human said yes"},
	[CREEL_EV_APPROVAL_DENY] = {"approval.deny", false, true, "a human said no, or took a yes back"},
	[CREEL_EV_APPROVAL_EXPIRE] = {"approval.expire", false, true,
				      "nobody answered in time, or a yes is over"},
	[CREEL_EV_APPROVAL_FLOOD] = {"approval.flood", false, true,
				     "a cell asked more than may be open at once"},
	[CREEL_EV_RECORD_OVERRUN] = {"record.overrun", false, true, "events were lost, and how many"},
	[CREEL_EV_RECORD_FOLD] = {"record.fold", false, true, "events over a cell's budget, counted"},
	[CREEL_EV_RECORD_REPAIR] = {"record.repair", false, true, "a torn last line was cut off"},
};
static_assert(sizeof(creel_event_kinds) / sizeof(creel_event_kinds[0]) == CREEL_EV_KINDS,
	      "a row for each kind");

bool creel_event_str(struct creel_event *e, const char *key, const char *s)
{
	if (e->n_fields == CREEL_EVENT_FIELDS)
		return false;
	e->fields[e->n_fields++] = (struct creel_event_field){.key = key, .s = s, .len = strlen(s)};
	return true;
}

bool creel_event_num(struct creel_event *e, const char *key, int64_t n)
{
	if (e->n_fields == CREEL_EVENT_FIELDS)
		return false;
	e->fields[e->n_fields++] = (struct creel_event_field){.key = key, .n = n};
	return true;
}
