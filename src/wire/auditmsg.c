#include "wire/auditmsg.h"
#include "wire/le.h"
#include <string.h>

enum { BIT_WRITE = 1, BIT_STORE = 2, BIT_SUCCESS = 4, BIT_GUEST = 8, BIT_KNOWN = 16 };
enum { AT_CELL = 24, AT_SECRET = 64, AT_EXE = 132, AT_PATH = 388, AT_END = 644 };

static void text_put(uint8_t *to, const char *s, size_t size)
{
	memcpy(to, s, strnlen(s, size - 1));
}

void creel_auditmsg_encode(const struct creel_auditmsg *m, uint8_t buf[CREEL_AUDITMSG])
{
	_Static_assert((int)AT_END <= (int)CREEL_AUDITMSG, "room for all of it");

	memset(buf, 0, CREEL_AUDITMSG);
	buf[0] = m->type;
	buf[1] = (uint8_t)((m->write ? BIT_WRITE : 0) | (m->store ? BIT_STORE : 0) |
			   (m->success ? BIT_SUCCESS : 0) | (m->guest ? BIT_GUEST : 0) |
			   (m->known ? BIT_KNOWN : 0));
	creel_put_le32(buf + 4, m->pid);
	creel_put_le32(buf + 8, m->uid);
	creel_put_le32(buf + 12, m->auid);
	creel_put_le32(buf + 16, m->count);
	text_put(buf + AT_CELL, m->cell, sizeof(m->cell));
	text_put(buf + AT_SECRET, m->secret, sizeof(m->secret));
	text_put(buf + AT_EXE, m->exe, sizeof(m->exe));
	text_put(buf + AT_PATH, m->path, sizeof(m->path));
}

int creel_auditmsg_decode(const uint8_t *buf, size_t len, struct creel_auditmsg *ret, struct creel_err *err)
{
	struct creel_auditmsg m = {0};

	if (len != CREEL_AUDITMSG)
		return creel_err_set(err, CREEL_E_PROTO, 0, "a message of %zu octets", len);
	m.type = buf[0];
	m.write = buf[1] & BIT_WRITE;
	m.store = buf[1] & BIT_STORE;
	m.success = buf[1] & BIT_SUCCESS;
	m.guest = buf[1] & BIT_GUEST;
	m.known = buf[1] & BIT_KNOWN;
	m.pid = creel_le32(buf + 4);
	m.uid = creel_le32(buf + 8);
	m.auid = creel_le32(buf + 12);
	m.count = creel_le32(buf + 16);
	memcpy(m.cell, buf + AT_CELL, sizeof(m.cell));
	memcpy(m.secret, buf + AT_SECRET, sizeof(m.secret));
	memcpy(m.exe, buf + AT_EXE, sizeof(m.exe));
	memcpy(m.path, buf + AT_PATH, sizeof(m.path));
	if ((m.type != CREEL_AUDITMSG_ACCESS && m.type != CREEL_AUDITMSG_LOST) || m.count == 0 ||
	    m.cell[sizeof(m.cell) - 1] || m.secret[sizeof(m.secret) - 1] || m.exe[sizeof(m.exe) - 1] ||
	    m.path[sizeof(m.path) - 1])
		return creel_err_set(err, CREEL_E_PROTO, 0, "a malformed message");
	*ret = m;
	return 0;
}
