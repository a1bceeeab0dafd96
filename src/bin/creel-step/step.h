#pragma once
#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/*
 * creel-step: one step of building an image, in namespaces of its own. Started by creel, which writes
 * the id maps and, where the step may reach registries, takes the socket that listens in its network
 * namespace (image/step.h has the other side).
 */
enum { STEP_BINDS = 32, STEP_ENV = 32, STEP_PROXY_PORT = 3128 };

struct step {
	int ctl;       /* to creel: SOCK_SEQPACKET */
	int out;       /* the program's standard output; -1: the log, as its standard error */
	bool net;      /* a registry proxy listens on its loopback */
	bool host_net; /* the proxy itself: stays where the registries are */
	bool caps;     /* keeps root's capabilities within its namespace (chroot, chown, mount) */
	bool nobody;   /* runs as 65534 instead of 0 */
	size_t n_binds, n_env;
	struct step_bind {
		const char *from, *to;
		bool rw;
	} binds[STEP_BINDS];
	const char *env[STEP_ENV + 1];
	char **argv; /* a program, or "@NAME": one of our own (actions.c) */
};

/** User namespace and its maps; then all others, the loopback and the socket for the proxy. */
int step_namespaces(const struct step *s, struct creel_err *err);
/** A root that holds the host's programs, read-only, the binds, and nothing of anybody's home. */
int step_root(const struct step *s, struct creel_err *err);
/** Ids, capabilities, no_new_privs, seccomp. */
int step_identity(const struct step *s, struct creel_err *err);

/** `@proxy`, `@install`, `@tar`: our own code in the same confinement. @return an exit status */
int step_action(char **argv, struct creel_err *err);
