# Every task of this repository. `make` alone lists them.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-builtin-rules --no-print-directory
.DEFAULT_GOAL := help

# The demo's settings: make demo PORT=9000 CROWD=500 FRESH=1
PORT ?= 8080
DIR ?= .fairline
CROWD ?=
FRESH ?=

# A snapshot that differs fails its test, and is never written unless asked: `make snapshots`.
export INSTA_UPDATE ?= no

CARGO := cargo
BIN := $(or $(CARGO_TARGET_DIR),target)/debug
RELEASE := $(or $(CARGO_TARGET_DIR),target)/release
CHECKED := $(or $(CARGO_TARGET_DIR),target)/checked
# nextest where there is one, which runs the tests of all crates side by side but knows no doc
# tests; cargo's own runner elsewhere.
NEXTEST := $(shell command -v cargo-nextest)
# A server that the line is measured against.
NODE_WS := tools/bench-line/node-ws/node_modules/.installed
# The linters of texts and OpenAPI documents.
LINT_TOOLS := scripts/lint/node_modules/.installed
LINT_BIN := scripts/lint/node_modules/.bin
WEB_SOURCES := web/scripts/build.mjs web/tsconfig.json $(shell find web/src -type f)

.PHONY: help setup setup-test web build demo migrate test programs test-rust test-web test-deploy test-api test-browser test-load load screenshot image-steps fuzz bench-line bench-promises bench-recovery bench-admission bench-admission-live bench-redeem bench-retention simulate chaos lint generate snapshots format

help: ## List all targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Install the packages that the demo needs
	@scripts/setup.sh demo

setup-test:
	@scripts/setup.sh test

web: web/node_modules/.built ## Build the pages

web/node_modules/.installed: web/package.json web/package-lock.json
	@echo "… installing the web tools"
	@npm --prefix web ci --no-audit --no-fund --loglevel=error
	@touch $@

# The build leaves files alone that have not changed, so that nothing is compiled again for them;
# hence a mark of its own.
web/node_modules/.built: web/node_modules/.installed $(WEB_SOURCES)
	@cd web && node scripts/build.mjs
	@touch $@

build: setup web ## Build the services and the command line
	@$(CARGO) build --locked --package fairline

demo: build ## Run everything on one port: PORT=8080, FRESH=1 to start over, CROWD=500 for a crowd
	@exec $(BIN)/fairline demo --dir '$(DIR)' --port '$(PORT)' $(if $(FRESH),--fresh) $(if $(CROWD),--crowd '$(CROWD)')

migrate: build ## Bring a database up to date: make migrate POSTGRES_URL=postgres://…
	@exec $(BIN)/fairline migrate $(if $(POSTGRES_URL),--postgres-url '$(POSTGRES_URL)')

test: setup-test web test-web test-deploy test-rust test-api test-browser test-load ## Run every test

# The programs that tests start as processes. They are built once and beforehand, so that building
# does not count towards the time limit of a test. `--examples` enables the features of development
# dependencies, as tests do.
programs: setup web
	@$(CARGO) build --locked --workspace --bins --examples

test-rust: programs $(NODE_WS) ## Run the tests of the services, with a Redis and a Postgres of their own: TESTS='test(growth)' for a part
	@$(BIN)/with-private-servers $(CARGO) $(if $(NEXTEST),nextest run $(if $(FAIRLINE_FIXTURE_ROWS),--profile=large-fixture),test --no-fail-fast) --locked --workspace $(if $(TESTS),-E '$(TESTS)')
	@$(if $(TESTS),,$(if $(NEXTEST),$(CARGO) test --locked --workspace --doc --quiet))

test-web: web ## Run the unit tests of the pages
	@cd web && node scripts/test.mjs test/unit

test-deploy: ## Test the Helm chart, its alerts and the Dockerfile, with the real tools
	@scripts/test-deploy.sh

