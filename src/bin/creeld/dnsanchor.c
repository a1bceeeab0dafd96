#include "base/log.h"
#include "linux/fd.h"
#include "monitor.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

/*
 * The root's key of DNSSEC, for a creel-dns, which reads no file of the host: it is given the records as
 * text. The first of these that is there: STATE/dnssec-anchor, which is the administrator's; what the
 * distribution keeps up to date (Debian's dns-root-data); the two keys that the root has as this is written.
 */
enum { FILE_MAX = 65536, LINES_MAX = 16 };

static const char *const distribution[] = {"/usr/share/dns/root.key",
					   "/usr/share/dnssec-root/trusted-key.key"};
static const char builtin[] = /* https://data.iana.org/root-anchors/root-anchors.xml */
	". IN DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D\n"
	". IN DS 38696 8 2 683D2D0ACB8C9B712A1948B27F741219298D0A450D612C483AF444A4C0FB2B16\n";

/* @return 1 it is there, 0 it is not */
static int file_read(int dirfd, const char *path, struct creel_buf *out, struct creel_err *err)
{
	autofd int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

	if (fd < 0)
		return errno == ENOENT ? 0 : creel_err_set(err, CREEL_E_OS, errno, "open %s", path);
	int r = creel_fd_read(fd, out, err);
	return r < 0 ? creel_err_add(err, "read %s", path) : 1;
}

/* A record of the root: DS or DNSKEY, one a line; what follows `;` is a remark. */
static int line_add(char *line, struct creel_buf *out, struct creel_err *err)
{
	line[strcspn(line, ";")] = '\0';
	line += strspn(line, " \t\r");
	for (size_t n = strlen(line); n > 0 && strchr(" \t\r", line[n - 1]); n--)
		line[n - 1] = '\0';
	if (!*line)
		return 0;
	for (char *p = line; *p; p++)
		if (*p == '\t')
			*p = ' ';
		else if (*p < ' ' || *p > '~' || *p == '(')
			return creel_err_set(err, CREEL_E_SYNTAX, 0, "not a record on one line");
	if (line[0] != '.' || line[1] != ' ' || (!strstr(line, " DS ") && !strstr(line, " DNSKEY ")))
		return creel_err_set(err, CREEL_E_SYNTAX, 0, "neither DS nor DNSKEY of the root");
	int r = creel_buf_addf(out, err, "anchor %s\n", line);
	return r < 0 ? r : 1;
}

static int lines_add(char *text, struct creel_buf *out, struct creel_err *err)
{
	int n = 0, r = 0;

	for (char *line; r >= 0 && (line = strsep(&text, "\n")) != NULL; n += r > 0)
		r = line_add(line, out, err);
	if (r >= 0 && (n == 0 || n > LINES_MAX))
		return creel_err_set(err, CREEL_E_SYNTAX, 0, "has %d records", n);
	return r < 0 ? r : 0;
}

int dns_anchor(bool recursive, struct creel_buf *out, struct creel_err *err)
{
	struct creel_buf autoclean(creel_buf_fini) text;
	const char *from = "STATE/dnssec-anchor";
	int r;

	creel_buf_init(&text, FILE_MAX);
	r = file_read(mon.state_fd, "dnssec-anchor", &text, err);
	/* a resolver that is asked may keep signatures to itself, and then nothing would resolve */
	if (r == 0 && !recursive)
		return 0;
	for (size_t i = 0; r == 0 && i < ELEMENTSOF(distribution); i++)
		r = file_read(AT_FDCWD, from = distribution[i], &text, err);
	if (r == 0)
		r = creel_buf_adds(&text, builtin, err);
	if (r >= 0 && (r = lines_add((char *)text.data, out, err)) < 0)
		return creel_err_add(err, "%s", from);
	return r;
}
