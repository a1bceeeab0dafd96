#pragma once
#include "mem.h"

/*
 * ONNX Runtime by its C API, found at run time (dlopen), so that creel neither needs it nor its header.
 * The API is a table of functions whose order never changes (onnxruntime_c_api.h: entries are only
 * added at its end); ours is version 11's and older. Memory is the runtime's own.
 */
struct def_ort;

/**
 * Load the runtime and a model with two labels or more.
 *
 * @param runtime  path of libonnxruntime.so.1, NULL: by the system's loader
 * @param model    path of a .onnx file: trusted as code is (creel model add checks its hash)
 * @return 0, CREEL_E_NOTFOUND (no runtime: the message says what to install), CREEL_E_INVALID
 */
int def_ort_new(const char *runtime, const char *model, unsigned threads, struct def_ort **ret,
		struct creel_err *err);
void def_ort_free(struct def_ort *o);
/**
 * @p rows texts of @p cols ids each, row by row; @p mask 1 where an id is meant. One call at a time.
 * @p logits  @p rows times @p labels of them, filled
 */
int def_ort_run(struct def_ort *o, const int64_t *ids, const int64_t *mask, size_t rows, size_t cols,
		float *logits, size_t labels, struct creel_err *err);
