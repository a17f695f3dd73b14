# `make` lists the targets. CI calls the same ones as people do.
SHELL := /bin/sh
GO ?= go
FUZZTIME ?= 10s
TESTFLAGS ?= -timeout 9m
STATICCHECK ?= honnef.co/go/tools/cmd/staticcheck@v0.8.2
VERSION = $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
PYTHON = $(shell .ci/deps.sh --python)
PYTESTS = $(sort $(dir $(wildcard workers/pyrun/test_*.py examples/test_*.py)))

# ZeroMQ is a C library.
export CGO_ENABLED := 1

.DEFAULT_GOAL := help
.NOTPARALLEL: # two cores, and lines that tell a story in order
.PHONY: help deps build demo test style pytest race soak chaos fuzz bench microbench e2e captures lint clean

help: ## This list
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

deps: ## Install what is missing: libzmq with headers, redis-server, a private Python with dill; bubblewrap, tmux, iproute2
	@.ci/deps.sh

build: ## Build bin/faasctl
	$(GO) build -trimpath -buildvcs=false -ldflags '-X main.version=$(VERSION)' -o bin/faasctl ./cli/faasctl

demo: deps build ## Start a whole stack in a temporary place, run the examples on it, stop it
	@examples/demo.sh

test: deps build style pytest race ## Everything a change must pass, under the race detector

style: # gofmt and go vet
	@unformatted=$$(gofmt -l .) && test -z "$$unformatted" || { echo "not gofmt-ed: $$unformatted" >&2; exit 1; }
	$(GO) vet ./...

pytest: # unit tests of the Python files; those of the runner on every interpreter that it can meet here
	@for dir in $(PYTESTS); do \
		pythons=$(PYTHON); case $$dir in workers/*) pythons=$$(.ci/pythons.sh) ;; esac; \
		for python in $$pythons; do \
			echo "$$($$python --version) unittest $$dir"; timeout 180 $$python -B -m unittest discover -s $$dir -t $$dir || exit 1; \
		done; \
	done

race: ## Go tests under the race detector
	$(GO) test -race $(TESTFLAGS) ./...

soak: deps build ## Faults with the timers of real life, a rolling restart, Redis in trouble, 50,000 tasks, 1,000,000 random frames, 200 workers
	FAASCTL_SOAK=1 $(GO) test -count=1 -v -p 1 -parallel 8 -timeout 30m ./workers/faults ./workers/workertest
	FAASCTL_SOAK=1 $(GO) test -count=1 -v -timeout 10m -run 'Rolling|RedisTrouble' ./cli

SEED ?= 1
chaos: deps ## Kills, stops and broken connections at random: three seeds from SEED on, all modes, fsync always and everysec; poison
	$(GO) test -count=1 -v -parallel 3 -timeout 90m ./core/coretest/chaos -chaos.full -chaos.seed $(SEED)

fuzz: ## Every fuzz target for FUZZTIME (10s) each
	@targets=$$($(GO) test -list '^Fuzz' ./...) || { echo "$$targets"; exit 1; }; \
	echo "$$targets" | awk '/^Fuzz/ { name[n++] = $$1 } /^ok/ { for (i = 0; i < n; i++) print $$2, name[i]; n = 0 }' | \
	while read -r package target; do \
		echo "$$package $$target"; \
		$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$package </dev/null || exit 1; \
	done

ROUNDS ?= 3
bench: deps build ## Ratios to Celery, RQ, Dask and process pools, measured side by side, then Go benchmarks; FULL=1 adds 1,000,000 tasks
	$(GO) build -o bin/bench-answer ./httpapi/contract/answer
	$(PYTHON) -B .ci/bench/table.py bin/faasctl --answer bin/bench-answer --rounds $(ROUNDS) --figures bin/bench.json --markdown bin/bench.md $(if $(FULL),--full)
	$(MAKE) microbench BENCH='$(KEYBENCH)' BENCHTIME=300ms PACKAGES='$(KEYPACKAGES)'

# What the way of a task consists of, piece by piece.
KEYBENCH = ^Benchmark(Transitions|Tasks|Outcomes|Frames|Hop|Messages|JSONRoundTrip|JSON64PerFrame|Dill64PerFrame|Fold|Submit|SubmitBatch1000|Scale|Bytes)$$
KEYPACKAGES = ./core ./core/redisstore ./workers/pyrun ./workers/wire ./workers/zmqloop ./workers/workertest ./httpapi
BENCH ?= .
BENCHTIME ?= 1s
PACKAGES ?= ./...
microbench: ## Go benchmarks: all, or BENCH=regexp
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchtime $(BENCHTIME) -benchmem -p 1 -timeout 60m $(PACKAGES)

e2e: deps build ## The built program as users run it: stacks, kills, terminals; without the race detector
	$(GO) test -count=1 $(TESTFLAGS) ./cli/...

captures: deps build ## The pictures of the README anew, from the program in tmux
	$(PYTHON) -B .ci/captures.py bin/faasctl docs/img

lint: style ## gofmt, go vet, staticcheck, shellcheck
	@if $(GO) run $(STATICCHECK) -version >/dev/null 2>&1; then \
		echo staticcheck; $(GO) run $(STATICCHECK) ./...; \
	else echo "staticcheck: skipped, it could not be fetched"; fi
	@if command -v shellcheck >/dev/null; then \
		echo shellcheck; shellcheck .ci/run .ci/*.sh examples/*.sh; \
	else echo "shellcheck: skipped, it is not installed"; fi

clean: ## Remove what was built and cached by tests
	rm -rf bin
	$(GO) clean -testcache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
