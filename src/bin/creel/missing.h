#pragma once
#include "base/buf.h"
#include "config/config.h"

/*
 * What `up` would come to miss, all of it at once and before anything is started: values of secrets, the
 * store's passphrase, programs that the images are built with, the virtual machine, the uplink without root.
 */
struct missing {
	struct creel_buf lines; /* "  WHO: WHAT, and what to do" each */
	size_t n;
};
void missing_fini(struct missing *m);
CREEL_DEFINE_CLEANUP(struct missing, missing_fini)

void missing_init(struct missing *m);
/**
 * Look at one cell; what another cell misses too is said once.
 * @param dirfd  creel.yaml's folder
 * @param state  the state folder, which need not be there
 * @return 0, CREEL_E_NOMEM, CREEL_E_TOOBIG
 */
int missing_look(struct missing *m, const struct creel_config *config, const struct creel_cell_cfg *cell,
		 int dirfd, const char *state, struct creel_err *err);
