# The tools are pinned in tools/go.mod, so that the product's go.mod has only the product's dependencies.
TOOL = go tool -modfile=tools/go.mod
# What npm ci leaves behind; the rule below installs the packages of a folder, and runs none of their scripts.
NPM = node_modules/.package-lock.json
NODE_TOOLS = tools/$(NPM)
NODE_TOOL = tools/node_modules/.bin
OASDIFF = $(TOOL) oasdiff
# The tools send no usage data.
export REDOCLY_TELEMETRY = off
export REDOCLY_SUPPRESS_UPDATE_NOTICE = true
# Empty without git: the program then says what the Go command knows.
VERSION = $(shell git describe --tags --always --dirty 2>/dev/null)
COMMIT = $(shell git rev-parse HEAD 2>/dev/null)
OUT ?= clientapps
FUZZTIME ?= 10s
# Without cgo, as the server is released. With it, the C of an SQLite driver that nothing calls would take a minute to compile.
export CGO_ENABLED = 0
# With -trimpath, a new clone finds in the build cache what another one has compiled. Without it, the folder is a part of each key.
export GOFLAGS := $(filter-out -trimpath,$(shell go env GOFLAGS)) -trimpath
# RACE=-race needs cgo. The C is compiled without optimization, since it is not called. By default each
# program waits a second before it ends.
RACE_ENV = $(if $(RACE),env CGO_ENABLED=1 CGO_CFLAGS=-O0 GORACE=atexit_sleep_ms=0)
# Compilers, linters and tests take a tenth less time when they collect garbage less often.
lint vet test test-pgbouncer test-row-security test-mutations fuzz: export GOGC = 400

.DEFAULT_GOAL := help
# One after the other: some tests bound how long a request takes, and mixed output helps nobody. Only in PAIRS two run at a time, which
# wait more than they work.
ifndef PAIRED
.NOTPARALLEL:
endif
PAIRS = @$(MAKE) PAIRED=1 --no-print-directory -j2 --output-sync=target
.PHONY: help run build generate check-generate fmt check-format lint lint-openapi check-breaking changelog-api \
	release-contract vet vuln secrets test allocations test-mutations test-client test-typescript test-docs test-mcp test-generators \
	postman test-postman test-workflows check-alerts slow-clients fuzz check check-sources test-others test-pgbouncer test-citus test-row-security test-faults test-deploy soak bench bench-scale \
	pgo clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-17s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## Serve the demo on http://127.0.0.1:8080
	go run ./cmd/clientapps serve --demo

build: ## Build the static binary clientapps
	go build -ldflags '-s -w -X main.version=$(VERSION) -X main.commit=$(COMMIT)' -o $(OUT) ./cmd/clientapps

generate: sdk/typescript/$(NPM) $(NODE_TOOLS) ## Generate code and documents from openapi.yaml, and copy the assets of /docs
	tools/generate-go .
	go run -C tools ./render ../openapi.yaml ../gen
	npm run generate --prefix sdk/typescript
	tools/docs/assets write

check-generate: sdk/typescript/$(NPM) $(NODE_TOOLS) ## Fail when a generated file is out of date
	tools/check-generate

fmt: ## Format the code
	$(TOOL) golangci-lint fmt

check-format: ## Fail when a file is not formatted
	$(TOOL) golangci-lint fmt --diff

lint: ## Run the linters
	tools/lint

lint-openapi: $(NODE_TOOLS) ## Check the contract with the rules of Redocly, Spectral and OWASP
	$(NODE_TOOL)/redocly lint --config tools/redocly.yaml openapi.yaml gen/openapi-3.1.json workflows.arazzo.yaml
	$(NODE_TOOL)/spectral lint --ruleset tools/.spectral.yaml --fail-severity warn openapi.yaml gen/openapi-3.1.json

# Merged allOf schemas are compared by what they mean.
COMPARE = --flatten-allof contract/released.yaml openapi.yaml

check-breaking: ## Fail on breaking changes of the contract that contract/breaking.txt does not declare
	$(OASDIFF) breaking --fail-on WARN --severity-levels contract/severity.txt \
		--err-ignore contract/breaking.txt --warn-ignore contract/breaking.txt $(COMPARE)

