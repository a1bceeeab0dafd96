#pragma once
#include "client.h"

/**
 * Serve the page of approvals until a signal ends it; its address, with the token of this run in the
 * fragment, is printed first.
 *
 * @param client  open, and creeld is there
 * @return 0, CREEL_E_OS, CREEL_E_NOMEM
 */
int web_run(struct creel_client *client, struct creel_err *err);
