# For a user: `make report` and `make test`. They need Python 3.11 or newer and a package index.
# PYTHON=... names an interpreter, ARGS=... goes to the command that is run.

SHELL = /bin/sh
.DEFAULT_GOAL = help
export PYTHON

python = .venv/bin/python

.PHONY: help report atlas test check format bench constraints clean install install-dev

help: ## List these commands
	@sed -n 's/^\([a-z]*\):.*## /\1	/p' Makefile | while IFS='	' read -r name what; do \
	    printf '  make %-12s %s\n' "$$name" "$$what"; done

report: install ## Run every case on both frameworks, and write build/report/index.html
	@$(python) -m comparisons run --jobs 2 --out build/report $(ARGS)

atlas: install ## Run the gradient atlas, say what became another, and write build/atlas/index.html
	@mkdir -p build/atlas
	@$(python) -m comparisons atlas --diff --unexplained --html build/atlas/index.html $(ARGS)

test: install ## Run the tests
	@$(python) -m pytest -n 2 $(ARGS)

bench: install ## Measure what the README claims
	@$(python) -m benchmarks $(ARGS)

check: install-dev ## Lint, check the format, the types and the layers
	$(python) -m ruff check
	$(python) -m ruff format --check
	$(python) -m pyright --warnings
	$(python) -c 'from importlinter.cli import lint_imports_command as lint; lint()'

format: install-dev ## Format the code, and mend what the linter can
	$(python) -m ruff check --fix
	$(python) -m ruff format

constraints: install ## Pin the newest versions that pyproject.toml allows
	$(python) scripts/constraints.py

clean: ## Remove what these commands made
	@rm -rf .venv build dist

install:
	@sh scripts/install

# After `install`, so that `make -j` never runs two installs at once.
install-dev: install
	@sh scripts/install dev
