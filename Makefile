# A thin front for meson: `make help` says all targets.
BUILD ?= build
TEST = tools/run-tests $(BUILD)
ASAN = -Db_sanitize=address,undefined -Db_lundef=false

.PHONY: help deps setup build run test test-unit test-integration test-e2e test-docker test-attack test-fuzz \
	test-asan test-asan-clang coverage bench eval model lint format fuzz install clean

help: ## say all targets
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' Makefile | expand -t 20
	@echo; echo 'BUILD=DIR chooses the build folder (build)'

deps: ## install what is missing (Debian packages; asks for root only if something is)
	@tools/install-deps

setup: deps ## set the build folder up
	@test -f $(BUILD)/build.ninja || meson setup $(BUILD)

build: setup ## build/creel and all programs (installs what is missing)
	@ninja -C $(BUILD)
	@ln -sf src/bin/creel/creel $(BUILD)/creel

run: build ## build, make the image, start the OpenClaw cell, say where its gateway is
	@tools/run-example $(BUILD)

test: build ## every tier
	@$(TEST) unit integration e2e attack fuzz

test-unit: build ## unit tests: seconds, no root
	@$(TEST) unit

test-integration: build ## real kernel objects in fresh namespaces
	@$(TEST) integration

test-e2e: build ## boots guests
	@$(TEST) e2e

test-docker: build ## of the tier e2e, Docker in a cell alone
	@$(TEST) docker

test-attack: build ## each wall against its attack
	@$(TEST) attack

test-fuzz: deps ## every fuzz target for ten seconds, from its kept inputs
	@$(TEST) fuzz

test-asan: deps ## unit and integration tests under ASan and UBSan, gcc's
	@test -f $(BUILD)-asan/build.ninja || CC=gcc meson setup $(BUILD)-asan $(ASAN)
	@ninja -C $(BUILD)-asan
	@tools/run-tests $(BUILD)-asan unit integration

test-asan-clang: deps ## the same with clang's
	@test -f $(BUILD)-asan-clang/build.ninja || CC=clang meson setup $(BUILD)-asan-clang $(ASAN)
	@ninja -C $(BUILD)-asan-clang
	@tools/run-tests $(BUILD)-asan-clang unit integration

coverage: deps ## what unit and integration tests run: lines and branches; a page in BUILD-cov/html
	@test -f $(BUILD)-cov/build.ninja || meson setup $(BUILD)-cov -Db_coverage=true
	@ninja -C $(BUILD)-cov
	@tools/coverage $(BUILD)-cov

bench: build ## one figure against its peer: make bench NAME=boot
	@bench/$(NAME)

eval: build ## what the defender finds of labelled texts (DATA=FILE, MODELS=DIR)
	@tools/defender/eval $(BUILD)

model: build ## train the defender's built-in model again, the same octets from the same texts
	@CREEL_DEFENDER_CACHE=$(BUILD)/tools/defender/rules-cache $(BUILD)/tools/defender/defender-train \
		-o lib/defender/ngram.bin $${CREEL_SHARED:-../shared}/data/eval/open.jsonl \
		tools/defender/own.txt $$(cat tools/defender/benign.list)

lint: build ## clang-format, clang-tidy, cppcheck, layers, manuals and event kinds against the tables
	@tools/lint $(BUILD)

format: ## clang-format the tree (but tools/formatted's exceptions)
	@tools/format

fuzz: deps ## libFuzzer targets, SECONDS=60 each
	@tools/fuzz $(or $(SECONDS),60)

install: build ## install; DESTDIR=DIR puts it below DIR
	@meson install --no-rebuild -C $(BUILD)

clean: ## remove what was built
	rm -rf $(BUILD) $(BUILD)-asan $(BUILD)-asan-clang $(BUILD)-clang $(BUILD)-cov $(BUILD)-fuzz
