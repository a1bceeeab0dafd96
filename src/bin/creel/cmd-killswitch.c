#include "client.h"
#include "cmds.h"
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { TRIES = 100, PAUSE_MS = 100 };

/* creeld answers at once; that it is done is in the cell's state. */
static int done_wait(struct creel_client *c, const char *cell, bool on, json_t **ret, struct creel_err *err)
{
	char path[96];
	int r = client_path(path, sizeof(path), cell, "", err);

	for (int i = 0; r == 0 && i < TRIES; i++) {
		json_t *j = NULL;
		r = client_call(c, "GET", path, NULL, &j, err);
		if (r == 0 && json_is_true(json_object_get(j, "killswitch")) == on) {
			*ret = j;
			return 0;
		}
		json_decref(j);
		nanosleep(&(struct timespec){.tv_nsec = PAUSE_MS * 1000000L}, NULL);
	}
	return r < 0 ? r
		     : creel_err_set(err, CREEL_E_TIMEOUT, 0, "cell '%s': the switch was not set in time",
				     cell);
}

int cmd_killswitch(struct creel_cli *cli, int argc, char **argv, struct creel_err *err)
{
	struct creel_client autoclean(client_close) c = {.run_fd = -1};
	char path[96];
	json_t *j = NULL;

	if (argc != 3 || (strcmp(argv[2], "on") != 0 && strcmp(argv[2], "off") != 0))
		return creel_err_set(err, CREEL_E_USAGE, 0, "usage: creel kill-switch CELL on|off");
	bool on = strcmp(argv[2], "on") == 0;
	int r = client_open(cli, false, &c, err);
	if (r == 0)
		r = client_need(&c, err);
	if (r == 0)
		r = client_path(path, sizeof(path), argv[1], "/kill-switch", err);
	if (r == 0)
		r = client_call(&c, "POST", path, json_pack("{s:b}", "on", on), NULL, err);
	if (r == 0)
		r = done_wait(&c, argv[1], on, &j, err);
	if (r == 0 && cli->json)
		printf("{\"cell\":\"%s\",\"killswitch\":%s}\n", argv[1], on ? "true" : "false");
	else if (r == 0)
		printf("%s: kill switch %s\n", argv[1], on ? "on: its egress is cut" : "off");
	json_decref(j);
	return r;
}
