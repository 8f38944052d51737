# The tools are pinned in tools/go.mod, so that the product's go.mod has only the product's dependencies.
TOOL = go tool -modfile=tools/go.mod
VERSION = $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
# The race detector needs cgo, which is on where there is a C compiler.
RACE = $(if $(filter 1,$(shell go env CGO_ENABLED)),-race)
FUZZTIME ?= 10s

.DEFAULT_GOAL := help
# Two linters at once refuse to run, and mixed output helps nobody.
.NOTPARALLEL:
.PHONY: help run build generate check-generate fmt check-format lint vet vuln test fuzz check clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## Serve the demo on http://127.0.0.1:8080
	CGO_ENABLED=0 go run ./cmd/clientapps serve --demo

build: ## Build the static binary clientapps
	CGO_ENABLED=0 go build -trimpath -ldflags '-X main.version=$(VERSION)' -o clientapps ./cmd/clientapps

generate: ## Write gen/ from openapi.yaml
	$(TOOL) oapi-codegen --config oapi-codegen.yaml openapi.yaml

check-generate: ## Fail when gen/ is not what generate writes
	@tmp=$$(mktemp -d) && trap 'rm -rf "$$tmp"' EXIT && mkdir "$$tmp/gen" && \
	sed "s,^output: ,&$$tmp/," oapi-codegen.yaml >"$$tmp/config.yaml" && \
	$(TOOL) oapi-codegen --config "$$tmp/config.yaml" openapi.yaml && \
	diff -r gen "$$tmp/gen" || { echo 'gen/ is out of date: make generate' >&2; exit 1; }
	@! git ls-files --others gen 2>/dev/null | grep . || { echo 'not in git yet: git add gen' >&2; exit 1; }

fmt: ## Format the code
	$(TOOL) golangci-lint fmt

check-format: ## Fail when fmt would change something
	$(TOOL) golangci-lint fmt --diff

lint: ## Run the linters
	$(TOOL) golangci-lint run
	@# The linters skip generated code, but it must not import ours either.
	@! go list -f '{{join .Imports "\n"}}' ./gen | grep "^$$(go list -m)/"

vet: ## Run go vet
	go vet ./...

vuln: ## Look for known vulnerabilities in the code that is reached
	@out=$$($(TOOL) govulncheck ./... 2>&1); code=$$?; echo "$$out"; case $$out in \
	*'fetching vulnerabilities'*) echo 'NOT CHECKED: the database of vulnerabilities cannot be reached' >&2 ;; \
	*) exit $$code ;; esac

test: ## Test on SQLite and on a PostgreSQL of its own
	@$(if $(RACE),,echo 'no C compiler: testing without the race detector' >&2)
	tools/with-postgres go test $(RACE) -shuffle=on -count=1 ./...

fuzz: ## Run each fuzz target for FUZZTIME
	@list=$$(go test -list '^Fuzz' ./...) || { echo "$$list"; exit 1; }; echo "$$list" | \
	awk '/^Fuzz/ { names[n++] = $$1 } /^ok/ { while (n > 0) print names[--n], $$2 }' | \
	while read -r name package; do \
		echo "$$name in $$package for $(FUZZTIME)"; \
		go test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) "$$package" || exit 1; \
	done

check: check-format lint vet check-generate test fuzz vuln ## All that CI runs

clean: ## Remove what was built
	rm -f clientapps
