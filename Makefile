# vxgw. `make` builds bin/vxgw; `make demo` shows it at work; `make test` is what
# has to pass; `make bench` says how fast it is.

VERSION  := $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
REVISION := $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
LDFLAGS  := -s -w -X main.version=$(VERSION) -X main.revision=$(REVISION)
FUZZTIME ?= 20s

# What `make bench` measures: so many rounds, of so many seconds for each figure;
# FIGURES names some of them, which are then only printed. QUICK=1 is a look.
ROUNDS  ?= $(if $(QUICK),1,5)
SECS    ?= $(if $(QUICK),0.5,2)
FIGURES ?=

# What needs root runs as root: at once where we are, through sudo where there is
# one. Without either, those tests skip.
AS_ROOT := $(shell [ "$$(id -u)" = 0 ] || ! command -v sudo >/dev/null || echo "sudo env PATH=$$PATH")
TEST    := go test -p 2 -timeout 30m $(if $(AS_ROOT),-exec '$(AS_ROOT)')

.PHONY: all build demo bench test lint needs fuzz cover clean deb image test-image test-kernel
all: build

build:
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/vxgw ./cmd/vxgw

# The Debian package, in bin/.
deb:
	@test/provide
	LDFLAGS='$(LDFLAGS)' packaging/deb/build bin
	lintian --fail-on error,warning --tag-display-limit 0 "$$(ls -t bin/vxgw_*.deb | head -n 1)"

# The appliance, in bin/: a disk image. docs/image.md has the variables.
IMAGE_SETS := $(foreach v,MIRROR SECURITY COMPONENTS PACKAGES SIZE QCOW2,$(if $($v),$v='$($v)'))
image: deb
	@test/provide image
	$(AS_ROOT) env SOURCE_DATE_EPOCH="$$(git log -1 --format=%ct)" $(IMAGE_SETS) \
		packaging/image/build bin "$$(ls -t bin/vxgw_*.deb | head -n 1)"

# Builds the appliance anew and starts it in QEMU, which takes minutes. IMAGE= is one
# that there is.
test-image:
	@test/provide image
	VXGW_TEST_IMAGE='$(if $(IMAGE),$(abspath $(IMAGE)),build)' $(TEST) -count 1 -timeout 90m -v -run TestImage ./test/image

# Starts the kernels of test/kernel/packages in QEMU, to take the fast path's programs and
# to be gateways: six minutes or so. KERNELS= are other kernel packages, unpacked: a list
# of directories like PATH.
test-kernel:
	@test/provide kernel
	@set -e; kernels='$(KERNELS)'; if [ -z "$$kernels" ]; then \
		dir=$$(mktemp -d); trap 'rm -rf "$$dir"' EXIT; kernels=$$(test/kernel/packages "$$dir"); \
	fi; \
	VXGW_TEST_KERNELS=$$kernels go test -count 1 -timeout 90m -v ./test/kernel

demo: build
	@if [ "$$(id -u)" != 0 ] && ! command -v sudo >/dev/null; then \
		echo 'make demo: network namespaces take root: run it as root' >&2; exit 1; \
	fi
	$(AS_ROOT) bin/vxgw demo

bench: build
	@test/provide
	go build -trimpath -o bin/vxgw-bench ./test/bench
	$(AS_ROOT) bin/vxgw-bench -vxgw bin/vxgw -rounds $(ROUNDS) -secs $(SECS) -figures '$(FIGURES)'

test: needs lint
	$(TEST) -race ./...

lint:
	@wrong=$$(gofmt -l .); [ -z "$$wrong" ] || { echo "gofmt -w is due for:" $$wrong >&2; exit 1; }
	go vet ./...
	go tool staticcheck ./...

needs:
	@test/provide

# Every fuzz target for FUZZTIME each.
fuzz:
	@set -e; for pkg in $$(go list ./...); do \
		for target in $$(go test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
			echo "$$pkg $$target"; \
			go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -parallel 2 $$pkg; \
		done; \
	done

cover: needs
	$(TEST) -coverpkg=./... -coverprofile=coverage.out ./...
	@go tool cover -func=coverage.out | tail -n 1

clean:
	rm -rf bin coverage.out
