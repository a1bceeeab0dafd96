#include "vmm/vmm.h"

/* The whole of a second back end: a machine's parts as this program's arguments. */
static int standin_argv(const struct creel_vmm_spec *s, struct creel_vmm_argv *a, struct creel_err *err)
{
	int r = creel_vmm_word(a, err, "creel-standin");

	if (r == 0)
		r = creel_vmm_word(a, err, "%d", s->control_fd);
	if (r == 0)
		r = creel_vmm_word(a, err, "%d", s->qmp_fd);
	if (r == 0)
		r = creel_vmm_word(a, err, "%s", s->name);
	if (r == 0)
		r = creel_vmm_word(a, err, "%s", s->initrd);
	for (size_t i = 0; r == 0 && i < s->n_disks; i++)
		r = creel_vmm_word(a, err, "%s=%d", s->disks[i].serial, s->disks[i].fd);
	if (r == 0)
		creel_vmm_argv_end(a);
	return r;
}

const struct creel_vmm_ops creel_vmm_standin = {
	.name = "standin",
	.program = "creel-standin",
	.argv = standin_argv,
	.control_hello = "",
	.control_quit = "quit\n",
};
