# Every target is the task of the same name in deno.json (`make test-real` is `deno task test:real`); here only Deno is found.
# ARGS="..." is passed on: make test ARGS=tests/core

DENO_TLS_CA_STORE ?= system
export DENO_TLS_CA_STORE
# For `make demo AGENT=claude`.
export AGENT

TASKS := ok test test-real soak bench demo build release map fmt lint check
.PHONY: help $(TASKS)

help:
	@echo 'make ok         the one gate: format, lint, types, map, build, tests'
	@echo 'make test       the tests only (ARGS=tests/core chooses some)'
	@echo 'make test-real  the tests against real agent CLIs, installed from npm into .tools, with a fake model on 127.0.0.1'
	@echo 'make soak       the long tests in full, then the life cycle under random commands (ARGS=30: for so many minutes)'
	@echo 'make demo       one task from queue to result on this machine (AGENT=claude chooses the agent)'
	@echo 'make bench      the measurements of BENCHMARKS.md'
	@echo 'make build      dist/drover, the program as one executable for this machine (ARGS=--all: for each, dist/TARGET/drover)'
	@echo 'make release    a signed release in dist/release, and on GitHub (ARGS=--dry-run: only the former)'
	@echo 'make map        lib/README.md, from the first line of each file'
	@echo 'make fmt        formats the sources'
	@echo 'make lint       the lint rules, with our own about layers and effects'
	@echo 'make check      the types'

$(TASKS):
	@deno=$$(sh scripts/dev_deno.sh) && exec "$$deno" task --quiet $(subst -,:,$@) $(ARGS)
