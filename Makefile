.PHONY: check lint test format docs

check: lint test  ## what CI runs

lint:  ## style, types, layers
	bash .ci/lint

test:
	pytest -n auto

format:
	ruff check --fix
	ruff format

docs:  ## the site, in docs/_build
	sphinx-build -q docs docs/_build
