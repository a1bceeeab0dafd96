/* Questions to the host, as octets: wire/call.h knows their shape, JavaScript only carries them. */
#include "wire/call.h"
#include "native.h"
#include <stdlib.h>
#include <string.h>

static napi_value frame(napi_env env, uint8_t type, const struct creel_buf *payload)
{
	struct creel_call_head h = {.len = (uint32_t)payload->len, .type = type};
	struct creel_buf autoclean(creel_buf_fini) out;
	uint8_t head[CREEL_CALL_HEAD];
	struct creel_err err = {0};
	napi_value ret = NULL;

	creel_buf_init(&out, CREEL_CALL_HEAD + CREEL_CALL_MAX);
	creel_call_head_encode(&h, head);
	if (creel_buf_add(&out, head, sizeof(head), &err) < 0 ||
	    creel_buf_add(&out, payload->data, payload->len, &err) < 0)
		return js_throw(env, err.msg);
	return js_ok(env, napi_create_buffer_copy(env, out.len, out.data, NULL, &ret)) ? ret : NULL;
}

struct event {
	struct creel_call_event e;
	char *kind, *key[CREEL_CALL_FIELDS], *value[CREEL_CALL_FIELDS];
};

static void event_fini(struct event *e)
{
	free(e->kind);
	for (size_t i = 0; i < CREEL_CALL_FIELDS; i++) {
		free(e->key[i]);
		free(e->value[i]);
	}
}

static bool event_read(napi_env env, napi_value kind, napi_value fields, struct event *ret)
{
	napi_value names = NULL, k = NULL, v = NULL;
	uint32_t n = 0;
	size_t len;

	if (!js_text(env, kind, "kind", &ret->kind, &len) ||
	    !js_ok(env, napi_get_property_names(env, fields, &names)) ||
	    !js_ok(env, napi_get_array_length(env, names, &n)))
		return false;
	if (n > CREEL_CALL_FIELDS) {
		(void)js_throw(env, "an event has at most 8 fields");
		return false;
	}
	for (uint32_t i = 0; i < n; i++) {
		if (!js_ok(env, napi_get_element(env, names, i, &k)) ||
		    !js_ok(env, napi_get_property(env, fields, k, &v)) ||
		    !js_text(env, k, "field", &ret->key[i], &len) ||
		    !js_text(env, v, "field", &ret->value[i], &len))
			return false;
		ret->e.field[i].key = ret->key[i];
		ret->e.field[i].value = ret->value[i];
	}
	ret->e.kind = ret->kind;
	ret->e.n_fields = n;
	return true;
}

napi_value native_event(napi_env env, napi_callback_info info)
{
	struct creel_buf autoclean(creel_buf_fini) payload;
	struct creel_err err = {0};
	struct event e = {0};
	napi_value argv[2] = {NULL}, ret = NULL;
	size_t argc = 2;

	creel_buf_init(&payload, CREEL_CALL_MAX);
	if (!js_ok(env, napi_get_cb_info(env, info, &argc, argv, NULL, NULL)))
		return NULL;
	if (argc < 2)
		return js_throw(env, "event(kind, fields)");
	if (event_read(env, argv[0], argv[1], &e))
		ret = creel_call_event_encode(&e.e, &payload, &err) < 0
			      ? js_throw(env, err.msg)
			      : frame(env, CREEL_CALL_EVENT, &payload);
	event_fini(&e);
	return ret;
}

napi_value native_why(napi_env env, napi_callback_info info)
{
	struct creel_buf autoclean(creel_buf_fini) payload;
	struct creel_err err = {0};
	napi_value arg = NULL, ret = NULL;
	size_t argc = 1, len;
	char *what = NULL;

	creel_buf_init(&payload, CREEL_CALL_MAX);
	if (!js_ok(env, napi_get_cb_info(env, info, &argc, &arg, NULL, NULL)) ||
	    !js_text(env, arg, "target", &what, &len))
		return NULL;
	ret = creel_call_why_encode(what, &payload, &err) < 0 ? js_throw(env, err.msg)
							      : frame(env, CREEL_CALL_WHY, &payload);
	free(what);
	return ret;
}

napi_value native_answer(napi_env env, napi_callback_info info)
{
	struct creel_call_head h;
	struct creel_err err = {0};
	napi_value arg = NULL, ret = NULL;
	size_t argc = 1, len = 0;
	void *data = NULL;

	if (!js_ok(env, napi_get_cb_info(env, info, &argc, &arg, NULL, NULL)) ||
	    !js_ok(env, napi_get_buffer_info(env, arg, &data, &len)))
		return NULL;
	if (len < CREEL_CALL_HEAD)
		return js_ok(env, napi_get_null(env, &ret)) ? ret : NULL;
	if (creel_call_head_decode(data, &h, &err) < 0)
		return js_throw(env, err.msg);
	if (h.type < CREEL_CALL_OK)
		return js_throw(env, "the host's answer is none");
	if (len < CREEL_CALL_HEAD + (size_t)h.len)
		return js_ok(env, napi_get_null(env, &ret)) ? ret : NULL;
	const char *text = (const char *)data + CREEL_CALL_HEAD;
	if (!js_ok(env, napi_create_object(env, &ret)) || !js_set_num(env, ret, "status", h.type) ||
	    !js_set_str(env, ret, "text", text, h.len))
		return NULL;
	return ret;
}
