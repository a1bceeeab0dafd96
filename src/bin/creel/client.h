#pragma once
#include "base/buf.h"
#include "base/cleanup.h"
#include "cli.h"
#include "image/image.h"
#include <jansson.h>
#include <limits.h>
#include <signal.h>

/*
 * creeld as the command line sees it: a state folder, in it a unix socket that speaks HTTP/1.1 and
 * JSON, and one where plans are handed over. The other side is our own program of the same version, so
 * this is as little HTTP as that needs; and `creel exec` starts in a few milliseconds, which a client
 * library with TLS would double.
 */
struct creel_client {
	char state[PATH_MAX]; /* absolute */
	int run_fd;           /* its folder `run`, -1 while there is none */
};

/** Set by a signal's handler: a wait for an answer then ends with an error. */
extern volatile sig_atomic_t client_interrupted;

/** Find the state folder: --state-dir, else /var/lib/creel as root, else $XDG_STATE_HOME/creel.
 *  @param make  make it when it is missing */
int client_open(struct creel_cli *cli, bool make, struct creel_client *ret, struct creel_err *err);
void client_close(struct creel_client *c);
CREEL_DEFINE_CLEANUP(struct creel_client, client_close)

/** Does a creeld answer? */
bool client_alive(struct creel_client *c);
/** Are there cells of a creeld that went away? */
bool client_orphans(struct creel_client *c);
/** Start creeld and wait until one answers; nothing to do when one does.
 *  @param ret_started  it is ours and not another's of the same moment; may be NULL */
int client_start(struct creel_client *c, bool *ret_started, struct creel_err *err);
/** For verbs that act on running cells: start one if there are cells without.
 *  @return CREEL_E_NOTFOUND: nothing runs */
int client_need(struct creel_client *c, struct creel_err *err);
/** For verbs that only look: start nothing; an engine that starts anew is waited for.
 *  @return CREEL_E_NOTFOUND: nothing runs; CREEL_E_CLOSED: cells do, without a creeld */
int client_look(struct creel_client *c, struct creel_err *err);

/**
 * One request. An answer of 400 and above is an error with creeld's own words.
 * @param body  stolen; may be NULL
 * @param ret   may be NULL; else the caller's to json_decref()
 */
int client_call(struct creel_client *c, const char *method, const char *path, json_t *body, json_t **ret,
		struct creel_err *err);
/** A request that upgrades. @return the socket */
int client_upgrade(struct creel_client *c, const char *method, const char *path, const char *protocol,
		   json_t *body, struct creel_err *err);
/** After a failure: has creeld gone, or is it going? Waits for the latter. */
bool client_ends(struct creel_client *c);
/** End a creeld that has no cell running, and wait until it has. */
int client_end(struct creel_client *c, struct creel_err *err);
/** "/v1/cells/CELL" and @p op. @return CREEL_E_USAGE: no cell can be called so */
int client_path(char *ret, size_t size, const char *cell, const char *op, struct creel_err *err);
/** For the record of a creeld that answers; without one an image is built unrecorded. */
int client_built(struct creel_client *c, const char *recipe, const struct creel_image *image,
		 struct creel_err *err);
/** Hand a plan to the monitor: four sealed memfds. */
int client_plan(struct creel_client *c, int plan_fd, int boot_fd, int given_fd, int policy_fd,
		struct creel_err *err);
/**
 * Ask the monitor for cells' addresses.
 * @param text  the network and the cells' names, a line each
 * @param out   `NAME ADDRESS` lines are appended
 */
int client_addresses(struct creel_client *c, const char *text, struct creel_buf *out, struct creel_err *err);
