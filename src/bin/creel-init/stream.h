#pragma once
#include "init.h"

/*
 * What the host opens in a cell. stream.c has the streams and moves octets, child.c starts a command, logs.c
 * tells what services said.
 */

/*
 * One of them. `from_host` holds what the descriptor has not taken yet: at most the mux's window, which is given
 * back as it is written. What goes to the host is read only when the last piece was taken, so nothing queues here.
 */
struct stream {
	struct source in, out, err; /* write end, read ends; a terminal and a socket use in and out */
	uint16_t id;
	uint8_t kind;
	bool tty, in_eof, exited, reported;
	pid_t pid;
	uint8_t status;
	struct creel_buf from_host; /* records (exec) or plain octets (tcp) not yet used */
	size_t skip;                /* octets of the first IN record already written */
	struct creel_buf pending;   /* a piece for the host that it has not taken whole */
	bool log_follow;
	uint64_t log_since;
	struct log *log; /* of each service that is asked for */
	size_t n_log;
	struct stream *next;
};

/** Tell the host why, and free it. */
void stream_refuse(struct stream *s, const char *why);
/** Send what is pending. @return whether all of it is sent */
bool stream_push(struct stream *s);

/* child.c */
struct account {
	uid_t uid;
	gid_t gid;
	char home[256], shell[128];
};
/** @param who  a name or a number; empty: root @return false where the cell has no such user */
bool account_find(const char *who, struct account *ret);
/**
 * Run a command as @p acc in a session of its own.
 * @param ret_fd  to its standard input, from its output and its error output, not blocking, yours to close; with
 *                a terminal the second is all of it, and the others are -1
 * @return its number; -1 where the cell cannot start another
 */
pid_t child_start(const struct creel_execspec *spec, const struct account *acc, int ret_fd[3]);

/* logs.c */
void logs_open(struct stream *s, const uint8_t *spec, size_t len);
/** Send lines for as long as the host takes them. */
void log_pump(struct stream *s);
