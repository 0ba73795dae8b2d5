# Needs Python 3.11+ and make; everything else goes into .venv.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: serve test stores test-scale test-web test-android test-ios bench-service bench-clients lint bundle clean

serve: .venv/serve.done  ## start the scoring service with the shipped bundle
	$(BIN)/forewarn serve

test: .venv/dev.done  ## run every test
	$(BIN)/python -m pytest -n 2

stores:  ## PostgreSQL, Redis and nginx from Debian's packages, with which `make test` leaves out nothing
	{ command -v redis-server && command -v nginx && ls /usr/lib/postgresql/*/bin/postgres /usr/lib/nginx/modules/ngx_stream_module.so; } > /dev/null || \
	  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends postgresql redis-server nginx-light libnginx-mod-stream; }

test-scale: .venv/scale.done  ## scoring and serving on a Ray cluster of two nodes, on this machine
	$(BIN)/python -m pytest -m scale tests/test_scale_score.py tests/test_scale_serve.py

test-web: .venv/dev.done mobile_bundle/web/node_modules/.package-lock.json mobile_bundle/react_native/node_modules/.package-lock.json  ## the web, Node and React Native clients, in Node, Chromium (needs both) and Hermes
	$(BIN)/python mobile_bundle/web/scripts/make_fixture.py
	cd mobile_bundle/web && npm test
	cd mobile_bundle/react_native && npm test

test-android: .venv/serve.done  ## the Android client, compiled and on a plain JVM with ONNX Runtime (needs Debian's JDK and junit4)
	$(BIN)/python mobile_bundle/web/scripts/make_fixture.py
	mobile_bundle/android/test.sh

test-ios: .venv/serve.done  ## the iOS client, in a Debian 13 of its own (needs root; made once, 3.4 GB), or a line that says why not
	$(BIN)/python mobile_bundle/web/scripts/make_fixture.py
	mobile_bundle/ios/test.sh

bench-service: .venv/dev.done  ## how fast the HTTP service is; CHECKPOINT=DIR adds rivals in PyTorch, SOAK=MINUTES a long load
	$(BIN)/python tests/benchmarks/service/run.py $(if $(CHECKPOINT),--checkpoint $(CHECKPOINT)) $(if $(SOAK),--soak $(SOAK))

bench-clients: .venv/dev.done mobile_bundle/web/node_modules/.package-lock.json  ## size, speed and memory of each bundle in each client (Linux; QUICK=1 to see that it runs)
	cd mobile_bundle/web && npm run build
	$(BIN)/python tests/benchmarks/clients/run.py $(if $(QUICK),--quick)

lint: .venv/dev.done  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@# mypy follows package names, so it is shown the folders under the names that they install as.
	rm -rf build/types && mkdir -p build/types/forewarn
	for part in inference training export mobile_bundle data_cards; do ln -s ../../../$$part build/types/forewarn/$$part; done
	cd build/types && MYPYPATH=. ../../$(BIN)/mypy --config-file ../../pyproject.toml -p forewarn

bundle: .venv/dev.done  ## data, two generations of training from the repository's encoder, the nano model, evaluation and export of both bundles
	$(BIN)/forewarn data build --skip id_sms_1143
	$(BIN)/forewarn train training/configs/default.yaml
	$(BIN)/forewarn train training/configs/again.yaml
	$(BIN)/forewarn train training/configs/nano.yaml
	$(BIN)/forewarn evaluate runs/again/model --out runs/again/evaluation
	$(BIN)/forewarn evaluate runs/nano/model --out runs/nano/evaluation
	$(BIN)/forewarn export runs/again/model --out mobile_bundle/standard --evaluation runs/again/evaluation/evaluation.json
	$(BIN)/forewarn export runs/nano/model --out mobile_bundle/nano --evaluation runs/nano/evaluation/evaluation.json

.venv/serve.done: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[serve]'
	touch $@

.venv/dev.done: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	touch $@ .venv/serve.done

.venv/scale.done: .venv/dev.done
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev,scale]'
	touch $@

mobile_bundle/web/node_modules/.package-lock.json: mobile_bundle/web/package.json mobile_bundle/web/package-lock.json
	cd mobile_bundle/web && npm ci --no-progress
	touch $@

mobile_bundle/react_native/node_modules/.package-lock.json: mobile_bundle/react_native/package.json mobile_bundle/react_native/package-lock.json
	cd mobile_bundle/react_native && npm ci --no-progress
	touch $@

clean:
	rm -rf .venv build dist *.egg-info
