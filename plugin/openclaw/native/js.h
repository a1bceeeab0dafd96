#pragma once
#include "napi.h"

/* Small helpers around Node-API. Those that return bool have thrown when they return false. */

/** Throw an Error with @p msg, unless one is pending. @return NULL, which a callback may return */
napi_value js_throw(napi_env env, const char *msg);
/** Throw when @p status is not NAPI_OK. */
bool js_ok(napi_env env, int status);

/** A copy of a string, or of a Buffer's octets, with a NUL behind; free() it. */
bool js_text(napi_env env, napi_value v, const char *what, char **ret, size_t *ret_len);
/** A string: a copy, or NULL when it is undefined or null; free() it. */
bool js_str(napi_env env, napi_value v, const char *what, char **ret);
/** A number, or 0 when it is undefined or null. */
bool js_num(napi_env env, napi_value v, uint32_t *ret);
/** As js_str(), of a property. */
bool js_str_of(napi_env env, napi_value o, const char *key, char **ret);

bool js_set_str(napi_env env, napi_value o, const char *key, const char *s, size_t len);
bool js_set_num(napi_env env, napi_value o, const char *key, double v);
