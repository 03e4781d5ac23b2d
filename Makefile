# The two commands: `make demo` brings up a cluster of three nodes on this machine, `make test` runs all tests. Both set up
# what is missing. `make help` lists the rest.

SHELL       := bash
.SHELLFLAGS := -euo pipefail -c
export CGO_ENABLED := 0
# The same for building, vetting and testing, so that each package is compiled once.
export GOFLAGS := $(shell go env GOFLAGS) -trimpath

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X github.com/sky-shift/skyctl/pkg/version.version=$(VERSION)
BIN     := $(CURDIR)/bin
KIT      = $(shell test/rke2kit/build.sh)

.DEFAULT_GOAL := build
.PHONY: build external kit host-image setup skypilot venv demo demo-down test check lint unit e2e e2e-rke2 faults bench help clean

build: ## build skyctl and skyd into bin/
	@mkdir -p $(BIN)
	go build -ldflags '$(LDFLAGS)' -o $(BIN)/ ./cmd/skyctl ./cmd/skyd

setup: ## install what is missing on this machine: Docker engine, packages
	@test/setup/packages.sh
	@test/setup/docker.sh

# What a team runs beside skyd (docker-compose.yml), as programs for the tests: name=package.
EXTERNAL := temporal-server=go.temporal.io/server/cmd/server temporal-sql-tool=go.temporal.io/server/cmd/tools/sql \
	etcd=go.etcd.io/etcd/server/v3 etcdctl=go.etcd.io/etcd/etcdctl/v3 etcdutl=go.etcd.io/etcd/etcdutl/v3 \
	temporal-ui-server=github.com/temporalio/ui-server/v2/cmd/server

external: ## build Temporal, its tools and etcd as separate programs, for the tests
	@for e in $(EXTERNAL); do go build -ldflags '-s -w' -o $(BIN)/external/$${e%%=*} $${e#*=}; done

kit: $(BIN)/kubectl ## build the offline RKE2 kit (cached), and take kubectl out of it

# The kit's Kubernetes program is kubectl too, where it is called that.
$(BIN)/kubectl: FORCE
	@mkdir -p $(BIN)
	@kit=$$(test/rke2kit/build.sh); if [ ! -e $@ ] || [ "$$kit/version" -nt $@ ]; then \
		tar -xzOf "$$kit"/rke2.linux-*.tar.gz share/rke2/bin/kube >$@.new; chmod +x $@.new; mv $@.new $@; fi

FORCE:

host-image: setup ## build the Docker hosts' image (skyd does it by itself where it is missing)
	go run ./test/setup/hostimage

skypilot: setup ## install SkyPilot for machines of other clouds, into ~/.skyconf; CLOUDS="aws gcp azure" and others
	pkg/cloud/skypilot/venv/setup/install.sh "$${SKYCONF_DIR:-$$HOME/.skyconf}/skypilot/venv" $(CLOUDS)

# SkyPilot and the API server of AWS that the tests run: pinned, in a virtual environment of their own (cached).
venv: setup
	@test/skypilot/venv.sh test/skypilot/requirements.txt >/dev/null

demo: setup build kit ## start here: create a cluster of three nodes on Docker hosts and fetch a page from a pod
	@test/demo/up.sh

demo-down: ## remove everything that `make demo` created
	@test/demo/down.sh

test: setup lint build kit unit e2e ## all tests, set-up included

# Tests that need root, Docker, the kit or a virtual environment are left out: single ones by themselves (test/needs),
# and these packages, which need it for anything they test.
NOT_IN_CHECK := /test/(e2e|external|faults|integration|skypilot)$$

check: lint ## format, vet, lint and the tests that need no root, Docker, kit or virtual environment
	go test -short $$(go list ./... | grep -v -E '$(NOT_IN_CHECK)')

# The linters are a module of their own, so that what they need stays out of go.mod.
LINTERS := $(BIN)/lint
$(LINTERS)/revive: test/lint/go.mod test/lint/go.sum
	@mkdir -p $(LINTERS)
	go -C test/lint build -o $(LINTERS)/ tool
	@touch $@

lint: $(LINTERS)/revive ## gofmt, go vet, staticcheck, revive, a tidy go.mod, and that workflows are deterministic
	@out=$$(git ls-files -z '*.go' | xargs -0 gofmt -l); if [ -n "$$out" ]; then echo "gofmt would change:"; echo "$$out"; exit 1; fi
	go mod tidy -diff
	go vet ./...
	$(LINTERS)/staticcheck -checks inherit,-ST1000 ./...
	$(LINTERS)/revive -config test/lint/revive.toml ./...
	$(LINTERS)/workflowcheck ./workflows
	$(MAKE) -C test/rke2kit lint LINTERS=$(LINTERS)

# Tests that run whole servers or hosts: one package at a time, so that they don't starve each other of two cores.
HEAVY := /(cmd/skyd|pkg/(cli|client|cloud/docker|cloud/skypilot|server/embedded)|test/(external|faults|integration|skypilot))$$

# -vet=off: lint vets the same packages.
unit: build external kit venv ## everything but e2e: tables, workflows, real etcd, real Temporal, real SSH, real Docker hosts
	SKYCTL_TEST_BIN=$(BIN) go test -vet=off -count=1 $$(go list ./... | grep -v -E '/test/e2e$$|$(HEAVY)')
	SKYCTL_TEST_BIN=$(BIN) go test -vet=off -count=1 -p 1 -timeout 30m $$(go list ./... | grep -E '$(HEAVY)')
	$(MAKE) -C test/rke2kit test

# Two at a time: they wait, for servers, sweeps and retries. Seven of them took 834 s, of which 210 s were processor time.
e2e: build kit external venv ## real clusters on Docker hosts, through the built programs
	SKYCTL_TEST_BIN=$(BIN) SKYCTL_TEST_RKE2=$(KIT) SKYCTL_TEST_RKE2_VERSION=$$(cat $(KIT)/version) \
		go test -vet=off -count=1 -parallel 2 -timeout 60m ./test/e2e

e2e-rke2: setup build kit external venv ## the same on the official RKE2 release, except what needs the kit's stand-ins for NVIDIA
	SKYCTL_TEST_BIN=$(BIN) SKYCTL_TEST_RKE2=release go test -count=1 -parallel 1 -timeout 90m -skip TestAcceleratorsAreOfferedToPods ./test/e2e

# What make test runs of these is one try of each kill, several kills in one operation, shorter outages and fewer rounds of
# drift.
faults: setup ## run the whole fault lab: kills, outages, full disks, lying clouds; FAULTS="-report $(CURDIR)/docs/reliability.md" records the results
	go test -count=1 -timeout 90m ./test/faults -long $(FAULTS)

clean: ## remove what was built: bin/ and the kit
	rm -rf $(BIN) "$${XDG_CACHE_HOME:-$$HOME/.cache}/skyctl"

bench: setup build kit external ## measure what users wait for, each with a baseline; BENCH="-strict -rounds 9" and other options
	SKYCTL_TEST_RKE2=$(KIT) go run ./test/bench -bin $(BIN) $(BENCH)

help: ## list the targets
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14
