#pragma once
/* What makes a gate of the twin: each wall that tests/attack/gate/gate-files tries, taken down. */
#include "linux/hostcall.h"
#include "wire/call.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#undef O_NOFOLLOW
#define O_NOFOLLOW 0               /* a link is followed */
#define st_nlink   st_size * 0 + 1 /* a second name is taken */
static inline int weak_fchdir(int fd)
{
	const char *shared = getenv("CREEL_WEAK_SHARED");
	return shared ? chdir(shared) : fchdir(fd); /* no copy is used */
}
#define fchdir weak_fchdir
static inline int weak_hostcall(const char *path, uint8_t type, const struct creel_buf *payload,
				int timeout_ms, struct creel_buf *text, struct creel_err *err)
{
	int r = creel_hostcall(path, type, payload, timeout_ms, text, err);
	return r < 0 ? CREEL_CALL_OK : r; /* silence is a yes */
}
#define creel_hostcall                  weak_hostcall
#define creel_hostcall_for(reader, ...) ((void)(reader), weak_hostcall(__VA_ARGS__)) /* whoever has left */
#undef LOCK_EX
#define LOCK_EX         LOCK_SH /* no call waits for another */
#define setrlimit(a, b) ((void)(a), (void)(b), 0)
#define memcmp(a, b, n) ((void)(a), (void)(b), 0) /* what was shown is not compared */
