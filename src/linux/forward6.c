#include "linux/forward6.h"
#include "base/cleanup.h"
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static bool has_route(void)
{
	static const char all[] = "00000000000000000000000000000000";
	autofile FILE *f = fopen("/proc/thread-self/net/ipv6_route", "re");
	char line[256], dst[33], dev[32];
	unsigned bits, flags;
	const unsigned reject = 0x200; /* RTF_REJECT */

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%32s %x %*s %*s %*s %*s %*s %*s %x %31s", dst, &bits, &flags, dev) == 4 &&
		    bits == 0 && strcmp(dst, all) == 0 && !(flags & reject) && strcmp(dev, "lo") != 0)
			return true;
	return false;
}

const char *creel_ipv6_missing(void)
{
	char on = '0';
	autofd int fd = open("/proc/sys/net/ipv6/conf/all/forwarding", O_RDONLY | O_CLOEXEC);

	if (fd < 0 || !has_route())
		return "this host has no IPv6 route";
	/* for one interface alone it cannot be had, and turned on for all a host forgets its own router */
	if (read(fd, &on, 1) != 1 || on == '0')
		return "this host forwards no IPv6 (sysctl net.ipv6.conf.all.forwarding)";
	return NULL;
}
