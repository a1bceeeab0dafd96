#include "base/cleanup.h"
#include "image/build.h"
#include "image/tree.h"
#include "wire/cpio.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* what the kernel has built in is passed over */
const char *const build_modules[] = {
	"drivers/virtio/virtio_ring",
	"drivers/virtio/virtio",
	"drivers/virtio/virtio_mmio",
	"drivers/block/virtio_blk",
	"net/core/failover",
	"drivers/net/net_failover",
	"drivers/net/virtio_net",
	"drivers/char/virtio_console",
	"fs/fuse/fuse",
	"fs/fuse/virtiofs",
	"fs/overlayfs/overlay",
	"lib/libcrc32c",
	"fs/erofs/erofs",
	"fs/mbcache",
	"fs/jbd2/jbd2",
	"fs/ext4/ext4",
	NULL,
};

/* a bridge, its ends, and what Debian's iptables makes of dockerd's rules; each after what it needs */
const char *const build_docker_modules[] = {
	"net/llc/llc",
	"net/802/stp",
	"net/bridge/bridge",
	"net/bridge/br_netfilter",
	"drivers/net/veth",
	"net/ipv4/netfilter/nf_defrag_ipv4",
	"net/ipv6/netfilter/nf_defrag_ipv6",
	"net/netfilter/nf_conntrack",
	"net/netfilter/nf_nat",
	"net/netfilter/nfnetlink",
	"net/netfilter/nf_tables",
	"net/netfilter/x_tables",
	"net/netfilter/nft_compat",
	"net/netfilter/nft_chain_nat",
	"net/netfilter/xt_MASQUERADE",
	"net/netfilter/xt_conntrack",
	"net/netfilter/xt_addrtype",
	"net/netfilter/xt_nat",
	"net/netfilter/xt_tcpudp",
	"net/netfilter/xt_comment",
	NULL,
};

/* The name in folder @p dir of the kernel's tree that begins with @p begin. */
static int name_find(const struct build *b, const char *dir, const char *begin, char *ret, size_t size,
		     struct creel_err *err)
{
	int fd = build_open(b, dir, err);
	autodir DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (!d)
		return fd < 0 ? fd : creel_err_set(err, CREEL_E_OS, errno, "read %s of the build", dir);
	for (struct dirent *e; (e = readdir(d));)
		if (e->d_name[0] != '.' && strncmp(e->d_name, begin, strlen(begin)) == 0) {
			(void)snprintf(ret, size, "%s/%s", dir, e->d_name);
			return 0;
		}
	return creel_err_set(err, CREEL_E_NOTFOUND, 0, "the kernel's package has nothing in %s", dir);
}

static int vmlinuz_take(struct build *b, struct creel_err *err)
{
	struct creel_buf autoclean(creel_buf_fini) file;
	char path[512], to[PATH_MAX];

	creel_buf_init(&file, 128 << 20);
	int r = name_find(b, "kernel/boot", "vmlinuz-", path, sizeof(path), err);
	if (r == 0)
		r = build_read(b, path, &file, err);
	(void)snprintf(to, sizeof(to), "%s/out/vmlinuz", b->tmp);
	return r < 0 ? r : creel_tree_write(to, file.data, file.len, err);
}

static int module_add(struct build *b, struct creel_cpio *c, const char *dir, const char *module,
		      struct creel_buf *list, struct creel_err *err)
{
	struct creel_buf autoclean(creel_buf_fini) file;
	struct creel_err missing = {0};
	char path[700], name[128];

	creel_buf_init(&file, 16 << 20);
	(void)snprintf(path, sizeof(path), "%s/kernel/%s.ko", dir, module);
	int r = build_read(b, path, &file, &missing);
	if (r < 0 && missing.os == ENOENT)
		return 0;
	if (r < 0) {
		*err = missing;
		return r;
	}
	(void)snprintf(name, sizeof(name), "lib/%s.ko", strrchr(module, '/') + 1);
	r = creel_cpio_add(c, name, S_IFREG | 0644, file.data, file.len, err);
	return r < 0 ? r : creel_buf_addf(list, err, "/%s\n", name);
}

int build_initramfs(struct build *b, struct creel_err *err)
{
	static const char *const dirs[] = {"creel", "dev", "lib", "proc", "sys"};
	struct creel_buf autoclean(creel_buf_fini) out, autoclean(creel_buf_fini) list,
		autoclean(creel_buf_fini) file;
	struct creel_cpio c;
	char path[PATH_MAX], modules[512];
	int r = vmlinuz_take(b, err);

	creel_buf_init(&out, 64 << 20);
	creel_buf_init(&list, 8192);
	creel_buf_init(&file, 16 << 20);
	creel_cpio_begin(&c, &out);
	if (r == 0)
		r = name_find(b, "kernel/lib/modules", "", modules, sizeof(modules), err);
	for (size_t i = 0; r == 0 && i < ELEMENTSOF(dirs); i++)
		r = creel_cpio_add(&c, dirs[i], S_IFDIR | 0755, NULL, 0, err);
	/* the kernel opens it before /init runs */
	if (r == 0)
		r = creel_cpio_add_chrdev(&c, "dev/console", 0600, 5, 1, err);
	if (r == 0)
		r = creel_tree_read(b->env->init_path, &file, err);
	if (r == 0)
		r = creel_cpio_add(&c, "init", S_IFREG | 0755, file.data, file.len, err);
	for (const char *const *m = build_modules; r == 0 && *m; m++)
		r = module_add(b, &c, modules, *m, &list, err);
	for (const char *const *m = build_docker_modules; r == 0 && b->spec->recipe->docker.v && *m; m++)
		r = module_add(b, &c, modules, *m, &list, err);
	if (r == 0)
		r = creel_cpio_add(&c, "creel/modules", S_IFREG | 0644, list.data, list.len, err);
	if (r == 0)
		r = creel_cpio_end(&c, err);
	(void)snprintf(path, sizeof(path), "%s/out/initramfs.cpio", b->tmp);
	return r < 0 ? creel_err_add(err, "initramfs") : creel_tree_write(path, out.data, out.len, err);
}

int build_install(struct build *b, struct creel_err *err)
{
	int r = build_give(b, "recipe.yaml", b->spec->recipe->text, b->spec->recipe->text_len, err);

	return r < 0 ? r
		     : build_run(b,
				 &(struct run){.argv = (const char *const[]){"@install", b->spec->name, NULL},
					       .caps = true},
				 err);
}

int build_erofs(struct build *b, struct creel_err *err)
{
	char path[PATH_MAX];
	struct run run = {
		.argv = (const char *const[]){"mkfs.erofs", "--quiet", "-T0", "-U",
					      "c4ee1000-0000-4000-8000-000000000001", "/root.erofs",
					      "/work/root", NULL},
		.binds = {{path, "/root.erofs", true}},
		/* it reads what programs of the tree's own users may not be read by others */
		.caps = true,
	};

	(void)snprintf(path, sizeof(path), "%s/out/root.erofs", b->tmp);
	int r = creel_tree_write(path, "", 0, err);
	if (r == 0 && chmod(path, 0666) < 0) /* for the step's root; the folder above is ours alone */
		r = creel_err_set(err, CREEL_E_OS, errno, "prepare %s", path);
	return r < 0 ? r : build_run(b, &run, err);
}
