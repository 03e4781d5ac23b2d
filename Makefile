# The two commands: `make demo` brings up a cluster of three nodes on this machine, `make test` runs all tests. Both set up
# what is missing. `make help` lists the rest.

SHELL       := bash
.SHELLFLAGS := -euo pipefail -c
export CGO_ENABLED := 0
# The same for building, vetting and testing, so that each package is compiled once.
export GOFLAGS := $(shell go env GOFLAGS 2>/dev/null) -trimpath

VERSION := $(shell release/version.sh)
LDFLAGS := -s -w -X github.com/sky-shift/skyctl/pkg/version.version=$(VERSION)
BIN     := $(CURDIR)/bin
KIT      = $(shell test/rke2kit/build.sh $(KIT_OPTIONS))
COMPILE := test/setup/compile.sh

.DEFAULT_GOAL := build
.PHONY: build install release release-check external kit host-image setup skypilot venv demo demo-down test check lint unit light heavy e2e check-rke2 e2e-rke2 e2e-skypilot faults bench docs help clean

build: ## build skyctl and skyd into bin/
	@mkdir -p $(BIN)
	@$(COMPILE) "skyctl and skyd" -ldflags '$(LDFLAGS)' -o $(BIN)/ -- ./cmd/skyctl ./cmd/skyd

# PREFIX has bin/ and share/; DESTDIR is put before it, as packagers need it. install.sh installs the build as a release: it
# alone knows which files go where, and keeps the list by which skyctl uninstall says how they go.
PREFIX  ?= /usr/local
DESTDIR ?=

install: build ## install skyctl, skyd, man pages and shell completions: PREFIX=/usr/local, DESTDIR=
	@SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct 2>/dev/null) go run ./release/manpages -out $(BIN)/release-files
	@from=$$(mktemp -d); trap 'rm -rf "$$from"' EXIT; \
	archive=$$from/skyctl_$(VERSION:v%=%)_$$(go env GOOS)_$$(go env GOARCH).tar.gz; \
	tar -chf - -C $(BIN) skyctl skyd -C $(BIN)/release-files man completions -C $(CURDIR) LICENSE | gzip -1 >"$$archive"; \
	(cd "$$from" && sha256sum -- *.tar.gz >checksums.txt); \
	./install.sh --from "$$from" --prefix '$(DESTDIR)$(PREFIX)' $(if $(DESTDIR),--for-package)

# The tools of releases are a module of their own, as the linters are.
RELEASE_TOOLS := $(BIN)/release
$(RELEASE_TOOLS)/goreleaser: release/tools/go.mod release/tools/go.sum
	@mkdir -p $(RELEASE_TOOLS)
	@echo "Building goreleaser, syft and cosign: this takes some minutes the first time"
	go -C release/tools build -ldflags '-s -w' -o $(RELEASE_TOOLS)/ tool
	@touch $@

release-check: $(RELEASE_TOOLS)/goreleaser kit ## build a release with goreleaser, publish nothing, and inspect all of it
	@PATH="$(RELEASE_TOOLS):$$PATH" SKYCTL_KIT=$(KIT) release/check.sh

release: $(RELEASE_TOOLS)/goreleaser kit ## make a draft of the release of the tag that is checked out: see docs/releasing.md
	@PATH="$(RELEASE_TOOLS):$$PATH" SKYCTL_KIT=$(KIT) release/run.sh

setup: ## install what is missing on this machine: Docker engine, packages
	@test/setup/packages.sh
	@test/setup/docker.sh

# What a team runs beside skyd (docker-compose.yml), as programs for the tests: name=package.
EXTERNAL := temporal-server=go.temporal.io/server/cmd/server temporal-sql-tool=go.temporal.io/server/cmd/tools/sql \
	etcd=go.etcd.io/etcd/server/v3 etcdctl=go.etcd.io/etcd/etcdctl/v3 etcdutl=go.etcd.io/etcd/etcdutl/v3 \
	temporal-ui-server=github.com/temporalio/ui-server/v2/cmd/server