changelog-api: ## Print the changes of the contract since the last release, for CHANGELOG.md
	@$(OASDIFF) changelog --format markdown --severity-levels contract/severity.txt $(COMPARE)

release-contract: ## Make the current contract the released one: part of a release
	cp openapi.yaml contract/released.yaml
	sed -i '/^#/!d' contract/breaking.txt

vet: ## Run go vet
	tools/each-module go vet -pgo=off

vuln: ## Look for known vulnerabilities in reachable code
	tools/vuln

secrets: ## Look for secrets in the files and the history, and test that planted ones are found
	tools/secrets/check
	tools/secrets/test

# Tests wait for the database as long as they work, so more of them run at once than there are processors.
PARALLEL = -parallel 4
test: ## Test on SQLite and on a PostgreSQL that is started for it
	@# Without the profile, or all that the command needs would be compiled twice. What takes longest begins first.
	$(RACE_ENV) tools/with-postgres go test -pgo=off $(RACE) $(PARALLEL) -shuffle=on -count=1 -timeout 30m ./server ./store ./cmd/... ./server/... ./...
	go test -C tools -shuffle=on -count=1 ./render
	go test -C bench -shuffle=on -count=1 ./...

allocations: ## Check the bound on allocations of a PATCH, without the race detector, which allocates too
	tools/with-postgres go test -run '^TestAllocations' -count=1 -v ./server

test-mutations: ## Change the server in small ways, one at a time: the conformance test must find each change
	go test -tags mutations -run '^TestMutations$$' -count=1 -timeout 40m ./server/conformance

test-client: ## Test the Go client, and the program in its README, against a demo server
	@# GOFLAGS, for the go run of the README's program: or all that it needs would be compiled twice.
	tools/with-demo $(RACE_ENV) env GOFLAGS="$$(go env GOFLAGS) $(RACE)" go test -C client -shuffle=on -count=1 ./...

test-typescript: sdk/typescript/$(NPM) ## Test the TypeScript client against a demo server
	tools/with-demo npm test --prefix sdk/typescript

test-docs: $(NODE_TOOLS) ## Test the page /docs in Chromium; installs it if it is missing
	browser=$$(tools/chromium) && CHROMIUM="$$browser" tools/with-demo npm run test-docs --prefix tools

test-mcp: $(NODE_TOOLS) ## Test /mcp of a demo server with the TypeScript SDK of the protocol
	CLIENTAPPS_MCP=true tools/with-demo npm run test-mcp --prefix tools

test-generators: $(NODE_TOOLS) ## Generate clients with six generators, compile them, and call a demo server with them
	tools/generators/generate
	tools/with-demo tools/generators/test

postman: $(NODE_TOOLS) ## Write clientapps.postman_collection.json, to import in Postman and the like
	node tools/postman/collection.mjs clientapps.postman_collection.json

test-postman: $(NODE_TOOLS) ## Send the requests of the Postman collection to a demo server
	tools/with-demo tools/postman/run

test-workflows: $(NODE_TOOLS) ## Run the Arazzo workflows against a demo server, twice
	tools/with-demo tools/workflows

check-alerts: ## Test the alerts and check the queries of the dashboard; installs promtool if it is missing
	tools/check-alerts

slow-clients: ## Attack with slow connections; installs slowhttptest if it is missing
	CLIENTAPPS_REQUEST_TIMEOUT=3s tools/with-demo tools/slow-clients

fuzz: ## Run each fuzz target for FUZZTIME
	tools/with-postgres tools/fuzz $(FUZZTIME)

check-sources:
	$(PAIRS) lint lint-openapi check-format vet check-generate check-breaking secrets

# Each has a server of its own.
test-others:
	$(PAIRS) test-pgbouncer test-row-security test-typescript test-docs test-mcp test-generators test-workflows test-postman \
		slow-clients check-alerts vuln

