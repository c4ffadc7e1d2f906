# The targets are the steps of CI, in its order; `.ci/run` installs what they need.
GO           ?= go
GOLANGCI     ?= $(GO) run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.5.0
FUZZTIME     ?= 1000x
PLATFORMS    := linux/amd64 linux/arm64 linux/arm/7 darwin/arm64 windows/amd64
export CGO_ENABLED ?= 0

.PHONY: all build vet lint test race fuzz bench cross

all: vet lint test

build:
	$(GO) build -o hkw ./cmd/hkw

vet:
	$(GO) vet ./...
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo "gofmt would change these files" >&2; exit 1; }

lint:
	$(GOLANGCI) run ./...

test:
	$(GO) test ./...

race: # the race detector is the one thing here that wants cgo; one package at a time, since sound is heard in real time
	CGO_ENABLED=1 GOFLAGS="$$GOFLAGS -race -p=1" $(MAKE) test

fuzz: # each fuzz target for FUZZTIME; counted, since a clock that runs out in the middle of an input counts as a failure
	@set -e; for package in $$($(GO) list ./...); do \
	  for target in $$($(GO) test -list '^Fuzz' $$package | grep '^Fuzz' || true); do \
	    echo "== $$package $$target"; \
	    $(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x $$package; \
	  done; \
	done

bench:
	$(GO) test -run '^$$' -bench . -benchtime=1x ./...

cross: # GOOS/GOARCH[/GOARM]
	@set -e; for p in $(PLATFORMS); do \
	  IFS=/ read -r os arch arm <<< "$$p"; \
	  echo "== $$p"; \
	  CGO_ENABLED=0 GOOS=$$os GOARCH=$$arch GOARM=$$arm $(GO) build -o /dev/null ./cmd/hkw; \
	  CGO_ENABLED=0 GOOS=$$os GOARCH=$$arch GOARM=$$arm $(GO) vet ./...; \
	done
cross: SHELL := /bin/bash
