#pragma once
#include "js.h"

/* What index.js calls; each throws an Error when it cannot do its work. */

/** open({cacheDir, rules, ruleFiles, replacement}) -> a defender */
napi_value native_open(napi_env env, napi_callback_info info);
/** scan(defender, text, skip, out, source, role, tool) -> {action, score, findings, ...}; null: allowed, nothing found */
napi_value native_scan(napi_env env, napi_callback_info info);
/** The same as a promise, in a thread of its own. */
napi_value native_scan_async(napi_env env, napi_callback_info info);

/** event(kind, {field: text, ...}) -> the octets of a question to the host (wire/call.h) */
napi_value native_event(napi_env env, napi_callback_info info);
/** why(target) -> the same, for what creel-why asks; "killswitch" asks for the kill switch */
napi_value native_why(napi_env env, napi_callback_info info);
/** answer(octets) -> {status, text}, or null while it is not whole */
napi_value native_answer(napi_env env, napi_callback_info info);