external: ## build Temporal, its tools and etcd as separate programs, for the tests
	@for e in $(EXTERNAL); do go build -ldflags '-s -w' -o $(BIN)/external/$${e%%=*} $${e#*=}; done

# KIT_OPTIONS=--without-helm leaves out Helm, which only GPU tests need.
kit: $(BIN)/kubectl ## build the offline RKE2 kit (cached), and take kubectl out of it

# The kit's Kubernetes program is kubectl too, where it is called that.
$(BIN)/kubectl: FORCE
	@mkdir -p $(BIN)
	@kit=$$(test/rke2kit/build.sh $(KIT_OPTIONS)); if [ ! -e $@ ] || [ "$$kit/version" -nt $@ ]; then \
		tar -xzOf "$$kit"/rke2.linux-*.tar.gz share/rke2/bin/kube >$@.new; chmod +x $@.new; mv $@.new $@; fi

FORCE:

host-image: setup ## build the Docker hosts' image (skyd does it by itself where it is missing)
	go run ./test/setup/hostimage

skypilot: setup ## install SkyPilot for machines of other clouds, into ~/.skyconf; CLOUDS="aws gcp azure" and others
	pkg/cloud/skypilot/venv/setup/install.sh "$${SKYCONF_DIR:-$$HOME/.skyconf}/skypilot/venv" $(CLOUDS)

# SkyPilot and the API server of AWS that the tests run: pinned, in a virtual environment of their own (cached).
venv: setup
	@test/skypilot/venv.sh test/skypilot/requirements.txt >/dev/null

demo: ## start here: create a cluster of three nodes on Docker hosts and fetch a page from a pod; SKYCTL_DIST=DIR or URL
	@SKYCTL_DIST='$(SKYCTL_DIST)' test/demo/prepare.sh
	@test/demo/up.sh

demo-down: ## remove everything that `make demo` created
	@test/demo/down.sh

test: setup lint build kit light heavy e2e ## all tests, set-up included

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
	go vet -tags skypilot_task,release_check ./test/e2e ./test/release
	$(LINTERS)/staticcheck -checks inherit,-ST1000 ./...
	$(LINTERS)/revive -config test/lint/revive.toml ./...
	$(LINTERS)/workflowcheck ./workflows
	$(MAKE) -C test/rke2kit lint LINTERS=$(LINTERS)

# Tests that run whole servers, SkyPilot's too, or hosts. Two packages at a time took 1,183 s on two processors; three took
# 1,058 s, with both processors busy throughout. The longest ones begin first.
HEAVY := /(activities/snapshots|cmd/skyd|pkg/(cli|client|cloud/(docker|skypilot)|server/(embedded|service))|test/(external|faults|integration|skypilot))$$

unit: light heavy ## everything but e2e: tables, workflows, real etcd, real Temporal, real SSH, real Docker hosts

# -vet=off: lint vets the same packages. -s -w: without what debuggers need, the tests of pkg/client link in 5 s of processor
# time instead of 9.
GO_TEST    = go test -vet=off -ldflags '-s -w' -count=1
TEST_UNITS = SKYCTL_TEST_BIN=$(BIN) $(GO_TEST)

light: build external venv
	$(TEST_UNITS) $$(go list ./... | grep -v -E '/test/e2e$$|$(HEAVY)')
	$(MAKE) -C test/rke2kit test

heavy: build external kit venv
	$(TEST_UNITS) -p 2 -timeout 30m ./pkg/cloud/skypilot ./test/faults $$(go list ./... | grep -E '$(HEAVY)')

# Two at a time: they wait, for servers, sweeps and retries. Seven of them took 834 s, of which 210 s were processor time.
e2e: build kit external venv ## real clusters on Docker hosts, through the built programs
	SKYCTL_TEST_BIN=$(BIN) SKYCTL_TEST_RKE2=$(KIT) SKYCTL_TEST_RKE2_VERSION=$$(cat $(KIT)/version) \
		$(GO_TEST) -parallel 2 -timeout 60m ./test/e2e

# What the tests on the official release run with. RKE2 is where it comes from (as the setting rke2.source), and RKE2_VERSION
# the release (default: that of the setting); IMAGE is a web server for the pods; MIRROR is a pull-through mirror of Docker
# Hub: its address, or "local" for one that runs here (test/setup/mirror.sh). A cluster of three nodes pulls about 30 images.
RKE2         ?= release
RKE2_VERSION ?=
IMAGE        ?= docker.io/traefik/whoami:v1.11.0@sha256:200689790a0a0ea48ca45992e0450bc26ccab5307375b41c84dfc4f2475937ab
MIRROR       ?=
READ_MIRROR   = mirror='$(MIRROR)'; if [ "$$mirror" = local ]; then mirror=$$(test/setup/mirror.sh); fi

check-rke2: setup ## say what `make e2e-rke2` lacks here: the release, images, memory, disk, privileges
	@$(READ_MIRROR); go run ./test/setup/checkrelease -source '$(RKE2)' -version '$(RKE2_VERSION)' -image '$(IMAGE)' \
		-mirror "$$mirror"

# One at a time, and with six times the time: machines pull their images.
e2e-rke2: check-rke2 build kit external venv ## e2e on the official RKE2 release; RKE2=, IMAGE= and MIRROR= choose its sources
	@$(READ_MIRROR); SKYCTL_TEST_BIN=$(BIN) SKYCTL_TEST_RKE2='$(RKE2)' SKYCTL_TEST_RKE2_VERSION='$(RKE2_VERSION)' \
		SKYCTL_TEST_IMAGE='$(IMAGE)' SKYCTL_TEST_MIRROR="$$mirror" SKYCTL_TEST_PATIENCE=6 \
		$(GO_TEST) -parallel 1 -timeout 8h ./test/e2e $(E2E)

# The first run installs Debian and PyPI packages into the image of the task's pod, which takes minutes. So the test has a
# build tag that `make test` does not set.
e2e-skypilot: build kit venv ## SkyPilot runs a task on a cluster; the first run builds the image of its pod for minutes
	SKYCTL_TEST_TASK_IMAGE=$$(test/setup/taskimage/build.sh) SKYCTL_TEST_BIN=$(BIN) SKYCTL_TEST_RKE2=$(KIT) \
		SKYCTL_TEST_RKE2_VERSION=$$(cat $(KIT)/version) \
		$(GO_TEST) -tags skypilot_task -timeout 30m -run '^TestSkyPilotRunsATask$$' -v ./test/e2e

# What make test runs of these is one try of each kill, several kills in one operation, shorter outages and fewer rounds of
# drift.
faults: setup ## run the whole fault lab: kills, outages, full disks, lying clouds; FAULTS="-report $(CURDIR)/docs/reliability.md" records the results
	go test -count=1 -timeout 90m ./test/faults -long $(FAULTS)

clean: ## remove what was built: bin/ and the kit
	rm -rf $(BIN) "$${XDG_CACHE_HOME:-$$HOME/.cache}/skyctl"

bench: setup build kit external ## measure what users wait for, each with a baseline; BENCH="-strict -rounds 9" and other options
	SKYCTL_TEST_RKE2=$(KIT) go run ./test/bench -bin $(BIN) $(BENCH)

# mkdocs and its theme are pinned with hashes, in a virtual environment of their own (cached). They need Python 3.11.
docs: ## build docs/ as a site into bin/site; broken links and anchors are errors
	@venv=$$(test/skypilot/venv.sh release/site/requirements.txt docs) && NO_MKDOCS_2_WARNING=1 "$$venv"/bin/mkdocs build
	@echo "The site is in bin/site: open bin/site/index.html"

help: ## list the targets
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14
