# tillstick: two commands do everything.
#   make demo   the main job from nothing: a till, a stick, a backup, a restore; ends with what a shop owner wants to see
#   make test   the tests that a change needs
# `make help` lists the rest.
SHELL := /bin/bash
.DEFAULT_GOAL := help
CARGO ?= cargo
BUILD := $(or $(CARGO_TARGET_DIR),target)
# The demo and the tests share one build: what cargo builds for `cargo test`, examples included.
DEV := $(BUILD)/debug
# The machine that `cross`, `deb` and `tarball` build for, as Rust names it.
TARGET ?= $(shell rustc -vV | sed -n 's/^host: //p')
# How `build`, `cross`, `deb`, `tarball` and `image` build; what ships is `release`, which takes many times longer than `dev`.
PROFILE ?= release
# How what an emulator runs is built for the tests, unless PROFILE says otherwise.
TRIED = $(if $(filter command line environment,$(origin PROFILE)),$(PROFILE),emulated)
BUILT = $(if $(filter dev,$(PROFILE)),debug,$(PROFILE))

.PHONY: help setup demo test test-proofs fuzz lint test-all test-servers test-stores test-box test-installed test-packages test-image test-buildroot box soak bench bench-latency bench-servers bench-stores bench-box bench-flash bench-sizes bench-posbox
.PHONY: native build man completions card cross deb tarball dist image clean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 14

setup: ## install what building and testing need (Debian packages)
	@tests/setup.sh

demo: setup native ## the main job, from nothing to a proven restore
	@examples/demo.sh

test: setup ## the tests a change needs
	$(CARGO) test --locked

test-proofs: setup ## the tests that have a full mode (thousands of cases), in that mode
	@tests/servers/prepare.sh $(or $(SERVER_CACHE),$(BUILD)/tmp/server-cache)
	@SERVER_CACHE=$(abspath $(or $(SERVER_CACHE),$(BUILD)/tmp/server-cache)) CARGO='$(CARGO)' tests/proofs.sh

fuzz: setup ## libFuzzer on each target (FUZZ="probe load" chooses), for FUZZ_SECONDS=60 each
	@CARGO='$(CARGO)' fuzz/run.sh $(FUZZ)

lint: ## formatting and clippy; warnings are errors
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets --test box --test servers -- -D warnings
	shellcheck -x -P SCRIPTDIR tests/*.sh tests/*/*.sh examples/*.sh fuzz/*.sh packaging/*.sh packaging/*/*.sh benches/*.sh buildroot/board/*/*.sh .ci/run

test-all: test lint demo test-proofs test-servers test-stores test-box test-packages test-image ## all of it

test-servers: setup ## MariaDB and PostgreSQL of this Debian, unpacked into a cache and started by the tests themselves (ONLY=word for some; TILLSTICK_PROOF=full: 1 GB each, killed at every statement)
	@tests/servers/prepare.sh $(or $(SERVER_CACHE),$(BUILD)/tmp/server-cache)
	SERVER_CACHE=$(abspath $(or $(SERVER_CACHE),$(BUILD)/tmp/server-cache)) $(CARGO) test --locked --test servers -- $(ONLY)

test-stores: setup ## stores on servers: Ceph of this Debian as S3 service, unpacked into a cache and started by the tests themselves (ONLY=word for some)
	@tests/stores/prepare.sh $(or $(STORE_CACHE),$(BUILD)/tmp/store-cache)
	STORE_CACHE=$(abspath $(or $(STORE_CACHE),$(BUILD)/tmp/store-cache)) $(CARGO) test --locked --test stores -- --ignored $(ONLY)

test-box: setup ## the box on a real kernel in an emulated machine: sticks are plugged in and pulled (ONLY=word for some, BOX_ACCEL=tcg without KVM)
	@tests/box/prepare.sh $(or $(BOX_CACHE),$(BUILD)/tmp/box-cache)
	$(CARGO) test --locked --test box -- $(ONLY)

test-installed: setup native ## the systemd unit on a machine that systemd has booted, with a stick in its port
	@tests/box/prepare.sh $(or $(BOX_CACHE),$(BUILD)/tmp/box-cache)
	@tests/installed/run.sh $(DEV)/tillstick $(or $(BOX_CACHE),$(BUILD)/tmp/box-cache)

box: setup ## the same machine for a person: type `plug stick1.img`
	@tests/box/prepare.sh $(or $(BOX_CACHE),$(BUILD)/tmp/box-cache)
	$(CARGO) test --locked --test box -- --interactive

soak: setup ## the emulated box with pulls, kills and failures at random, until something does not hold (BOX_SEED=n for the same again)
	@tests/box/prepare.sh $(or $(BOX_CACHE),$(BUILD)/tmp/box-cache)
	$(CARGO) test --locked --test box -- --soak

bench-box: setup ## figures of the whole box in the emulated machine; takes about five minutes
	@tests/box/prepare.sh $(or $(BOX_CACHE),$(BUILD)/tmp/box-cache)
	$(CARGO) test --locked --test box -- --bench

bench: setup ## speed and memory side by side with what one would use instead; takes about ten minutes
	$(CARGO) build --release --locked --bin tillstick --example till
	@packaging/install.sh restic
	@python3 benches/dump.py --big 15000000

