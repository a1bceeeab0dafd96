#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The part of Node-API that we call, as https://nodejs.org/api/n-api.html describes it. Node promises
 * that these functions keep their shape in every later version (Node-API version 8 and on), so that
 * building creel needs no Node and one build runs in all. Node exports them; they are found when it
 * loads us. A status is an int here: an enumeration is one, in both compilers.
 */
#define NAPI_OK           0
#define NAPI_AUTO_LENGTH  SIZE_MAX
#define NAPI_VERSION_USED 8

enum napi_kind { /* napi_valuetype */
		 NAPI_UNDEFINED,
		 NAPI_NULL,
		 NAPI_BOOLEAN,
		 NAPI_NUMBER,
		 NAPI_STRING,
		 NAPI_SYMBOL,
		 NAPI_OBJECT,
		 NAPI_FUNCTION,
		 NAPI_EXTERNAL,
};

typedef struct napi_env__ *napi_env;
typedef struct napi_value__ *napi_value;
typedef struct napi_deferred__ *napi_deferred;
typedef struct napi_ref__ *napi_ref;
typedef struct napi_async_work__ *napi_async_work;
typedef struct napi_callback_info__ *napi_callback_info;
typedef napi_value (*napi_callback)(napi_env env, napi_callback_info info);
typedef void (*napi_finalize)(napi_env env, void *data, void *hint);
typedef void (*napi_async_execute)(napi_env env, void *data);
typedef void (*napi_async_complete)(napi_env env, int status, void *data);

int napi_get_cb_info(napi_env env, napi_callback_info info, size_t *argc, napi_value *argv, napi_value *self,
		     void **data);
int napi_typeof(napi_env env, napi_value v, int *ret);
int napi_create_function(napi_env env, const char *name, size_t len, napi_callback cb, void *data,
			 napi_value *ret);
int napi_create_object(napi_env env, napi_value *ret);
int napi_create_array_with_length(napi_env env, size_t len, napi_value *ret);
int napi_create_string_utf8(napi_env env, const char *s, size_t len, napi_value *ret);
int napi_create_double(napi_env env, double v, napi_value *ret);
int napi_create_buffer_copy(napi_env env, size_t len, const void *data, void **ret_data, napi_value *ret);
int napi_create_external(napi_env env, void *data, napi_finalize fin, void *hint, napi_value *ret);
int napi_create_error(napi_env env, napi_value code, napi_value msg, napi_value *ret);
int napi_create_promise(napi_env env, napi_deferred *deferred, napi_value *ret);
int napi_resolve_deferred(napi_env env, napi_deferred deferred, napi_value v);
int napi_reject_deferred(napi_env env, napi_deferred deferred, napi_value v);
int napi_create_async_work(napi_env env, napi_value resource, napi_value name, napi_async_execute execute,
			   napi_async_complete complete, void *data, napi_async_work *ret);
int napi_queue_async_work(napi_env env, napi_async_work work);
int napi_delete_async_work(napi_env env, napi_async_work work);
int napi_get_null(napi_env env, napi_value *ret);
int napi_get_undefined(napi_env env, napi_value *ret);
int napi_get_value_external(napi_env env, napi_value v, void **ret);
int napi_get_value_string_utf8(napi_env env, napi_value v, char *buf, size_t size, size_t *ret_len);
int napi_get_value_uint32(napi_env env, napi_value v, uint32_t *ret);
int napi_get_buffer_info(napi_env env, napi_value v, void **data, size_t *len);
int napi_is_buffer(napi_env env, napi_value v, bool *ret);
int napi_get_named_property(napi_env env, napi_value o, const char *name, napi_value *ret);
int napi_set_named_property(napi_env env, napi_value o, const char *name, napi_value v);
int napi_get_property_names(napi_env env, napi_value o, napi_value *ret);
int napi_get_property(napi_env env, napi_value o, napi_value key, napi_value *ret);
int napi_get_array_length(napi_env env, napi_value a, uint32_t *ret);
int napi_get_element(napi_env env, napi_value a, uint32_t i, napi_value *ret);
int napi_set_element(napi_env env, napi_value a, uint32_t i, napi_value v);
int napi_throw_error(napi_env env, const char *code, const char *msg);
int napi_is_exception_pending(napi_env env, bool *ret);
int napi_create_reference(napi_env env, napi_value v, uint32_t count, napi_ref *ret);
int napi_delete_reference(napi_env env, napi_ref ref);
