#include "init.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/*
 * The CA of this start's broker, which the initramfs carries where something is intercepted: a line with the
 * name that OpenSSL looks for in a folder of CAs, then the certificate. It is put where programs look: at the
 * bundle's end, in the folder, and where update-ca-certificates(8) finds it again. The root is new at each
 * start, so there is never another one's.
 */
#define BUNDLE "/etc/ssl/certs/ca-certificates.crt"
#define OWN    "/usr/local/share/ca-certificates/creel-broker.crt"
#define LINK   "/etc/ssl/certs/"

static char pem[8192], hash[12];

void trust_read(void)
{
	autofd int fd = open("/creel/ca.pem", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, pem, sizeof(pem) - 1);
	char *end = n > 0 ? strchr(pem, '\n') : NULL;
	size_t len = end ? (size_t)(end - pem) : 0;

	if (len == 0 || len >= sizeof(hash) || strspn(pem, "0123456789abcdef") != len) {
		pem[0] = '\0';
		return;
	}
	memcpy(hash, pem, len);
	memmove(pem, end + 1, strlen(end + 1) + 1);
}

static void put(const char *path, int flags)
{
	autofd int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0644);

	/* a bundle may end in the midst of a line */
	if (fd >= 0 && flags & O_APPEND)
		(void)!write(fd, "\n", 1);
	if (fd < 0 || write(fd, pem, strlen(pem)) != (ssize_t)strlen(pem))
		say("%s: %s", path, strerror(errno));
}

void trust_write(void)
{
	static const char *const folders[] = {"/etc/ssl", "/etc/ssl/certs", "/usr/local/share",
					      "/usr/local/share/ca-certificates"};
	char link[64];

	if (!pem[0])
		return;
	for (size_t i = 0; i < ELEMENTSOF(folders); i++)
		(void)mkdir(folders[i], 0755);
	put(OWN, O_TRUNC);
	put(BUNDLE, O_APPEND);
	/* .0 is another's where its subject has the same hash; one of ten is free */
	for (int i = 0; i < 10; i++) {
		(void)snprintf(link, sizeof(link), LINK "%s.%d", hash, i);
		if (symlink(OWN, link) == 0 || errno != EEXIST)
			return;
	}
}

const char *trust_env(void)
{
	return pem[0] ? "NODE_EXTRA_CA_CERTS=" OWN : NULL;
}
