# Outcall. Two commands; each installs the system packages it needs when they are missing, and says so.
#
#   make run    compiles rules.d, starts a sandbox and shows an agent being allowed, refused and told why
#   make test   the whole test suite
#
# Build output goes where cargo puts it; set CARGO_TARGET_DIR to have it elsewhere.

.PHONY: run test

export PATH := $(PATH):/usr/local/sbin:/usr/sbin:/sbin

run:
	@tests/setup run
	@echo "building (a few minutes the first time)"
	@cargo build --quiet --locked --workspace --bins
	@cargo run --quiet --locked -p outcall-tests --bin outcall-world -- demo

test:
	@tests/setup test
	cargo build --locked --workspace --bins
	cargo test --locked --workspace --no-fail-fast
