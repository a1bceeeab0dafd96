/*
 * share-guest FOLDER: in a guest, as root: what of the share's server can be opened by handles that the guest makes
 * up. A handle of FUSE is a node's number and generation (fs/fuse/inode.c, fuse_encode_fh), and the numbers are the
 * server's. Prints "opened ID" and what is in it, for each; "own" first, when a handle that was given works.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { NODES = 512, GENERATIONS = 3 };

union handle {
	struct file_handle h;
	uint32_t word[34]; /* the first two are its length and type */
};

static void open_one(int mount, union handle *h, const char *what)
{
	char buf[4096];
	int fd = open_by_handle_at(mount, &h->h, O_RDONLY | O_NONBLOCK);

	if (fd < 0)
		return;
	ssize_t n = read(fd, buf, sizeof(buf));
	printf("%s %.*s\n", what, n > 0 ? (int)n : 0, buf);
	/* a folder: what is above and below it */
	static const char *const names[] = {"..", "../..", "../other/secrets", "../../other/secrets",
					    "../../../.."};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		int up = openat(fd, names[i], O_PATH | O_DIRECTORY);
		int other = up < 0 ? -1 : openat(up, "key", O_RDONLY);
		if (other >= 0 && (n = read(other, buf, sizeof(buf))) > 0)
			printf("by %s: %.*s\n", names[i], (int)n, buf);
		if (other >= 0)
			close(other);
		if (up >= 0)
			close(up);
	}
	close(fd);
}

int main(int argc, char **argv)
{
	char path[256], what[64];
	int id = 0;

	(void)snprintf(path, sizeof(path), "%s/one", argc > 1 ? argv[1] : "/run/secrets");
	int file = open(path, O_RDONLY),
	    mount = open(argc > 1 ? argv[1] : "/run/secrets", O_RDONLY | O_DIRECTORY);
	union handle h = {.h.handle_bytes = sizeof(h.word) - 8};
	if (file < 0 || mount < 0 || name_to_handle_at(AT_FDCWD, path, &h.h, &id, 0) < 0) {
		perror("a handle");
		return 1;
	}
	open_one(mount, &h, "own");
	for (uint32_t node = 1; node <= NODES; node++)
		for (uint32_t gen = 0; gen < GENERATIONS; gen++) {
			/* the number's upper half, its lower, the generation */
			h.word[2] = 0;
			h.word[3] = node;
			h.word[4] = gen;
			(void)snprintf(what, sizeof(what), "opened %u", node);
			open_one(mount, &h, what);
		}
	puts("done");
	return 0;
}
