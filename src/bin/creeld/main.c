#include "../creel/where.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "engine/engine.h"
#include "monitor.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char usage[] =
	"usage: creeld --state-dir DIR [--vmm NAME=PROGRAM] [--audit kernel|fanotify|none]\n"
	"       creeld --probe kvm|tcg KERNEL INITRAMFS\n\n"
	"Keep the cells of a state folder: started by `creel up` when none runs. Ends by `creel down`;\n"
	"after SIGTERM the cells go on, and the next creeld finds them. creeld(8) says more.\n"
	"--audit: how reads and writes of secrets on this host come to be on the record; by default the\n"
	"kernel's audit, or else fanotify. --vmm runs the machines with another back end. --probe boots a guest without disks and\n"
	"prints `yes` or `no`, and why.\n";

static int state_make(const char *dir, char *ret, struct creel_err *err)
{
	if (mkdir(dir, 0755) < 0 && errno != EEXIST)
		return creel_err_set(err, CREEL_E_OS, errno, "make %s", dir);
	if (!realpath(dir, ret))
		return creel_err_set(err, CREEL_E_OS, errno, "%s", dir);
	return 0;
}

/* NAME or NAME=PROGRAM */
static int vmm_choose(char *arg, struct creel_err *err)
{
	char *program = arg ? strchr(arg, '=') : NULL;

	if (program)
		*program++ = '\0';
	mon.vmm = creel_vmm_find(arg ? arg : "qemu");
	if (!mon.vmm)
		return creel_err_set(err, CREEL_E_USAGE, 0, "no back end '%s'", arg);
	if (!program)
		(void)snprintf(mon.vmm_path, sizeof(mon.vmm_path), "/usr/bin/%s", mon.vmm->program);
	else if (!realpath(program, mon.vmm_path))
		return creel_err_set(err, CREEL_E_OS, errno, "%s", program);
	return 0;
}

static int probe_main(bool kvm, const char *kernel, const char *initrd, struct creel_err *err)
{
	int r = where_program("creel-jail", mon.jail_path, sizeof(mon.jail_path), err);

	if (r == 0)
		r = vmm_choose(NULL, err);
	return r < 0 ? r : probe_run(kvm, kernel, initrd, err);
}

static int audit_choose(const char *word, struct creel_err *err)
{
	static const char *const words[] = {
		[WAY_KERNEL] = "kernel", [WAY_FANOTIFY] = "fanotify", [WAY_NONE] = "none"};

	for (size_t i = WAY_KERNEL; i < ELEMENTSOF(words); i++)
		if (strcmp(word, words[i]) == 0) {
			audit_want((enum audit_way)i);
			return 0;
		}
	return creel_err_set(err, CREEL_E_USAGE, 0, "--audit is kernel, fanotify or none, not '%s'", word);
}

static int monitor_main(int argc, char **argv, struct creel_err *err)
{
	static char state[PATH_MAX];
	char *vmm = NULL;
	const char *dir = argv[2];
	int r = 0;

	for (int i = 3; r == 0 && i + 1 < argc; i += 2)
		if (strcmp(argv[i], "--vmm") == 0)
			vmm = argv[i + 1];
		else
			r = audit_choose(argv[i + 1], err);
	if (r == 0)
		r = vmm_choose(vmm, err);
	if (r == 0)
		r = state_make(dir, state, err);
	if (r == 0)
		r = where_program("creel-jail", mon.jail_path, sizeof(mon.jail_path), err);
	if (r == 0)
		r = where_program("creel-cell", mon.cell_path, sizeof(mon.cell_path), err);
	if (r == 0)
		r = where_program("creel-dns", mon.dns_path, sizeof(mon.dns_path), err);
	if (r == 0)
		r = where_program("creel-flow", mon.flow_path, sizeof(mon.flow_path), err);
	if (r == 0)
		r = where_program("creel-audit", mon.audit_path, sizeof(mon.audit_path), err);
	if (r == 0)
		r = where_program("creel-flowlog", mon.flowlog_path, sizeof(mon.flowlog_path), err);
	if (r == 0)
		r = where_program("creel-broker", mon.broker_path, sizeof(mon.broker_path), err);
	if (r == 0)
		r = where_program("creel-broker-front", mon.front_path, sizeof(mon.front_path), err);
	if (r == 0)
		r = monitor_lock(state, err);
	if (r == 0)
		r = rootless_enter(state, err);
	ssize_t n = readlink("/proc/self/exe", mon.engine_path, sizeof(mon.engine_path) - 1);
	if (r == 0 && n <= 0)
		r = creel_err_set(err, CREEL_E_OS, errno, "find creeld itself");
	return r < 0 ? r : monitor_run(state, err);
}

static bool monitor_asked(int argc, char **argv)
{
	if (argc < 3 || argc % 2 == 0 || strcmp(argv[1], "--state-dir") != 0)
		return false;
	for (int i = 3; i < argc; i += 2)
		if (strcmp(argv[i], "--vmm") != 0 && strcmp(argv[i], "--audit") != 0)
			return false;
	return true;
}

int main(int argc, char **argv)
{
	struct creel_err err = {0};
	int r;

	creel_log_name("creeld");
	if (argc == 2 && strcmp(argv[1], "--keep") == 0) {
		/* rootless.c's keeper: here until it is killed */
		for (;;)
			(void)pause();
	} else if ((argc == 4 || argc == 5) && strcmp(argv[1], "--engine") == 0) {
		r = creel_engine_run(argv[2], argv[3], argc == 5 ? argv[4] : NULL, &err);
	} else if (monitor_asked(argc, argv)) {
		r = monitor_main(argc, argv, &err);
	} else if (argc == 5 && strcmp(argv[1], "--probe") == 0 &&
		   (strcmp(argv[2], "kvm") == 0 || strcmp(argv[2], "tcg") == 0)) {
		r = probe_main(argv[2][0] == 'k', argv[3], argv[4], &err);
	} else {
		bool help = argc == 2 && strcmp(argv[1], "--help") == 0;
		fputs(usage, help ? stdout : stderr);
		return help ? 0 : 2;
	}
	if (r < 0)
		creel_log_error(&err);
	return creel_exit_status(r);
}
