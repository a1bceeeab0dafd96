#include "secretcmd.h"
#include <stdio.h>
#include <string.h>

/* How the store's key is kept: `creel secret rekey`, `unlock`, `lock`. */

int secret_rekey(struct creel_cli *cli, int argc, char **argv, struct creel_err *err)
{
	struct creel_client autoclean(client_close) c = {.run_fd = -1};
	struct creel_store autoclean(creel_store_fini) store = {.state = -1, .dir = -1, .lock = -1};
	struct creel_buf autoclean(creel_sbuf_fini) phrase = {.data = NULL};
	enum creel_store_method method = CREEL_STORE_FILE;

	if (argc > 1 && (argc != 3 || strcmp(argv[1], "--method") != 0))
		return creel_err_set(err, CREEL_E_USAGE, 0,
				     "usage: creel secret rekey [--method file|systemd-creds|passphrase]");
	int r = argc > 1 ? creel_store_method_parse(argv[2], &method, err) : 0;
	if (r == 0)
		r = secret_store_open(cli, true, &c, &store, err);
	if (r < 0)
		return r;
	if (argc == 1)
		method = store.method;
	if (method == CREEL_STORE_PASSPHRASE) {
		fputs("the new passphrase; without it the store cannot be read by anybody:\n", stderr);
		if ((r = secret_passphrase(true, &phrase, err)) < 0)
			return r;
	}
	r = creel_store_rekey(&store, method, creel_buf_str(&phrase), phrase.len, err);
	if (r == 0)
		fprintf(stderr, "creel: every secret is encrypted with a new key, kept by: %s\n",
			creel_store_method_name(method));
	return r;
}

int secret_unlock(struct creel_cli *cli, int argc, char **argv, struct creel_err *err)
{
	struct creel_client autoclean(client_close) c = {.run_fd = -1};
	struct creel_store autoclean(creel_store_fini) store = {.state = -1, .dir = -1, .lock = -1};
	struct creel_buf autoclean(creel_sbuf_fini) phrase = {.data = NULL};
	int r = secret_store(cli, false, &c, &store, err);

	if (r == 0 && creel_store_locked(&store))
		r = secret_passphrase(false, &phrase, err);
	if (r == 0)
		r = creel_store_unlock(&store, creel_buf_str(&phrase), phrase.len, err);
	if (r == 0)
		fprintf(stderr, "creel: the store is open%s\n",
			store.method == CREEL_STORE_PASSPHRASE
				? " until `creel secret lock` or the machine's next start"
				: ": its key needs no passphrase");
	return r;
}

int secret_lock(struct creel_cli *cli, int argc, char **argv, struct creel_err *err)
{
	struct creel_client autoclean(client_close) c = {.run_fd = -1};
	struct creel_store autoclean(creel_store_fini) store = {.state = -1, .dir = -1, .lock = -1};
	int r = secret_store(cli, false, &c, &store, err);

	if (r < 0)
		return r;
	if (store.method != CREEL_STORE_PASSPHRASE)
		return creel_err_set(
			err, CREEL_E_INVALID, 0,
			"the store's key is kept by: %s, so it opens by itself; to have a passphrase: "
			"creel secret rekey --method passphrase",
			creel_store_method_name(store.method));
	creel_store_lock(&store);
	return 0;
}
