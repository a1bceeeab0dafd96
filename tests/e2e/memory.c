/*
 * memory PID TEXT: is TEXT in what a process has in its memory? Prints how often; exit status 0 when it
 * is, 1 when it is not, 2 when its memory cannot be read. For root: PR_SET_DUMPABLE does not stop it.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BLOCK = 1 << 20 };

static unsigned long count(int fd, unsigned long from, unsigned long to, const char *text, size_t len)
{
	static char buf[BLOCK + 4096];
	unsigned long n = 0;
	size_t kept = 0;

	while (from < to) {
		size_t want = to - from < BLOCK ? (size_t)(to - from) : BLOCK;
		ssize_t got = pread(fd, buf + kept, want, (off_t)from);
		if (got <= 0)
			return n;
		size_t all = kept + (size_t)got;
		for (char *p = buf; (p = memmem(p, all - (size_t)(p - buf), text, len)); p++)
			n++;
		/* what may be a beginning of it, for the next block */
		kept = all < len - 1 ? all : len - 1;
		memmove(buf, buf + all - kept, kept);
		from += (unsigned long)got;
	}
	return n;
}

int main(int argc, char **argv)
{
	unsigned long from, to, n = 0, octets = 0;
	char path[64], line[512], mode[8];

	if (argc != 3 || strlen(argv[2]) < 8)
		return 2;
	(void)snprintf(path, sizeof(path), "/proc/%d/maps", atoi(argv[1]));
	FILE *maps = fopen(path, "re");
	(void)snprintf(path, sizeof(path), "/proc/%d/mem", atoi(argv[1]));
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (!maps || fd < 0)
		return 2;
	while (fgets(line, sizeof(line), maps)) {
		if (sscanf(line, "%lx-%lx %7s", &from, &to, mode) != 3 || mode[0] != 'r' ||
		    strstr(line, "[vvar") || strstr(line, "[vsyscall]"))
			continue;
		n += count(fd, from, to, argv[2], strlen(argv[2]));
		octets += to - from;
	}
	fclose(maps);
	close(fd);
	printf("%lu in %lu kB\n", n, octets >> 10);
	return octets == 0 ? 2 : n == 0;
}
