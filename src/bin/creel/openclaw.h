#pragma once
#include "base/buf.h"
#include <jansson.h>

/**
 * OpenClaw's configuration (openclaw.json, version 2026.9) from a cell's `settings:`: bound to the
 * cell's loopback, token authentication, hybrid reload, no sandbox of its own (the cell is it), the
 * tools that change OpenClaw itself (gateway, cron, automations, plugins) denied, elevation off. `settings.config` is merged in last, key by key.
 *
 * @param settings  an object, or NULL
 */
int openclaw_render(json_t *settings, struct creel_buf *out, struct creel_err *err);
