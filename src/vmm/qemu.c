#include "vmm/vmm.h"
#include <string.h>

/*
 * QEMU's `microvm` machine: virtio-mmio only, no PCI, no firmware worth the name. Descriptors are
 * inherited: disks as fd sets, sockets by number, so the process opens no path but the kernel's and
 * the initramfs's.
 */
static bool serial_ok(const char *s)
{
	size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-");

	return n > 0 && n <= 20 && s[n] == '\0';
}

static bool path_ok(const char *s)
{
	return s[0] == '/' && !strpbrk(s, ",\n") && strlen(s) < 512;
}

#define WORD(...)                                                  \
	do {                                                       \
		int word_r_ = creel_vmm_word(a, err, __VA_ARGS__); \
		if (word_r_ < 0)                                   \
			return word_r_;                            \
	} while (0)

static int disks_argv(const struct creel_vmm_spec *s, struct creel_vmm_argv *a, struct creel_err *err)
{
	for (size_t i = 0; i < s->n_disks; i++) {
		const struct creel_vmm_disk *d = &s->disks[i];
		if (d->fd < 0 || !serial_ok(d->serial))
			return creel_err_set(err, CREEL_E_INVALID, 0, "disk serial '%s'", d->serial);
		WORD("-add-fd");
		WORD("fd=%d,set=%zu", d->fd, i + 1);
		WORD("-blockdev");
		WORD("driver=raw,node-name=d%zu,read-only=%s,%sfile.driver=file,file.filename=/dev/fdset/%zu,"
		     "file.locking=off",
		     i, d->read_only ? "on" : "off", d->read_only ? "" : "discard=unmap,", i + 1);
		WORD("-device");
		WORD("virtio-blk-device,drive=d%zu,serial=%s", i, d->serial);
	}
	return 0;
}

static int qemu_argv(const struct creel_vmm_spec *s, struct creel_vmm_argv *a, struct creel_err *err)
{
	bool kvm = s->accel == CREEL_ACCEL_KVM;

	if (s->cpus < 1 || s->cpus > 64 || s->memory_mib < 64 || s->memory_mib > 1 << 20 ||
	    s->n_disks > CREEL_VMM_DISKS || !path_ok(s->kernel) || !path_ok(s->initrd))
		return creel_err_set(err, CREEL_E_INVALID, 0, "machine of %u cpus, %u MiB", s->cpus,
				     s->memory_mib);
	WORD("qemu-system-x86_64");
	WORD("-name");
	WORD("creel-%s", s->name);
	/* memory as a memfd that the vhost-user peer of the secrets share may map */
	WORD("-M");
	WORD("microvm,rtc=on,memory-backend=mem");
	WORD("-object");
	WORD("memory-backend-memfd,id=mem,size=%uM,share=on,dump=off", s->memory_mib);
	WORD("-m");
	WORD("%u", s->memory_mib);
	WORD("-smp");
	WORD("%u", s->cpus);
	WORD("-accel");
	/* the cache of translated code grows to its size, by itself an eighth of the host's memory, and
	 * counts against the cell's limit (launch.c): 160 MiB of it leave room for the rest */
	WORD("%s", kvm ? "kvm" : "tcg,thread=multi,tb-size=160");
	WORD("-cpu");
	/*
	 * The emulator goes through `rep movsb` and `rep stosb` octet by octet. Where a processor says that it is fast at
	 * them (enhanced, and short ones), the guest's kernel and its libc copy and clear by nothing else: three times
	 * as slow as by the instructions that they have for the others.
	 */
	WORD("%s", kvm ? "host" : "max,-erms,-fsrm");
	WORD("-nodefaults");
	WORD("-no-user-config");
	WORD("-no-reboot");
	WORD("-display");
	WORD("none");
	WORD("-sandbox");
	WORD("on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny");
	WORD("-global");
	WORD("virtio-mmio.force-legacy=false");
	WORD("-kernel");
	WORD("%s", s->kernel);
	WORD("-initrd");
	WORD("%s", s->initrd);
	WORD("-append");
	/*
	 * reboot=t: a triple fault ends the machine at once, as -no-reboot makes it final.
	 * tsc=reliable: emulated processors have one counter, the host's; a kernel that is not told so takes
	 * several for unsynchronised and counts ticks instead, which a busy host loses.
	 */
	if (!kvm && s->tsc_khz)
		WORD("console=ttyS0 quiet loglevel=4 reboot=t panic=-1 tsc=reliable tsc_early_khz=%u",
		     s->tsc_khz);
	else
		WORD("console=ttyS0 quiet loglevel=4 reboot=t panic=-1");
	WORD("-add-fd");
	WORD("fd=%d,set=90", s->console_fd);
	WORD("-chardev");
	WORD("file,id=console,path=/dev/fdset/90,append=on");
	WORD("-serial");
	WORD("chardev:console");
	WORD("-chardev");
	WORD("socket,id=control,fd=%d", s->control_fd);
	WORD("-device");
	WORD("virtio-serial-device,max_ports=2");
	WORD("-device");
	WORD("virtserialport,chardev=control,name=creel.control,nr=1");
	WORD("-chardev");
	WORD("socket,id=qmp,fd=%d", s->qmp_fd);
	WORD("-mon");
	WORD("chardev=qmp,mode=control");
	int r = disks_argv(s, a, err);
	if (r < 0)
		return r;
	if (s->virtiofs_fd >= 0) {
		WORD("-chardev");
		WORD("socket,id=secrets,fd=%d", s->virtiofs_fd);
		WORD("-device");
		WORD("vhost-user-fs-device,chardev=secrets,tag=secrets,queue-size=128");
	}
	if (s->tap_fd >= 0) {
		WORD("-netdev");
		WORD("tap,id=link,fd=%d,vhost=off", s->tap_fd);
		WORD("-device");
		WORD("virtio-net-device,netdev=link,mac=%02x:%02x:%02x:%02x:%02x:%02x", s->mac[0], s->mac[1],
		     s->mac[2], s->mac[3], s->mac[4], s->mac[5]);
	}
	creel_vmm_argv_end(a);
	return 0;
}

const struct creel_vmm_ops creel_vmm_qemu = {
	.name = "qemu",
	.program = "qemu-system-x86_64",
	/* QMP (docs/interop/qmp-spec.rst): it must be told that no extensions are negotiated */
	.control_hello = "{\"execute\":\"qmp_capabilities\"}\n",
	.control_quit = "{\"execute\":\"quit\"}\n",
	.argv = qemu_argv,
};
