# Outcall. Two commands that everybody needs; each installs the system packages it needs when they are missing, and says so.
#
#   make run    compiles rules.d, starts a sandbox and shows an agent being allowed, refused and told why
#   make test   the whole test suite
#
# and one for machines that have the night:
#
#   make nightly   a minute of fuzzing for each reader of foreign bytes, and a host under load and faults for ten
#
# Build output goes where cargo puts it; set CARGO_TARGET_DIR to have it elsewhere.

.PHONY: run test nightly

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

nightly:
	@tests/setup test
	tests/fuzz/run 60
	tests/soak/run 10
