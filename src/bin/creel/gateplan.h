#pragma once
#include "config/config.h"
#include "netplan.h"
#include "pairs.h"
#include "wire/bootcfg.h"

/*
 * What a gate puts into the cells' boots: the tool's rules and the keys that may call it; the callers' own
 * command of the tool's name, and the host key that they trust.
 *
 * @param keep  owns a text until the boot is encoded. @return it, or NULL: out of memory
 * @return 0, CREEL_E_CONFIG, CREEL_E_TOOBIG, CREEL_E_NOMEM
 */
int gateplan_files(const struct netplan *net, const struct pairs *pairs, const struct creel_config *config,
		   const struct creel_cell_cfg *cell, struct creel_boot *boot,
		   const char *(*keep)(void *ctx, char *text), void *ctx, struct creel_err *err);
