#pragma once
#include "base/buf.h"

/*
 * One virtual machine monitor behind a small interface: what a cell's machine is made of, and how
 * each back end turns that into a program's arguments. Nothing here starts a process or opens a
 * file: descriptors come from the caller and are passed on by number.
 */
enum creel_accel { CREEL_ACCEL_TCG, CREEL_ACCEL_KVM };

enum { CREEL_VMM_DISKS = 16 };

struct creel_vmm_disk {
	int fd;             /* raw image */
	const char *serial; /* what the guest finds it by: at most 20 octets of [a-z0-9-] */
	bool read_only;
};

struct creel_vmm_spec {
	const char *name; /* the cell's, for the process title */
	unsigned cpus;
	unsigned memory_mib;
	enum creel_accel accel;
	unsigned tsc_khz;   /* creel_vmm_tsc_khz(), or 0 */
	const char *kernel; /* paths as the jailed program sees them */
	const char *initrd;
	int control_fd;  /* connected stream socket: port creel.control */
	int qmp_fd;      /* connected stream socket: the machine's control */
	int console_fd;  /* where the serial console goes */
	int virtiofs_fd; /* connected vhost-user socket of the share `secrets`, or -1 */
	int tap_fd;      /* or -1: no network interface at all */
	uint8_t mac[6];
	size_t n_disks;
	struct creel_vmm_disk disks[CREEL_VMM_DISKS];
};

struct creel_vmm_argv {
	struct creel_buf text; /* the words, each with its NUL */
	const char *words[160];
	size_t n;
};

struct creel_vmm_ops {
	const char *name;
	const char *program; /* its usual name */
	/* what creel-cell writes to the machine's control socket, when it connects and to end it */
	const char *control_hello, *control_quit;
	/**
	 * The program's arguments, a NULL after the last.
	 * @return 0, CREEL_E_INVALID (a serial, a number out of range), CREEL_E_TOOBIG, _NOMEM
	 */
	int (*argv)(const struct creel_vmm_spec *spec, struct creel_vmm_argv *ret, struct creel_err *err);
};

extern const struct creel_vmm_ops creel_vmm_qemu;
/* No virtual machine: a program that plays one, for tests (tests/standin). */
extern const struct creel_vmm_ops creel_vmm_standin;

/** @return the back end of this name, or NULL */
const struct creel_vmm_ops *creel_vmm_find(const char *name);

/**
 * Thousands of ticks a second of this host's time-stamp counter, which an emulated guest reads as its own;
 * measured once, in 20 ms. A guest that is not told measures it against an emulated timer, and on a busy
 * host its kernel hangs there. /proc/cpuinfo has the clock of the moment, which on a laptop is another.
 *
 * @return 0 where there is no such counter
 */
unsigned creel_vmm_tsc_khz(void);

void creel_vmm_argv_init(struct creel_vmm_argv *a);
void creel_vmm_argv_fini(struct creel_vmm_argv *a);
CREEL_DEFINE_CLEANUP(struct creel_vmm_argv, creel_vmm_argv_fini)
/** Append one formatted word. For back ends. */
int creel_vmm_word(struct creel_vmm_argv *a, struct creel_err *err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/** Set the pointers; no word may be added after. */
void creel_vmm_argv_end(struct creel_vmm_argv *a);
