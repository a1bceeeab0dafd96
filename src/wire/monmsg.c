#include "wire/monmsg.h"
#include "wire/le.h"
#include <string.h>

enum { AT_A = 8, AT_B = 16, AT_HASH = 24, AT_CELL = 56, AT_TEXT = 96 };

void creel_monmsg_encode(const struct creel_monmsg *m, uint8_t buf[CREEL_MONMSG])
{
	memset(buf, 0, CREEL_MONMSG);
	buf[0] = m->type;
	buf[1] = m->state;
	creel_put_le64(buf + AT_A, m->a);
	creel_put_le64(buf + AT_B, m->b);
	memcpy(buf + AT_HASH, m->hash, sizeof(m->hash));
	memcpy(buf + AT_CELL, m->cell, strnlen(m->cell, sizeof(m->cell) - 1));
	memcpy(buf + AT_TEXT, m->text, strnlen(m->text, sizeof(m->text) - 1));
}

int creel_monmsg_decode(const uint8_t *buf, size_t len, struct creel_monmsg *ret, struct creel_err *err)
{
	struct creel_monmsg out = {0};

	if (len != CREEL_MONMSG)
		return creel_err_set(err, CREEL_E_PROTO, 0, "monitor message of %zu octets", len);
	out.type = buf[0];
	out.state = buf[1];
	out.a = creel_le64(buf + AT_A);
	out.b = creel_le64(buf + AT_B);
	memcpy(out.hash, buf + AT_HASH, sizeof(out.hash));
	memcpy(out.cell, buf + AT_CELL, sizeof(out.cell));
	memcpy(out.text, buf + AT_TEXT, sizeof(out.text));
	if (!((out.type >= CREEL_MON_START && out.type < CREEL_MON_REQUEST_END) ||
	      (out.type >= CREEL_MON_PLAN && out.type <= CREEL_MON_SYNCED)) ||
	    out.cell[sizeof(out.cell) - 1] || out.text[sizeof(out.text) - 1])
		return creel_err_set(err, CREEL_E_PROTO, 0, "monitor message of type %u", out.type);
	*ret = out;
	return 0;
}
