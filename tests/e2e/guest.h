#pragma once
#include "vmm/vmm.h"
#include "wire/bootcfg.h"
#include "wire/ctl.h"
#include "wire/execio.h"
#include "wire/mux.h"
#include <sys/types.h>

/*
 * A real guest for tests: QEMU, jailed by $CREEL_TEST_JAIL, with the image in the folder $CREEL_TEST_IMAGE, and the host's end of
 * its control channel, in one process without creeld.
 */
struct guest_stream {
	uint16_t id;
	bool eof, reset, hold; /* hold: do not consume, as a reader that has stopped */
	struct creel_buf got;  /* undecoded */
	struct creel_buf out, err;
	struct creel_buf to_send; /* octets for the stream, sent as its window allows */
	bool send_eof;
	int status; /* -1 until EXIT or ERROR */
};

struct guest {
	pid_t pid;
	int chan, qmp, volume;
	struct creel_mux *mux;
	bool ready, bye, lost;
	uint32_t used_kb;
	uint64_t started_ms, ready_ms;
	char notes[1024], services[2048];
	char initrd[64];
	int weak_root; /* before guest_start(): a writable descriptor as the root disk, 0 for none */
	struct guest_stream *streams[CREEL_MUX_STREAMS];
};

/** Start; the caller has set g to zeros, or weak_root. volume_fd is a disk named v-persist or -1. Fails the test on error. */
void guest_start(struct guest *g, const struct creel_boot *boot, int volume_fd);
/** Run the loop until @p *flag or the time is over. @return *flag */
bool guest_wait(struct guest *g, const bool *flag, unsigned timeout_ms);
struct guest_stream *guest_exec(struct guest *g, const struct creel_execspec *spec);
/** Loop until the stream has its status. @return it, -1 on time-out */
int guest_status(struct guest *g, struct guest_stream *s, unsigned timeout_ms);
/** `sh -c TEXT`: status; standard output stands in the buffer returned, valid until the next. */
int guest_sh(struct guest *g, const char *text, const char **ret_out);
void guest_stream_free(struct guest *g, struct guest_stream *s);
/** Clean shutdown. @return true when QEMU ended by itself in time */
bool guest_stop(struct guest *g, unsigned timeout_ms);
void guest_kill(struct guest *g);
uint64_t guest_now_ms(void);