test-api: programs ## Call every operation of the OpenAPI documents with generated requests: EXAMPLES=10 of each
	@FAIRLINE_BIN='$(abspath $(BIN))/fairline' scripts/test-api.sh '$(or $(EXAMPLES),10)'

test-browser: programs ## Run the tests in a browser
	@cd web && CHROMIUM=$$(../scripts/chromium.sh) FAIRLINE_BIN='$(abspath $(BIN))/fairline' node scripts/test.mjs test/browser

screenshot: build ## Take the pictures in the README again, of a demo with a crowd
	@cd web && CHROMIUM=$$(../scripts/chromium.sh) FAIRLINE_BIN='$(abspath $(BIN))/fairline' npm run --silent screenshot

$(NODE_WS): tools/bench-line/node-ws/package.json tools/bench-line/node-ws/package-lock.json
	@npm --prefix tools/bench-line/node-ws ci --no-audit --no-fund --loglevel=error
	@touch $@

test-load: programs ## Send a small crowd of each k6 scenario to a demo
	@FAIRLINE_BIN='$(abspath $(BIN))/fairline' scripts/load.sh smoke

load: setup web ## Send a large k6 crowd, and check every threshold: SCENARIO=normal|peak|stress SCALE=0.05
	@$(CARGO) build --locked --release --package fairline
	@FAIRLINE_BIN='$(abspath $(RELEASE))/fairline' scripts/load.sh load

image-steps: ## Perform the steps of the Dockerfile without a container engine, and measure the images
	@python3 scripts/test_dockerfile.py --all

fuzz: web ## Call every parser that faces the network with mutated inputs: SECONDS=240, ONLY=websocket for a part
	@$(CARGO) build --locked --profile checked --package fairline-fuzz
	@exec $(CHECKED)/fuzz --seconds '$(or $(SECONDS),240)' $(if $(SEED),--seed '$(SEED)') $(if $(ONLY),--only '$(ONLY)')

bench-line: setup web $(NODE_WS) ## Measure the line, in about a quarter of an hour: ONLY=place_vs_zrank for a part
	@$(CARGO) build --locked --release --package waiting-room --package admission-controller --package fairline-bench-line
	@exec $(RELEASE)/bench-line $(if $(ONLY),--only '$(ONLY)')

bench-promises: setup web ## Measure what many sales cost one controller, in about four minutes: ONLY=open_sales_full_rate for a part
	@$(CARGO) build --locked --release --package waiting-room --package admission-controller --package checkout --package fairline-bench-line
	@exec $(RELEASE)/bench-promises $(if $(ONLY),--only '$(ONLY)')

bench-recovery: setup web ## Measure the recovery of a large line from a lost Redis, in about two minutes
	@$(CARGO) build --locked --release --package admission-controller --package fairline-bench-line
	@exec $(RELEASE)/bench-recovery

bench-admission: ## Test the control law against simulated shoppers, in a few minutes: SEEDS=5 for a shorter run, DOCS=1 for new plots in docs/
	@$(CARGO) build --locked --release --quiet --package fairline-bench-admission
	@$(RELEASE)/bench-admission $(if $(SEEDS),--seeds '$(SEEDS)')
	@$(if $(DOCS),cp target/bench/admission-sold.svg target/bench/admission-frontier.svg docs/)

bench-admission-live: setup web ## Compare live sales with simulated ones, in about eight minutes: SALES=1 for one sale of each mode
	@$(CARGO) build --locked --release --quiet --package fairline --package fairline-bench-admission
	@exec $(RELEASE)/bench-admission --live '$(or $(SALES),3)' --fairline $(RELEASE)/fairline

bench-redeem: setup ## Measure redemption, in about four minutes: ONLY=rejects_vs_hello for a part
	@$(CARGO) build --locked --release --package admission-controller --package checkout --package waiting-room --package fairline-bench-redeem
	@exec $(RELEASE)/bench-redeem $(if $(ONLY),--only '$(ONLY)')

