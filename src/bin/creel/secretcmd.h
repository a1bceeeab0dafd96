#pragma once
#include "client.h"
#include "secret/sbuf.h"
#include "secret/store.h"

/* What the files of `creel secret` share. A row of its table is one of these. */
int secret_import(struct creel_cli *cli, int argc, char **argv, struct creel_err *err);
int secret_rekey(struct creel_cli *cli, int argc, char **argv, struct creel_err *err);
int secret_unlock(struct creel_cli *cli, int argc, char **argv, struct creel_err *err);
int secret_lock(struct creel_cli *cli, int argc, char **argv, struct creel_err *err);

/** The store of the state folder. @param ret_client  kept open: it is what secret_told() needs */
int secret_store(struct creel_cli *cli, bool write, struct creel_client *ret_client, struct creel_store *ret,
		 struct creel_err *err);
/** The same, and unlocked: asks for the passphrase on a terminal. */
int secret_store_open(struct creel_cli *cli, bool write, struct creel_client *ret_client,
		      struct creel_store *ret, struct creel_err *err);
/** Everything that @p fd gives, up to CREEL_SECRET_MAX octets. @p out is initialised here. */
int secret_read(int fd, struct creel_buf *out, const char *what, struct creel_err *err);
/** A passphrase: from the terminal, unseen (@p twice: and once more), else standard input's first line. */
int secret_passphrase(bool twice, struct creel_buf *out, struct creel_err *err);
/** Have it on the record, and put before a cell that runs. */
int secret_told(struct creel_client *c, const char *cell, const char *name, struct creel_err *err);
