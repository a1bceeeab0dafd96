#include <stdio.h>
#include <sys/utsname.h>
#include <unistd.h>

/* The one program of an image that tests/e2e/docker imports: says where it is, and what it sees of the cell. */
int main(int argc, char **argv)
{
	struct utsname u;

	if (uname(&u) < 0)
		return 1;
	printf("in a container: pid %d, host name %s, secrets %s, argument %s\n", (int)getpid(), u.nodename,
	       access("/run/secrets", F_OK) == 0 ? "seen" : "not seen", argc > 1 ? argv[1] : "none");
	return fflush(stdout) == 0 ? 7 : 1;
}
