#include "wire/ctl.h"
#include "wire/le.h"
#include <string.h>

size_t creel_ctl_encode(const struct creel_ctl *c, uint8_t buf[CREEL_CTL_MAX])
{
	size_t n = strnlen(c->name, sizeof(c->name) - 1);

	buf[0] = c->type;
	buf[1] = c->state;
	creel_put_le32(buf + 2, c->a);
	memcpy(buf + 6, c->name, n);
	return 6 + n;
}

int creel_ctl_decode(const uint8_t *buf, size_t len, struct creel_ctl *ret, struct creel_err *err)
{
	struct creel_ctl out = {0};

	if (len < 6 || len - 6 >= sizeof(out.name) || memchr(buf + 6, 0, len - 6))
		return creel_err_set(err, CREEL_E_PROTO, 0, "bad control message");
	out.type = buf[0];
	out.state = buf[1];
	out.a = creel_le32(buf + 2);
	memcpy(out.name, buf + 6, len - 6);
	if (!((out.type >= CREEL_CTL_READY && out.type <= CREEL_CTL_BYE) ||
	      (out.type >= CREEL_CTL_SHUTDOWN && out.type <= CREEL_CTL_SECRETS)) ||
	    out.state > CREEL_SVC_GAVE_UP)
		return creel_err_set(err, CREEL_E_PROTO, 0, "unknown control message %u", buf[0]);
	*ret = out;
	return 0;
}
