/*
 * share-fuse PID FD UID OWN WEAKEN...: a captured guest's kernel before the server of its cell's secrets. It takes FD of
 * process PID, the machine's end of the share (vhost-user), and speaks FUSE over a virtio queue in words of its own,
 * which no kernel would say, as user UID, the server's own: names with slashes and dots, nodes and handles made up,
 * devices, links, writes. OWN is a file of the share. Prints "own" when that can be read, "read WHAT: CONTENT" for each other file, "did WHAT" for each
 * change that the server granted. Then runs WEAKEN, and tries all of it again ("twin: " before each line).
 */
#include "base/cleanup.h"
#include <fcntl.h>
#include <linux/fuse.h>
#include <linux/virtio_ring.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { /* vhost-user, docs/interop/vhost-user.rst of QEMU */
       GET_FEATURES = 1,
       SET_FEATURES,
       SET_OWNER,
       SET_MEM_TABLE = 5,
       SET_VRING_NUM = 8,
       SET_VRING_ADDR,
       SET_VRING_BASE,
       SET_VRING_KICK = 12,
       SET_VRING_CALL,
};
enum { QUEUE = 1, ENTRIES = 4, REQUEST_AT = 4096, REPLY_AT = 128 << 10, MEMORY = 512 << 10, WAIT_MS = 20000 };
#define GUEST_AT 0x100000ULL /* where the guest's memory begins, to the server */

static const char *own, *prefix = "";
static uint8_t *mem;
static struct vring ring;
static int kick;
static uint16_t n_asked;
static uint32_t uid;

static _Noreturn void fail(const char *what)
{
	fprintf(stderr, "share-fuse: %s: %m\n", what);
	exit(1);
}

/* --- the queue -------------------------------------------------------------------------------- */

