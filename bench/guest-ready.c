/* Ours of `boot`: jail, QEMU and creel-init until READY, as the tests start a guest. Prints kB used. */
#include "tests/cmocka-all.h"
#include "tests/e2e/guest.h"
#include <signal.h>
#include <stdio.h>

static const struct creel_boot boot = {.cell = "box"};

int main(void)
{
	static struct guest g;

	signal(SIGPIPE, SIG_IGN);
	guest_start(&g, &boot, -1);
	if (!guest_wait(&g, &g.ready, 120000))
		return 1;
	printf("%u\n", g.used_kb);
	guest_kill(&g);
	return 0;
}
