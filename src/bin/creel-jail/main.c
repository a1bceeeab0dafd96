#include "base/cleanup.h"
#include "base/log.h"
#include "jail.h"
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

static const char usage[] =
	"usage: creel-jail --uid N --gid N [--last-fd N] [--files N] [--memory MIB]\n"
	"                  [--processes N] [--devices] [--kvm] [--share] [--network] [--uplink] [--bind FROM[:TO]]... [--bind-exec FROM[:TO]]... [--device PATH]...\n"
	"                  -- PROGRAM [ARGUMENT...]\n\n"
	"Run PROGRAM with nothing but what is named: its own mount, network, IPC and UTS namespaces, a\n"
	"read-only root of the binds, no capability, no core, no_new_privs and a seccomp filter.\n"
	"--network leaves it in the network namespace that it is started in.\n"
	"--uplink is for slirp4netns in a user namespace: in place of --uid and --gid it stays root there,\n"
	"with what it needs to make its interface and then to jail itself.\n"
	"--share is for virtiofsd: it may chroot(2), and sees /proc.\n"
	"Started by creeld; exit status 125 when the jail cannot be built, 126 or 127 when PROGRAM\n"
	"cannot be run, else its own.\n";

static int number(const char *text, unsigned long max, unsigned long *ret, struct creel_err *err)
{
	char *end = NULL;

	errno = 0;
	unsigned long n = strtoul(text, &end, 10);
	if (errno || end == text || *end || text[0] == '-' || n > max)
		return creel_err_set(err, CREEL_E_USAGE, 0, "'%s' is not a number up to %lu", text, max);
	*ret = n;
	return 0;
}

static int bind_add(struct jail *j, char *arg, bool device, bool exec, struct creel_err *err)
{
	char *colon = strchr(arg, ':');

	if (colon)
		*colon++ = '\0';
	if (j->n_binds == JAIL_BINDS || arg[0] != '/' || (colon && colon[0] != '/') ||
	    strstr(colon ? colon : arg, ".."))
		return creel_err_set(err, CREEL_E_USAGE, 0, "bind '%s'", arg);
	j->binds[j->n_binds++] = (struct jail_bind){arg, colon ? colon : arg, device, exec};
	return 0;
}

static int opts_parse(int argc, char **argv, struct jail *j, struct creel_err *err)
{
	static const struct option options[] = {
		{"uid", required_argument, NULL, 'u'},
		{"gid", required_argument, NULL, 'g'},
		{"last-fd", required_argument, NULL, 'l'},
		{"files", required_argument, NULL, 'f'},
		{"memory", required_argument, NULL, 'm'},
		{"processes", required_argument, NULL, 'p'},
		{"devices", no_argument, NULL, 'D'},
		{"share", no_argument, NULL, 'S'},
		{"network", no_argument, NULL, 'N'},
		{"uplink", no_argument, NULL, 'U'},
		{"kvm", no_argument, NULL, 'K'},
		{"bind", required_argument, NULL, 'b'},
		{"bind-exec", required_argument, NULL, 'x'},
		{"device", required_argument, NULL, 'd'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	unsigned long uid = 0, gid = 0, last = 2;
	int c, r = 0;

	j->max_files = 1024;
	while (r == 0 && (c = getopt_long(argc, argv, "+h", options, NULL)) != -1) {
		switch (c) {
		case 'u':
			r = number(optarg, 0xfffffffe, &uid, err);
			break;
		case 'g':
			r = number(optarg, 0xfffffffe, &gid, err);
			break;
		case 'l':
			r = number(optarg, 4096, &last, err);
			break;
		case 'f':
			r = number(optarg, 1 << 20, &j->max_files, err);
			break;
		case 'm':
			r = number(optarg, 1 << 30, &j->memory_mib, err);
			break;
		case 'p':
			r = number(optarg, 1 << 20, &j->max_processes, err);
			break;
		case 'D':
			j->has_devices = true;
			break;
		case 'K':
			j->kvm = true;
			break;
		case 'S':
			j->share = true;
			break;
		case 'N':
			j->network = true;
			break;
		case 'U':
			j->uplink = true;
			break;
		case 'b':
		case 'x':
		case 'd':
			r = bind_add(j, optarg, c == 'd', c == 'x', err);
			break;
		case 'h':
			fputs(usage, stdout);
			exit(0);
		default:
			return creel_err_set(err, CREEL_E_USAGE, 0, "see creel-jail --help");
		}
	}
	if (r < 0)
		return r;
	if (j->uplink ? uid != 0 || gid != 0 : uid == 0 || gid == 0)
		return creel_err_set(err, CREEL_E_USAGE, 0,
				     "--uid and --gid must be given and not 0, or --uplink");
	if (optind >= argc)
		return creel_err_set(err, CREEL_E_USAGE, 0, "no program; see creel-jail --help");
	j->uid = (uid_t)uid;
	j->gid = (gid_t)gid;
	j->last_fd = (int)last;
	j->argv = argv + optind;
	return 0;
}

/* Root of the host is never what --uplink keeps. */
static int in_user_namespace(struct creel_err *err)
{
	autofile FILE *f = fopen("/proc/self/uid_map", "re");
	unsigned inner, outer, n;

	if (!f || fscanf(f, "%u %u %u", &inner, &outer, &n) != 3)
		return creel_err_set(err, CREEL_E_OS, errno, "read /proc/self/uid_map");
	return outer == 0
		       ? creel_err_set(err, CREEL_E_USAGE, 0, "--uplink is for a user namespace's root alone")
		       : 0;
}

int main(int argc, char **argv)
{
	static const char *const env[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", NULL};
	struct creel_err err = {0};
	struct jail j = {0};

	creel_log_name("creel-jail");
	int r = opts_parse(argc, argv, &j, &err);
	if (r == 0 && j.uplink)
		r = in_user_namespace(&err);
	if (r == 0 && close_range((unsigned)j.last_fd + 1, ~0U, 0) < 0)
		r = creel_err_set(&err, CREEL_E_OS, errno, "close descriptors");
	if (r == 0)
		r = jail_namespaces(&j, &err);
	if (r == 0)
		r = jail_identity(&j, &err);
	if (r == 0)
		r = jail_seccomp(&j, &err);
	if (r < 0) {
		creel_log_error(&err);
		return r == CREEL_E_USAGE ? 2 : 125;
	}
	execve(j.argv[0], j.argv, (char **)env);
	creel_err_set(&err, CREEL_E_OS, errno, "run %s", j.argv[0]);
	creel_log_error(&err);
	return errno == ENOENT ? 127 : 126;
}