bench-retention: setup web ## Measure the deletion of an old sale: ROWS=10000000 for a large one, in ten tables
	@FAIRLINE_RETENTION_ROWS='$(or $(ROWS),1000000)' $(CARGO) test --locked --package admission-controller --lib a_batch_of_a_large_sale -- --nocapture

simulate: setup web ## Simulate the line and its admissions with faults, in a few minutes: SEEDS=200 for a shorter run, STORY=7 to print one, KEEP=tools/simulate/tests/stories to keep those of the controls
	@$(CARGO) build --locked --release --quiet --package fairline-simulate
	@exec $(RELEASE)/simulate $(if $(SEEDS),--seeds '$(SEEDS)') $(if $(STORY),--story '$(STORY)') $(if $(BUG),--bug '$(BUG)') $(if $(KEEP),--keep '$(KEEP)' --tries 1000)

chaos: setup-test $(if $(OPTIMISED),web,programs) ## Inject random faults into shops of real processes while crowds buy, in an hour: SEEDS=2 for a shorter run, ONLY=redis for some faults, OPTIMISED=1 for release builds, FOLDER=target/chaos/a for several at once, MERGE='target/chaos/a target/chaos/b' to add them up
	@$(if $(OPTIMISED),$(CARGO) build --locked --release --workspace --bins)
	@exec $(if $(OPTIMISED),$(RELEASE),$(BIN))/chaos $(if $(SEEDS),--seeds '$(SEEDS)') $(if $(ROUNDS),--rounds '$(ROUNDS)') $(if $(ONLY),--only '$(ONLY)') $(if $(FOLDER),--folder '$(FOLDER)') $(if $(MERGE),--merge $(MERGE))

snapshots: programs $(NODE_WS) ## Renew the snapshots of texts in tests: TESTS='package(fairline)' for a part
	@INSTA_UPDATE=always $(MAKE) test-rust $(if $(TESTS),TESTS="$(TESTS)")

# The tests that compare the generated files write them instead. The OpenAPI documents are those
# that a demo serves.
generate: programs ## Renew generated files: docs/openapi, docs/problems.md, docs/commands.md, the chart's README, the schema's snapshot, the names of the Lua library, and the types and currencies of the pages
	@FAIRLINE_REGENERATE=1 $(CARGO) $(if $(NEXTEST),nextest run,test) --locked --package fairline --bin fairline --test demo --test problems --test schema $(if $(NEXTEST),,--) a_demo_serves_everything is_up_to_date
	@FAIRLINE_REGENERATE=1 $(CARGO) $(if $(NEXTEST),nextest run,test) --locked --package fairline-line --package fairline-sale --lib $(if $(NEXTEST),,--) is_up_to_date
	@npm --prefix web run --silent generate
	@scripts/test-deploy.sh readme

$(LINT_TOOLS): scripts/lint/package.json scripts/lint/package-lock.json
	@npm --prefix scripts/lint ci --no-audit --no-fund --loglevel=error
	@touch $@

lint: setup web $(LINT_TOOLS) ## Check format, lints, types, texts, links, OpenAPI documents, licences and known vulnerabilities
	@$(CARGO) fmt --all --check
	@$(CARGO) clippy --locked --workspace --all-targets -- --deny warnings
	@RUSTDOCFLAGS='--deny warnings --allow rustdoc::private_intra_doc_links' $(CARGO) doc --locked --workspace --no-deps --document-private-items --quiet
	@npm --prefix web run --silent lint
	@$(LINT_BIN)/cspell lint --config scripts/lint/cspell.json --no-progress --no-summary
	@node scripts/lint/prose.mjs
	@node scripts/lint/links.mjs
	@REDOCLY_TELEMETRY=off $(LINT_BIN)/redocly lint --config scripts/lint/redocly.yaml docs/openapi/*.json >target/redocly.log 2>&1 || { cat target/redocly.log; exit 1; }
	@scripts/cargo-deny.sh

format: ## Format the code
	@$(CARGO) fmt --all
