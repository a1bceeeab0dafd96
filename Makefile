# A thin front for meson: `make help` says all targets.
BUILD ?= build
TEST = tools/run-tests $(BUILD)

.PHONY: help deps setup build run test test-unit test-integration test-e2e test-attack test-asan \
	bench lint fuzz install clean

help: ## say all targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 20

deps: ## install what is missing (Debian packages; asks for root only if something is)
	@tools/install-deps

setup: deps
	@test -f $(BUILD)/build.ninja || meson setup $(BUILD)

build: setup ## build/creel and all programs (installs what is missing)
	@ninja -C $(BUILD)
	@ln -sf src/bin/creel/creel $(BUILD)/creel

run: build ## build, make the image, start the OpenClaw cell, say where its gateway is
	@tools/run-example $(BUILD)

test: build ## every tier
	@$(TEST) unit integration e2e attack

test-unit: build ## unit tests: seconds, no root
	@$(TEST) unit

test-integration: build ## real kernel objects in fresh namespaces
	@$(TEST) integration

test-e2e: build ## boots guests
	@$(TEST) e2e

test-attack: build ## each wall against its attack
	@$(TEST) attack

test-asan: deps ## unit and integration tests under ASan and UBSan
	@test -f $(BUILD)-asan/build.ninja || meson setup $(BUILD)-asan -Db_sanitize=address,undefined
	@ninja -C $(BUILD)-asan
	@tools/run-tests $(BUILD)-asan unit integration

bench: build ## one figure against its peer: make bench NAME=boot
	@bench/$(NAME)

lint: setup ## clang-format, cppcheck, layers, event kinds, manuals
	@tools/lint $(BUILD)

fuzz: deps ## libFuzzer targets, SECONDS=60 each
	@tools/fuzz $(or $(SECONDS),60)

install: build ## install below PREFIX
	@meson install -C $(BUILD)

clean: ## remove what was built
	rm -rf $(BUILD) $(BUILD)-asan $(BUILD)-fuzz
