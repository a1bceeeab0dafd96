/*
 * creel-why NAME|NAME:PORT|ADDR:PORT: why this cell may connect to it or not, by the policy that the
 * host enforces, and what may be done about it. It asks; nothing in a cell can answer an approval.
 *
 * Exit 0 allowed, 3 not allowed (or a human is asked first), 1 the host could not be asked, 2 usage.
 */
#include "base/escape.h"
#include "linux/hostcall.h"
#include <stdio.h>
#include <string.h>

static const char usage[] = "usage: creel-why NAME|NAME:PORT|ADDR:PORT\n"
			    "Prints why this cell may connect to it or not, as JSON.\n";

static int ask(const char *what, struct creel_buf *text, struct creel_err *err)
{
	struct creel_buf autoclean(creel_buf_fini) payload;

	creel_buf_init(&payload, CREEL_CALL_MAX);
	int r = creel_call_why_encode(what, &payload, err);
	return r < 0 ? r : creel_hostcall(NULL, CREEL_CALL_WHY, &payload, 30000, text, err);
}

int main(int argc, char **argv)
{
	struct creel_buf autoclean(creel_buf_fini) text, autoclean(creel_buf_fini) shown;
	struct creel_err err = {0};

	creel_buf_init(&text, CREEL_CALL_REPLY_MAX);
	creel_buf_init(&shown, 8 * CREEL_CALL_REPLY_MAX);
	if (argc == 2 && strcmp(argv[1], "--help") == 0)
		return fputs(usage, stdout) < 0;
	if (argc != 2 || argv[1][0] == '-')
		return fputs(usage, stderr) < 0 ? 1 : 2;
	int r = ask(argv[1], &text, &err);
	const char *words = r < 0 ? err.msg : creel_buf_str(&text);
	if (creel_escape_term(&shown, words, strlen(words), &err) < 0)
		return 1;
	if (r == CREEL_CALL_OK) {
		printf("%s\n", creel_buf_str(&shown));
		return fflush(stdout) != 0 ? 1 : strstr(words, "\"decision\":\"allow\"") ? 0 : 3;
	}
	fprintf(stderr, "creel-why: %s\n", creel_buf_str(&shown));
	return r == CREEL_CALL_INVALID ? 2 : 1;
}
