#include "js.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

napi_value js_throw(napi_env env, const char *msg)
{
	bool pending = false;

	if (napi_is_exception_pending(env, &pending) == NAPI_OK && !pending)
		(void)napi_throw_error(env, NULL, msg);
	return NULL;
}

bool js_ok(napi_env env, int status)
{
	if (status != NAPI_OK)
		(void)js_throw(env, "Node-API refused a call");
	return status == NAPI_OK;
}

bool js_text(napi_env env, napi_value v, const char *what, char **ret, size_t *ret_len)
{
	bool buffer = false;
	void *data = NULL;
	size_t len = 0;
	int kind = NAPI_UNDEFINED;

	if (!js_ok(env, napi_typeof(env, v, &kind)))
		return false;
	if (kind != NAPI_STRING) {
		if (!js_ok(env, napi_is_buffer(env, v, &buffer)))
			return false;
		if (!buffer) {
			char msg[100];
			(void)snprintf(msg, sizeof(msg), "%s must be a string or a Buffer", what);
			(void)js_throw(env, msg);
			return false;
		}
	}
	if (!js_ok(env, buffer ? napi_get_buffer_info(env, v, &data, &len)
			       : napi_get_value_string_utf8(env, v, NULL, 0, &len)))
		return false;
	char *copy = malloc(len + 1);
	if (!copy) {
		(void)js_throw(env, "out of memory");
		return false;
	}
	if (buffer && len > 0)
		memcpy(copy, data, len);
	if (!buffer && !js_ok(env, napi_get_value_string_utf8(env, v, copy, len + 1, &len))) {
		free(copy);
		return false;
	}
	copy[len] = '\0';
	*ret = copy;
	*ret_len = len;
	return true;
}

/* Is it neither undefined nor null? */
static bool given(napi_env env, napi_value v, bool *ret)
{
	int kind = NAPI_UNDEFINED;

	if (!js_ok(env, napi_typeof(env, v, &kind)))
		return false;
	*ret = kind != NAPI_UNDEFINED && kind != NAPI_NULL;
	return true;
}

bool js_str(napi_env env, napi_value v, const char *what, char **ret)
{
	bool is = false;
	size_t len;

	*ret = NULL;
	return given(env, v, &is) && (!is || js_text(env, v, what, ret, &len));
}

bool js_str_of(napi_env env, napi_value o, const char *key, char **ret)
{
	napi_value v = NULL;

	*ret = NULL;
	return js_ok(env, napi_get_named_property(env, o, key, &v)) && js_str(env, v, key, ret);
}

bool js_num(napi_env env, napi_value v, uint32_t *ret)
{
	bool is = false;

	*ret = 0;
	return given(env, v, &is) && (!is || js_ok(env, napi_get_value_uint32(env, v, ret)));
}

bool js_set_str(napi_env env, napi_value o, const char *key, const char *s, size_t len)
{
	napi_value v = NULL;

	return js_ok(env, napi_create_string_utf8(env, s, len, &v)) &&
	       js_ok(env, napi_set_named_property(env, o, key, v));
}

bool js_set_num(napi_env env, napi_value o, const char *key, double n)
{
	napi_value v = NULL;

	return js_ok(env, napi_create_double(env, n, &v)) &&
	       js_ok(env, napi_set_named_property(env, o, key, v));
}