bench-servers: ## dumps and restores of MariaDB and PostgreSQL next to their own pipes
	@tests/servers/prepare.sh $(or $(SERVER_CACHE),$(BUILD)/tmp/server-cache)
	$(CARGO) build --release --locked --bin tillstick
	@python3 benches/servers.py $(or $(SERVER_CACHE),$(BUILD)/tmp/server-cache)

bench-stores: ## copies to S3, SFTP and FTPS next to rclone, curl, sftp, scp and lftp on the same servers, and our memory with 4 GiB
	@tests/stores/prepare.sh $(or $(STORE_CACHE),$(BUILD)/tmp/store-cache)
	@packaging/install.sh rclone lftp curl openssh-client openssl
	$(CARGO) build --release --locked --bin tillstick
	@python3 benches/stores.py $(or $(STORE_CACHE),$(BUILD)/tmp/store-cache)

bench-latency: ## what a backup to a slow target costs the till, side by side; takes about eight minutes
	$(CARGO) build --release --locked --bin tillstick --example till
	@python3 benches/latency.py --lines 300000

bench-flash: native ## what is written to the box's own disk, for backups and in twelve minutes with nothing to do (needs root)
	$(CARGO) build --release --locked --bin tillstick
	@python3 benches/flash.py --idle 720

bench-sizes: setup ## size of the program for TARGET=armv7-unknown-linux-gnueabihf with each feature (PROFILE=small for scarce flash); takes about twenty minutes
	@benches/sizes.sh $(if $(filter command line,$(origin TARGET)),$(TARGET),armv7-unknown-linux-gnueabihf) $(PROFILE)

bench-posbox: image ## memory of the agent in the emulated ARM box (PROFILE=small for scarce flash)
	@benches/posbox.py $(BUILD)/image

native:
	$(CARGO) build --locked --bin tillstick --example till

build: ## the release binary
	$(CARGO) build --profile $(PROFILE) --locked --bin tillstick

man: build ## the manual page, into target/
	$(BUILD)/$(BUILT)/tillstick man > $(BUILD)/tillstick.1

completions: build ## bash, zsh and fish completions, into target/completions/
	mkdir -p $(BUILD)/completions
	$(BUILD)/$(BUILT)/tillstick completions bash > $(BUILD)/completions/tillstick.bash
	$(BUILD)/$(BUILT)/tillstick completions zsh > $(BUILD)/completions/_tillstick
	$(BUILD)/$(BUILT)/tillstick completions fish > $(BUILD)/completions/tillstick.fish

card: native ## the cards with the light's patterns, docs/card.*.svg and .pdf, from the same data that the box plays
	@packaging/install.sh librsvg2-bin fonts-dejavu-core
	@set -e; for l in de en es; do \
	  $(DEV)/tillstick card --lang $$l -o docs/card.$$l.svg; \
	  SOURCE_DATE_EPOCH=0 rsvg-convert -f pdf -o docs/card.$$l.pdf docs/card.$$l.svg; done

cross: setup ## the release binary for TARGET=armv7-unknown-linux-gnueabihf (or aarch64-..., x86_64-unknown-linux-gnu), in target/TARGET/release
	@CARGO='$(CARGO)' packaging/cross/run.sh $(TARGET) build --profile $(PROFILE) --locked --bin tillstick

deb: cross native ## the Debian package for TARGET, in target/packages
	@packaging/deb.sh $(TARGET) $(BUILD)/$(TARGET)/$(BUILT)/tillstick $(DEV)/tillstick $(BUILD)/packages

tarball: cross native ## the program for TARGET with what belongs to it, for systems without packages, in target/packages
	@packaging/tarball.sh $(TARGET) $(BUILD)/$(TARGET)/$(BUILT)/tillstick $(DEV)/tillstick $(BUILD)/packages

dist: ## the source tarball with all crates, for Buildroot, in buildroot/dist
	@packaging/dist.sh buildroot

test-packages: setup native ## packages for ARM and this machine: built (quickly, or PROFILE=release), run under qemu-user, installed, upgraded and purged in a chroot
	@CARGO='$(CARGO)' tests/packages/run.sh $(BUILD) $(TRIED)

image: native ## a bootable firmware image of a demo box for an emulated ARM machine, in target/image (needs root)
	@$(MAKE) --no-print-directory deb TARGET=armv7-unknown-linux-gnueabihf PROFILE=$(PROFILE)
	@mkdir -p $(BUILD)/image && rm -f $(BUILD)/image/till.db && $(DEV)/examples/till make $(BUILD)/image/till.db 20000
	@packaging/image/build.sh $(BUILD)/packages/tillstick_*_armhf.deb $(or $(IMAGE_CACHE),$(BUILD)/tmp/image-cache) $(BUILD)/image $(BUILD)/image/till.db

test-image: ## builds that image (quickly, or PROFILE=release), boots it, plugs a stick in, and looks at the light, the stick and the root
	@$(MAKE) --no-print-directory image PROFILE=$(TRIED)
	@tests/image/run.py $(BUILD)/image

test-buildroot: ## the Buildroot tree against the Buildroot 2026.02 that BUILDROOT names
	@tests/buildroot/check.sh $(BUILD)/tmp/buildroot

clean: ## remove what was built
	$(CARGO) clean
	rm -rf demo-out
