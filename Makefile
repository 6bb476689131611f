# make demo   sets everything up, then does the main job on real files and shows the result
# make test   sets everything up, then lint, types, tests
.PHONY: demo test lint proto bench bench-peers serve setup clean
PYTHON := .venv/bin/python
STORE ?= demo-output/store
LISTEN ?= localhost:50051

setup:
	@scripts/setup

demo: setup
	@$(PYTHON) -m trichord demo $(if $(MEDIA),--media "$(MEDIA)")

test: setup
	@scripts/laion-clap
	@scripts/check
	@$(PYTHON) -m pytest $(PYTEST)

lint: setup
	@scripts/check

proto: setup
	@scripts/proto

bench: setup
	@$(PYTHON) -m benchmarks $(BENCH)

bench-peers: setup
	@$(PYTHON) -m benchmarks.peers $(BENCH)

serve: setup
	@$(PYTHON) -m trichord serve --store "$(STORE)" --listen "$(LISTEN)"

clean:
	rm -rf .cache demo-output build dist