# The race detector needs a C compiler. SQLite, translated from C, and regular expressions are left out: watching their every access to
# memory takes most of the time of the tests. What their callers do, and how the locks of SQLite order them, is watched.
# go vet has its own target.
UNWATCHED = modernc.org/sqlite/lib modernc.org/libc modernc.org/memory regexp regexp/syntax
check: RACE = $(if $(filter 1,$(shell env -u CGO_ENABLED go env CGO_ENABLED)),-race -vet=off $(foreach p,$(UNWATCHED),'-gcflags=$(p)=-race=false -d=checkptr=0'))
check: check-sources test test-others test-faults test-deploy test-mutations allocations test-client fuzz ## Run everything that CI runs, the tests with the race detector
	@$(if $(RACE),,echo 'no C compiler: the race detector was off' >&2)

# Behind a pooler, a patch or a bulk write that times out while it waits gets outcome_unknown: see docs/scale-out.md.
test-pgbouncer: ## Test on PostgreSQL behind PgBouncer in transaction mode; installs it if it is missing
	tools/with-postgres tools/with-pgbouncer go test -pgo=off $(PARALLEL) -count=1 -run '.*/^postgres' \
		-skip '^(TestDatabaseTimeout|TestAllocationsOfUpdateApp)$$' ./server
	tools/with-postgres tools/with-pgbouncer go test -pgo=off $(PARALLEL) -count=1 ./store ./cmd/clientapps -run \
		'^Test(NothingIsLeftOnAConnection|MigrationsLetGo|TenServersMigrateOnce|PatchesHaveASerialOrder|ImportAppsCommand|ImportCatalogCommand|MigrateCommand.*)$$/^postgres'

# Not part of check: Debian has no package of Citus. What cannot be on a distributed database is in store/storetest/citus.go.
test-citus: ## Test on a Citus cluster; says how to get Citus where it is missing
	tools/with-citus go test -pgo=off -tags citus -count=1 -timeout 60m -skip '^(TestAllocationsOfUpdateApp|TestIdleConnections)$$|.*/^sqlite' ./server
	tools/with-citus go test -pgo=off -tags citus -count=1 -timeout 60m -skip '.*/^sqlite' ./store
	TEST_CITUS_FSYNC=on tools/with-citus go test -C faults -tags citus -count=1 -v -run '^TestCitus' .

test-row-security: ## Test on PostgreSQL with row-level security, as a role that owns nothing
	TEST_ROW_SECURITY=1 tools/with-postgres go test -pgo=off $(PARALLEL) -count=1 -run '.*/^postgres' -skip '^TestAllocationsOfUpdateApp$$' ./server
	TEST_ROW_SECURITY=1 tools/with-postgres tools/with-pgbouncer go test -pgo=off $(PARALLEL) -count=1 -run '^Test(EveryOperationIsServed|Bulk)$$/^postgres' ./server

test-faults: ## Inject faults under load, and compare every answer with the database
	go test -C faults -count=1 -parallel 8 ./... # they wait more than they work

test-deploy: ## Test deploy/: binary, image, manifests, unit
	tools/systemd
	tools/with-postgres go test -C tools -count=1 ./deploy

SOAK ?= 10m
soak: ## Inject all faults for SOAK while clients write, and write faults/LEDGER.md
	go test -C faults -count=1 -run 'Killed|Schema|Rolling' . -writes 10000
	cd faults && go run ./soak -for $(SOAK)

bench: ## Compare with references and write bench/RESULTS.md; ARGS=-help lists the flags
	@cd bench && go build -o bench . && exec ./bench $(ARGS)

bench-scale: ## Compare ten million apps with 200,000 and write bench/RESULTS-SCALE.md
	@cd bench && go build -o bench . && exec ./bench -scale $(ARGS)

bench-citus: ## Compare a Citus cluster with one PostgreSQL and write bench/RESULTS-CITUS.md
	@cd bench && go build -o bench . && TEST_CITUS_FSYNC=on exec ../tools/with-citus ./bench -citus $(ARGS)

pgo: ## Record the profile cmd/clientapps/default.pgo, which go build uses
	@cd bench && go build -o bench . && exec ./bench -profile ../cmd/clientapps/default.pgo $(ARGS)

clean: ## Remove what was built
	rm -f clientapps bench/bench

%/$(NPM): %/package-lock.json
	@command -v npm >/dev/null || { echo 'npm is needed: install Node.js 20 or newer' >&2; exit 1; }
	npm ci --prefix $* --ignore-scripts --no-audit --no-fund
	@touch $@
