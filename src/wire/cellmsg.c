#include "wire/cellmsg.h"
#include "wire/le.h"
#include <string.h>

void creel_cellmsg_encode(const struct creel_cellmsg *m, uint8_t buf[CREEL_CELLMSG])
{
	memset(buf, 0, CREEL_CELLMSG);
	buf[0] = m->type;
	buf[1] = m->state;
	creel_put_le32(buf + 4, m->id);
	creel_put_le32(buf + 8, m->a);
	memcpy(buf + 16, m->name, strnlen(m->name, sizeof(m->name) - 1));
}

/* Octets that may follow. */
static size_t more_max(uint8_t type)
{
	switch (type) {
	case CREEL_CELL_OPEN:
		return CREEL_CELLMSG_SPEC;
	case CREEL_CELL_CALL:
		return CREEL_CALL_MAX;
	case CREEL_CELL_ANSWER:
		return CREEL_CALL_REPLY_MAX;
	default:
		return 0;
	}
}

int creel_cellmsg_decode(const uint8_t *buf, size_t len, struct creel_cellmsg *ret, struct creel_err *err)
{
	struct creel_cellmsg out = {0};

	if (len < CREEL_CELLMSG || len - CREEL_CELLMSG > more_max(buf[0]))
		return creel_err_set(err, CREEL_E_PROTO, 0, "cell message of %zu octets", len);
	out.type = buf[0];
	out.state = buf[1];
	out.id = creel_le32(buf + 4);
	out.a = creel_le32(buf + 8);
	memcpy(out.name, buf + 16, sizeof(out.name));
	if (!((out.type >= CREEL_CELL_OPEN && out.type < CREEL_CELL_REQUEST_END) ||
	      (out.type >= CREEL_CELL_HELLO && out.type < CREEL_CELL_END)) ||
	    out.name[sizeof(out.name) - 1] != '\0' || (out.type == CREEL_CELL_OPEN && out.id == 0))
		return creel_err_set(err, CREEL_E_PROTO, 0, "cell message of type %u", out.type);
	*ret = out;
	return 0;
}
