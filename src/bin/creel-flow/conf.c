#include "flow.h"
#include "linux/fd.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>

/*
 * One `WORD VALUE...` a line, written by the monitor: the policy's own (policy/policytext.h), and
 *   listen FD (once or twice: the redirected port by IPv4, by IPv6)
 *   pins FD, events FD                 sockets to the monitor and to the engine
 */
static int line_read(void *ctx, const char *word, char *rest, struct creel_err *err)
{
	struct flow_conf *c = ctx;
	int *slot = strcmp(word, "pins") == 0     ? &c->pins
		    : strcmp(word, "events") == 0 ? &c->events
		    : strcmp(word, "listen") == 0 ? &c->listen[c->listen[0] >= 0]
						  : NULL;

	if (!slot)
		return 0;
	if (*slot >= 0 || (*slot = creel_fd_number(rest)) < 0)
		return creel_err_set(err, CREEL_E_SYNTAX, 0, "%s FD", word);
	return 1;
}

void flow_policy_free(struct creel_policytext *pt)
{
	if (pt)
		creel_policytext_fini(pt);
	free(pt);
}

int flow_conf_read(int fd, struct flow_conf *ret, struct creel_err *err)
{
	struct creel_buf autoclean(creel_buf_fini) text;

	*ret = (struct flow_conf){.listen = {-1, -1}, .pins = -1, .events = -1};
	creel_buf_init(&text, CREEL_POLICYTEXT_MAX);
	int r = creel_fd_read(fd, &text, err);
	if (r < 0)
		return r;
	ret->pt = calloc(1, sizeof(*ret->pt)); /* a policy does not move */
	if (!ret->pt)
		return creel_err_nomem(err);
	r = creel_policytext_read(creel_buf_str(&text), text.len, line_read, ret, ret->pt, err);
	if (r == 0 && (ret->listen[0] < 0 || ret->pins < 0 || ret->events < 0))
		r = creel_err_set(err, CREEL_E_SYNTAX, 0, "listen, pins and events are needed");
	return r;
}
