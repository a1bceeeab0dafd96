#pragma once
#include "base/buf.h"
#include "wire/bootcfg.h"
#include "wire/ctl.h"
#include "wire/execio.h"
#include "wire/mux.h"
#include <sys/types.h>

/*
 * creel-init, PID 1 of a cell: one process, one epoll loop, no threads. boot.c makes the root,
 * secrets.c copies the secrets, service.c keeps the services, stream.c serves what the host opens (exec,
 * tcp, logs), calls.c passes on what programs ask the host, main.c ties them to the control channel.
 */

/* An epoll source; embedded first in what owns the descriptor. */
struct source {
	int fd;
	uint32_t events; /* armed now */
	void (*ready)(struct source *s, uint32_t events);
};
int source_add(struct source *s, uint32_t events);
void source_arm(struct source *s, uint32_t events);
void source_close(struct source *s);

struct init {
	struct creel_mux *mux; /* NULL while no channel */
	struct source chan;
	const struct creel_boot *boot;
	bool stopping, ready_sent;
};
extern struct init in;

/** Send what the mux holds as far as the channel takes it. */
void chan_flush(void);
void chan_control(uint8_t type, uint8_t state, uint32_t a, const char *name);
uint64_t now_ms(void);
uint32_t memory_used_kb(void);
/** To the kernel log, which the host keeps. */
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* boot.c */
int boot_root(struct creel_err *err); /* modules, erofs + overlay, switch root */
int boot_volumes(const struct creel_boot *boot, struct creel_err *err);
int boot_files(const struct creel_boot *boot, struct creel_err *err);
/** Make a service's home where it is missing. */
void boot_home(const char *home, uint32_t uid, uint32_t gid);
void boot_unmount(const struct creel_boot *boot);
/** Run a program and wait. @return its exit status, 128 + n for a signal, 127 not started */
int boot_run(const char *const argv[]);

/* secrets.c: the cell's own copies of what the host's share holds */
int secrets_mount(const struct creel_boot *boot, struct creel_err *err);
/** Take over what is new. @return whether anything was */
bool secrets_take(const struct creel_boot *boot, struct creel_err *err);

/* trust.c: the CA of this start's broker; nothing when nothing is intercepted */
void trust_read(void);  /* from the initramfs */
void trust_write(void); /* into the root */
/** For a program's environment, or NULL. */
const char *trust_env(void);

/* link.c: the loopback, and the cell's interface if it has one */
void link_up(const struct creel_boot *boot);

/* service.c */
void services_start(const struct creel_boot *boot);
void services_tick(void);
/** A secret has changed: each service gets its signal, or starts anew. */
void services_secrets(void);
bool services_reaped(pid_t pid, int wstatus);
void services_stop(void);
bool services_gone(void);
int service_find(const char *name);
const char *service_name(size_t i);
struct log_line {
	char text[16384]; /* its time and what was said, without the newline */
	size_t len;
	uint64_t next; /* where the one after it begins */
};
/**
 * The line of a service's log at @p from, which is moved on when what stood there is overwritten.
 * @param partial  also one that has not ended yet
 * @return false when there is none
 */
bool service_line(size_t i, uint64_t *from, bool partial, struct log_line *ret);

/* calls.c: what programs of the cell ask the host */
void calls_listen(void);
void calls_open(uint16_t id);
bool calls_is(uint16_t id);
void calls_data(const uint8_t *data, size_t len);
void calls_push(void);  /* the stream takes more */
void calls_close(void); /* the stream, or the channel, is gone */

/* stream.c, with child.c and logs.c (stream.h) */
extern const struct creel_mux_ops stream_ops;
bool streams_reaped(pid_t pid, int wstatus);
void streams_log_grew(void);
void streams_reset(void); /* the channel went away */
