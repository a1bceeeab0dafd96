/* creel-defender.node: what Node finds when it loads us. */
#include "native.h"
#include "wire/call.h"
#include <creel/defender.h>
#include <string.h>

int32_t node_api_module_get_api_version_v1(void);
napi_value napi_register_module_v1(napi_env env, napi_value exports);

int32_t node_api_module_get_api_version_v1(void)
{
	return NAPI_VERSION_USED;
}

napi_value napi_register_module_v1(napi_env env, napi_value exports)
{
	static const struct {
		const char *name;
		napi_callback call;
	} functions[] = {
		{"open", native_open},   {"scan", native_scan},     {"scanAsync", native_scan_async},
		{"event", native_event}, {"answer", native_answer}, {"why", native_why},
	};
	const char *version = creel_defender_version();
	napi_value f = NULL;

	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++)
		if (!js_ok(env, napi_create_function(env, functions[i].name, NAPI_AUTO_LENGTH,
						     functions[i].call, NULL, &f)) ||
		    !js_ok(env, napi_set_named_property(env, exports, functions[i].name, f)))
			return NULL;
	if (!js_set_str(env, exports, "version", version, strlen(version)) ||
	    !js_set_str(env, exports, "socket", CREEL_CALL_SOCKET, strlen(CREEL_CALL_SOCKET)) ||
	    !js_set_num(env, exports, "OK", CREEL_CALL_OK) ||
	    !js_set_num(env, exports, "AGAIN", CREEL_CALL_AGAIN))
		return NULL;
	return exports;
}
