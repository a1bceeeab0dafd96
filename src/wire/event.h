#pragma once
#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * An event before it is a line: a kind, the cell, who says it, and up to CREEL_EVENT_FIELDS typed
 * fields. Strings are borrowed and may hold any octets: the one writer escapes them.
 */
enum creel_event_kind {
	CREEL_EV_CREELD_START,
	CREEL_EV_CREELD_STOP,
	CREEL_EV_CELL_START,
	CREEL_EV_CELL_READY,
	CREEL_EV_CELL_EXIT,
	CREEL_EV_CELL_KILL,
	CREEL_EV_CELL_NOTE,
	CREEL_EV_SERVICE_START,
	CREEL_EV_SERVICE_READY,
	CREEL_EV_SERVICE_EXIT,
	CREEL_EV_EXEC_START,
	CREEL_EV_EXEC_END,
	CREEL_EV_SECRET_SET,
	CREEL_EV_SECRET_STAGE,
	CREEL_EV_SECRET_READ,
	CREEL_EV_SECRET_WRITE,
	CREEL_EV_EGRESS_ALLOW,
	CREEL_EV_EGRESS_DENY,
	CREEL_EV_EGRESS_END,
	CREEL_EV_REACH_ALLOW,
	CREEL_EV_REACH_DENY,
	CREEL_EV_DNS_QUERY,
	CREEL_EV_DNS_REFUSE,
	CREEL_EV_DNS_TUNNEL,
	CREEL_EV_IMAGE_BUILD,
	CREEL_EV_FILE_RESTORE,
	CREEL_EV_POLICY_CHANGE,
	CREEL_EV_KILLSWITCH_SET,
	CREEL_EV_GATE_EXEC,
	CREEL_EV_GATE_ASK,
	CREEL_EV_GATE_DENY,
	CREEL_EV_BROKER_ALLOW,
	CREEL_EV_BROKER_DENY,
	CREEL_EV_BROKER_END,
	CREEL_EV_DEFENDER_WARN,
	CREEL_EV_DEFENDER_SANITIZE,
	CREEL_EV_DEFENDER_BLOCK,
	CREEL_EV_DEFENDER_ERROR,
	CREEL_EV_APPROVAL_ASK,
	CREEL_EV_APPROVAL_GRANT,
	CREEL_EV_APPROVAL_DENY,
	CREEL_EV_APPROVAL_EXPIRE,
	CREEL_EV_APPROVAL_FLOOD,
	CREEL_EV_RECORD_OVERRUN,
	CREEL_EV_RECORD_FOLD,
	CREEL_EV_RECORD_REPAIR,
	CREEL_EV_KINDS,
};

struct creel_event_kind_row {
	const char *name;
	bool guest;       /* a guest's word may cause it */
	bool durable;     /* on disk before its effect */
	const char *what; /* one line for the manual */
};
extern const struct creel_event_kind_row creel_event_kinds[CREEL_EV_KINDS];
/** Each kind's own fields, for creel-events(5); NULL: none, or not written down. eventdoc.c */
extern const char *const creel_event_fields_doc[CREEL_EV_KINDS];

enum { CREEL_EVENT_FIELDS = 16, CREEL_EVENT_STRING = 8192 };

struct creel_event_field {
	const char *key; /* ours: [a-z_]+ */
	const char *s;   /* NULL: a number */
	size_t len;
	int64_t n;
};

struct creel_event {
	enum creel_event_kind kind;
	const char *cell; /* "" when it is not about one */
	bool by_guest;
	size_t n_fields;
	struct creel_event_field fields[CREEL_EVENT_FIELDS];
};

/** Add a field; over CREEL_EVENT_FIELDS it is dropped and false returned. */
bool creel_event_str(struct creel_event *e, const char *key, const char *s);
bool creel_event_num(struct creel_event *e, const char *key, int64_t n);