static void say(int sock, uint32_t request, const void *payload, uint32_t len, int fd)
{
	struct {
		uint32_t request, flags, size;
		uint8_t payload[64];
	} m = {request, 1, len, {0}};
	union {
		struct cmsghdr h;
		char buf[CMSG_SPACE(sizeof(int))];
	} c = {.h = {.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
	struct iovec v = {&m, 12 + len};
	struct msghdr h = {.msg_iov = &v, .msg_iovlen = 1};

	if (len > 0)
		memcpy(m.payload, payload, len);
	if (fd >= 0) {
		memcpy(CMSG_DATA(&c.h), &fd, sizeof(fd));
		h.msg_control = c.buf;
		h.msg_controllen = sizeof(c.buf);
	}
	if (sendmsg(sock, &h, MSG_NOSIGNAL) != (ssize_t)v.iov_len)
		fail("speak to the server");
}

static void begin(int sock)
{
	int fd = memfd_create("guest", MFD_CLOEXEC), called = eventfd(0, EFD_CLOEXEC);
	uint64_t features = 1ULL << 32; /* VIRTIO_F_VERSION_1 */
	uint32_t answer[5];

	kick = eventfd(0, EFD_CLOEXEC);
	if (fd < 0 || called < 0 || kick < 0 || ftruncate(fd, MEMORY) < 0)
		fail("make a guest's memory");
	mem = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (mem == MAP_FAILED)
		fail("map it");
	vring_init(&ring, ENTRIES, mem, 64);
	say(sock, GET_FEATURES, NULL, 0, -1);
	if (recv(sock, answer, sizeof(answer), MSG_WAITALL) != sizeof(answer) || answer[0] != GET_FEATURES)
		fail("hear the server");
	say(sock, SET_OWNER, NULL, 0, -1);
	say(sock, SET_FEATURES, &features, sizeof(features), -1);
	const struct {
		uint32_t n, padding;
		uint64_t guest, size, user, offset;
	} table = {1, 0, GUEST_AT, MEMORY, GUEST_AT, 0};
	say(sock, SET_MEM_TABLE, &table, sizeof(table), fd);
	const uint32_t num[] = {QUEUE, ENTRIES}, base[] = {QUEUE, 0};
	say(sock, SET_VRING_NUM, num, sizeof(num), -1);
	say(sock, SET_VRING_BASE, base, sizeof(base), -1);
	const struct {
		uint32_t index, flags;
		uint64_t desc, used, avail, log;
	} at = {QUEUE,
		0,
		GUEST_AT,
		GUEST_AT + (uint64_t)((uint8_t *)ring.used - mem),
		GUEST_AT + (uint64_t)((uint8_t *)ring.avail - mem),
		0};
	say(sock, SET_VRING_ADDR, &at, sizeof(at), -1);
	const uint64_t index = QUEUE;
	say(sock, SET_VRING_CALL, &index, sizeof(index), called);
	say(sock, SET_VRING_KICK, &index, sizeof(index), kick);
}

/* One request. @return octets behind the answer's head, or a negative errno */
static int ask(uint32_t op, uint64_t node, const void *arg, size_t len)
{
	struct fuse_in_header h = {.len = (uint32_t)(sizeof(h) + len),
				   .opcode = op,
				   .unique = n_asked + 1U,
				   .nodeid = node,
				   .uid = uid,
				   .gid = uid,
				   .pid = 1};
	struct fuse_out_header out;

	memcpy(mem + REQUEST_AT, &h, sizeof(h));
	memcpy(mem + REQUEST_AT + sizeof(h), arg, len);
	memset(mem + REPLY_AT, 0, sizeof(out));
	ring.desc[0] = (struct vring_desc){GUEST_AT + REQUEST_AT, h.len, VRING_DESC_F_NEXT, 1};
	ring.desc[1] = (struct vring_desc){GUEST_AT + REPLY_AT, MEMORY - REPLY_AT, VRING_DESC_F_WRITE, 0};
	ring.avail->ring[n_asked % ENTRIES] = 0;
	__atomic_store_n(&ring.avail->idx, ++n_asked, __ATOMIC_SEQ_CST);
	if (eventfd_write(kick, 1) < 0)
		fail("kick");
	for (int i = 0; __atomic_load_n(&ring.used->idx, __ATOMIC_SEQ_CST) != n_asked; i++) {
		if (i == WAIT_MS * 10) {
			fprintf(stderr, "share-fuse: no answer to operation %u\n", op);
			exit(1);
		}
		(void)usleep(100);
	}
	memcpy(&out, mem + REPLY_AT, sizeof(out));
	return out.error ? out.error : (int)(out.len - sizeof(out));
}

static const void *answer(void)
{
	return mem + REPLY_AT + sizeof(struct fuse_out_header);
}

/* --- tries ------------------------------------------------------------------------------------ */

static void did(int r, const char *what)
{
	if (r >= 0)
		printf("%sdid %s\n", prefix, what);
}

/* A structure, and names behind it. */
static int ask_named(uint32_t op, uint64_t node, const void *head, size_t len, const char *name,
		     const char *second)
{
	char arg[512];
	size_t n = len;

	if (len > 0)
		memcpy(arg, head, len);
	for (const char *const *s = (const char *const[]){name, second, NULL}; *s; s++) {
		memcpy(arg + n, *s, strlen(*s) + 1);
		n += strlen(*s) + 1;
	}
	return ask(op, node, arg, n);
}

static uint64_t lookup(uint64_t node, const char *name, uint32_t *ret_mode)
{
	const struct fuse_entry_out *e = answer();

	if (ask_named(FUSE_LOOKUP, node, NULL, 0, name, NULL) < (int)sizeof(*e))
		return 0;
	if (ret_mode)
		*ret_mode = e->attr.mode;
	return e->nodeid;
}

static void read_handle(uint64_t node, uint64_t fh, const char *what)
{
	const struct fuse_read_in in = {.fh = fh, .size = 4096};
	int n = ask(FUSE_READ, node, &in, sizeof(in));

	if (n > 0)
		printf("%s%s %.*s\n", prefix, what, n, (const char *)answer());
}

static void read_node(uint64_t node, const char *what)
{
	const struct fuse_open_in in = {.flags = O_RDONLY};
	const struct fuse_open_out *o = answer();

	if (ask(FUSE_OPEN, node, &in, sizeof(in)) >= (int)sizeof(*o))
		read_handle(node, o->fh, what);
}

/* From a folder down and up by names that a kernel would never hand on. */
static void names_try(uint64_t node)
{
	static const char *const names[] = {
		"..",
		"../..",
		"../../other/secrets/key",
		"../other/secrets/key",
		"/../other/secrets/key",
		"./../../other/secrets/key",
		"below/key",
		"/etc/passwd",
		"/proc/self/environ",
		".",
		"",
		"/",
		"other",
		"key",
		"/share/../share",
	};
	char what[128];

	for (size_t i = 0; i < ELEMENTSOF(names); i++) {
		uint32_t mode = 0;
		uint64_t got = lookup(node, names[i], &mode);
		(void)snprintf(what, sizeof(what), "read %s:", names[i]);
		if (got && S_ISREG(mode))
			read_node(got, what);
		/* a folder of another name: what is above and below it */
		uint64_t up = got && S_ISDIR(mode) ? got : 0;
		for (int k = 0; up && k < 4; k++)
			up = lookup(up, "..", NULL);
		for (size_t k = 0; up && k < 3; k++) {
			static const char *const path[] = {"run", "cells", "other"};
			up = lookup(up, path[k], NULL);
		}
		if (up)
			printf("%sread %s: leads out\n", prefix, names[i]);
	}
	uint64_t below = lookup(node, "below", NULL), key = below ? lookup(below, "key", NULL) : 0;
	if (key)
		read_node(key, "read below:");
}

static void made_up_try(void)
{
	static const uint64_t far[] = {UINT64_MAX, 1ULL << 63, 1ULL << 32, 0xffffffff};

	for (uint64_t node = 2; node < 600; node++) {
		uint64_t id = node < 596 ? node : far[node - 596];
		const struct fuse_getattr_in attr = {0};
		if (ask(FUSE_READLINK, id, "", 0) > 0)
			printf("%sread the link of node %ju: %.64s\n", prefix, (uintmax_t)id,
			       (const char *)answer());
		if (ask(FUSE_GETATTR, id, &attr, sizeof(attr)) > 0 && lookup(id, "..", NULL) > 0)
			names_try(id);
		read_node(id, "read by a node:");
		read_handle(FUSE_ROOT_ID, id, "read by a handle:");
	}
}

static void devices_and_links_try(uint64_t node)
{
	static const char *const names[] = {"made", "../made", "../../other/secrets/made"};

	for (size_t i = 0; i < ELEMENTSOF(names); i++) {
		const char *s = names[i];
		const struct fuse_mknod_in disk = {.mode = S_IFBLK | 0666, .rdev = 254 << 8};
		const struct fuse_mknod_in file = {.mode = S_IFREG | 0666};
		const struct fuse_mkdir_in folder = {.mode = 0777};
		const struct fuse_link_in link = {.oldnodeid = node};
		const struct fuse_create_in create = {.flags = O_RDWR | O_CREAT, .mode = 0666};
		const struct fuse_rename2_in move = {.newdir = FUSE_ROOT_ID};
		did(ask_named(FUSE_MKNOD, 1, &disk, sizeof(disk), s, NULL), "mknod of a disk");
		did(ask_named(FUSE_MKNOD, 1, &file, sizeof(file), s, NULL), "mknod");
		did(ask_named(FUSE_UNLINK, 1, NULL, 0, s, NULL), "unlink");
		did(ask_named(FUSE_MKDIR, 1, &folder, sizeof(folder), s, NULL), "mkdir");
		did(ask_named(FUSE_RMDIR, 1, NULL, 0, s, NULL), "rmdir");
		did(ask_named(FUSE_SYMLINK, 1, NULL, 0, s, "../../other/secrets/key"), "symlink");
		uint64_t to = lookup(1, s, NULL);
		if (to)
			read_node(to, "read by a link of ours:");
		did(ask_named(FUSE_UNLINK, 1, NULL, 0, s, NULL), "unlink");
		did(ask_named(FUSE_LINK, 1, &link, sizeof(link), s, NULL), "link");
		did(ask_named(FUSE_RENAME2, 1, &move, sizeof(move), s, "moved"), "rename");
		did(ask_named(FUSE_CREATE, 1, &create, sizeof(create), s, NULL), "create");
	}
}

static void writes_try(uint64_t node)
{
	static const uint32_t how[] = {O_RDWR, O_WRONLY | O_TRUNC, O_RDWR | O_APPEND, O_RDONLY};
	const struct fuse_setattr_in cut = {.valid = FATTR_SIZE}, mode = {.valid = FATTR_MODE, .mode = 0777},
				     whose = {.valid = FATTR_UID | FATTR_GID};
	const struct fuse_setxattr_in x = {.size = 1};

	for (size_t i = 0; i < ELEMENTSOF(how); i++) {
		const struct fuse_open_in in = {.flags = how[i]};
		const struct fuse_open_out *o = answer();
		int r = ask(FUSE_OPEN, node, &in, sizeof(in));
		if (r < (int)sizeof(*o))
			continue;
		struct {
			struct fuse_write_in head;
			char data[4];
		} w = {{.fh = o->fh, .size = 4, .flags = how[i]}, "mine"};
		const struct fuse_fallocate_in space = {.fh = o->fh, .length = 100};
		did(ask(FUSE_WRITE, node, &w, sizeof(w.head) + 4), "write");
		did(ask(FUSE_FALLOCATE, node, &space, sizeof(space)), "fallocate");
	}
	did(ask(FUSE_SETATTR, node, &cut, sizeof(cut)), "truncate");
	did(ask(FUSE_SETATTR, node, &mode, sizeof(mode)), "chmod");
	did(ask(FUSE_SETATTR, node, &whose, sizeof(whose)), "chown");
	did(ask_named(FUSE_SETXATTR, node, &x, sizeof(x), "user.mine", "x"), "setxattr");
}

static void all_try(void)
{
	uint64_t node = lookup(FUSE_ROOT_ID, own, NULL);

	if (!node)
		fail("find the cell's own file");
	read_node(node, "own");
	names_try(FUSE_ROOT_ID);
	names_try(node);
	made_up_try();
	devices_and_links_try(node);
	writes_try(node);
	printf("%sfinished\n", prefix);
	(void)fflush(stdout);
}

int main(int argc, char **argv)
{
	const struct fuse_init_in init = {.major = 7, .minor = 31, .max_readahead = 65536};
	int status;

	if (argc < 6)
		return 2;
	uid = (uint32_t)atoi(argv[3]);
	own = argv[4];
	int process = (int)syscall(SYS_pidfd_open, atoi(argv[1]), 0);
	int sock = process < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, process, atoi(argv[2]), 0);
	if (sock < 0)
		fail("take the machine's end");
	begin(sock);
	if (ask(FUSE_INIT, 0, &init, offsetof(struct fuse_init_in, flags) + 4) < 0)
		fail("begin");
	all_try();
	pid_t pid = fork();
	if (pid == 0) {
		execv(argv[5], argv + 5);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
		fail("weaken the share");
	prefix = "twin: ";
	all_try();
	return 0;
}
