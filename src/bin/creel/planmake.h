#pragma once
#include "config/recipe.h"
#include "engine/plan.h"
#include "image/image.h"
#include "netplan.h"

/* From creel.yaml, a recipe and its image to what creeld is handed: the plan and the guest's boot. */
struct planmake {
	struct creel_plan plan;
	struct creel_buf text;   /* the plan's octets */
	struct creel_buf boot;   /* the boot configuration's */
	struct creel_buf policy; /* the network policy's */
};

void planmake_fini(struct planmake *p);
CREEL_DEFINE_CLEANUP(struct planmake, planmake_fini)

/**
 * @param net        the addresses; @p config is the file that @p cell is of
 * @param recipe     NULL: the built-in `base`, which has no users, files or services
 * @param recipe_fd  the recipe's folder, sources of files are beneath it
 * @return 0, CREEL_E_CONFIG (something of the recipe does not fit the cell; err says what), ...
 */
int planmake(const struct netplan *net, const struct creel_config *config, const struct creel_cell_cfg *cell,
	     const struct creel_recipe *recipe, int recipe_fd, const struct creel_image *image, bool kvm,
	     struct planmake *ret, struct creel_err *err);
