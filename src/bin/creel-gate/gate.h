#pragma once
#include "policy/gateconf.h"
#include <dirent.h>
#include <sys/types.h>

/*
 * creel-gate: main.c decides, question.c speaks with the host, input.c takes standard input, stage.c the
 * files that a call names, files.c serves the shared folder, run.c runs the tool.
 *
 * Folders of the tool's user: HOME/shared has the callers' files, flat; HOME/.creel-gate has `lock`,
 * `slots` and a folder a call below `stage`. A caller names plain names alone; nothing is opened through a
 * link, symbolic or hard.
 */
enum {
	GATE_STDIN_MAX = 1 << 20,  /* octets of standard input that a call may have */
	GATE_STDIN_MS = 30000,     /* in which all of it must be there */
	GATE_SHOWN_MAX = 32 << 10, /* what a verb `shows` may have, to be asked for whole */
	GATE_TEXT_MAX = 16 << 10,  /* content of a file or of standard input that a person is shown */
	GATE_SHARED_FILES = 256,
	GATE_SLOTS = 24, /* calls at once */
	GATE_LOCK_MS = 60000,
	GATE_PROCESSES = 384,     /* processes and threads of the tool's user, while a call of it runs */
	GATE_FILE_MAX = 64 << 20, /* octets of a file that a call writes to a place of the tool's own */
};

struct gate_file {
	const char *name; /* the call's own */
	const char *label;
	bool out;
	uint64_t len; /* of a copy */
	uint8_t hash[32];
};

/* A call: what it says and what is kept for it until it has run. */
struct gate_call {
	const struct creel_gateconf *conf;
	struct creel_argv *argv;
	struct creel_gate_answer a;
	const char *command; /* as it came */
	int slot;            /* -1, or a descriptor that holds one of GATE_SLOTS */
	int lock;            /* -1, or HOME/.creel-gate/lock, locked */
	int out;             /* -1, or HOME/.creel-gate/out.lock, locked: it writes files into its folder */
	int input;           /* -1, or a sealed memory file: standard input */
	uint64_t input_len;
	uint8_t input_hash[32];
	int stage; /* -1, or the call's own folder: the copies */
	char stage_name[32];
	struct gate_file file[CREEL_GATE_FILES];
	size_t n_files;
	struct creel_buf shown; /* what `shows` printed */
	uint8_t shown_hash[32];
};

/** BLAKE2b-256 of @p len octets. */
void gate_hash(const void *data, size_t len, uint8_t ret[32]);

/* --- input.c --- */

/** All of standard input, bounded in size and time, into call->input. @return 0, CREEL_E_TOOBIG, _TIMEOUT, _OS */
int input_take(struct gate_call *call, struct creel_err *err);

/* --- stage.c --- */

/** HOME/.creel-gate, made when it is missing. @return 0 or a negative code */
int stage_home(const struct creel_gateconf *conf, int *ret_fd, struct creel_err *err);
/** HOME/shared. */
int stage_shared(const struct creel_gateconf *conf, int *ret_fd, struct creel_err *err);
/** Wait for a lock file of @p dir: LOCK_SH or LOCK_EX. @return 0, CREEL_E_TIMEOUT, CREEL_E_OS */
int stage_lock(int dir, const char *name, int how, int *ret_fd, struct creel_err *err);
/** One of GATE_SLOTS. @return 0, CREEL_E_BUSY, CREEL_E_OS */
int stage_slot(struct gate_call *call, struct creel_err *err);
/** What is in @p dir, from its beginning. @return NULL: errno says why */
DIR *stage_list(int dir);
/** Octets in the regular files of @p dir, and how many there are. */
int stage_size(int dir, uint64_t *ret_octets, size_t *ret_n, struct creel_err *err);
/** A regular file with one name, opened to be read. @return 0, CREEL_E_NOTFOUND, CREEL_E_DENIED, CREEL_E_OS */
int stage_open(int dir, const char *name, int *ret_fd, uint64_t *ret_len, struct creel_err *err);
/** A folder of the call's own with a copy of each file that it names; hashes are of the copies. */
int stage_take(struct gate_call *call, struct creel_err *err);
/** What the tool wrote by the names that the call gave goes into the shared folder. */
void stage_keep(struct gate_call *call);
void stage_drop(struct gate_call *call);

/* --- files.c --- */

/** PROGRAM-files. @return an exit status, or a negative code */
int files_serve(struct gate_call *call, struct creel_err *err);

/* --- run.c --- */

/** Does not return when it succeeds, unless the call has files: then the tool's status. */
int run_tool(struct gate_call *call, struct creel_err *err);
/** What call->a.tool_verb->shows prints, into call->shown. */
int run_show(struct gate_call *call, struct creel_err *err);

/* --- question.c --- */

/**
 * Ask a human for exactly this call, and wait.
 *
 * @param ret_why  words of who answered
 * @return CREEL_CALL_OK, or another answer; or a negative code
 */
int question_ask(const struct gate_call *call, char *ret_why, size_t size, struct creel_err *err);

/**
 * Put the call on the host's record. @param kind "gate.exec" or "gate.deny"
 * @return 0: it stands there; or a negative code
 */
int question_tell(const struct gate_call *call, const char *kind, struct creel_err *err);
