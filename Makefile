# gst-plugin-reid: everything a checkout needs. `make help` lists the targets.
SHELL := /bin/bash
CARGO ?= cargo
PLUGIN := target/gst-plugin/libgstreid.so

.PHONY: help build env demo test test-page test-kafka test-debian test-debian13 test-container lint deb release bench bench-code test-training clean
help: ## This list
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

build: ## Fetch what is missing and build the plugin and reidctl
	@scripts/setup.sh build
	. scripts/features.sh && $(CARGO) build --release --locked --workspace "$${gstreamer_features[@]}"
	@mkdir -p $(dir $(PLUGIN)) && cp -u target/release/libgstreid.so $(PLUGIN)

env: ## Print the environment for a shell: eval "$$(make -s env)"
	@scripts/env.sh

demo: ## Two cameras side by side into out/demo.mp4; CAM0=a.mp4 CAM1=rtsp://... take real ones
	@scripts/setup.sh demo
	@$(MAKE) --no-print-directory build
	@eval "$$(scripts/env.sh)" && CAM0='$(CAM0)' CAM1='$(CAM1)' scripts/demo.sh

test: ## Everything that can be checked without PyTorch
	@scripts/setup.sh test
	@scripts/test.sh

test-page: ## Walk through the page of reidctl run with Chromium; screenshots in out/page/
	@scripts/setup.sh page
	@scripts/test-page.sh

test-kafka: ## The tests of reidpublish with Kafka, which builds librdkafka
	scripts/test.sh --features gst-plugin-reid/kafka --lib --test kafka

test-debian: ## The tests in a folder of another Debian: SUITE=trixie (GStreamer 1.26) or forky (1.28); needs root
	@SUITE=$(or $(SUITE),trixie) scripts/test-debian.sh $(ARGS)

test-debian13: ## The same with SUITE=trixie
	@SUITE=trixie scripts/test-debian.sh $(ARGS)

test-container: ## The steps of the Containerfile in bare Debian 13 folders; needs root. ARGS=FILE.deb installs a package
	@scripts/test-container.sh $(ARGS)

lint: ## rustfmt and clippy with default, all and no features
	@scripts/lint.sh

deb: ## A Debian package in target/debian, for this Debian
	@$(MAKE) --no-print-directory build
	@scripts/deb.sh

release: ## Check everything that a release needs: version, changelog, clean tree, lint, tests, package
	@scripts/release.sh $(ARGS)

bench: ## Measure whole pipelines on this machine; the table goes into docs/benchmarks.md
	@scripts/setup.sh demo
	@$(MAKE) --no-print-directory build
	@eval "$$(scripts/env.sh)" && scripts/bench.sh

bench-code: ## Criterion benchmarks of single functions
	@scripts/setup.sh build
	@. scripts/features.sh && $(CARGO) bench --locked "$${gstreamer_features[@]}"

test-training: ## Smoke test of the training recipes; installs PyTorch (large)
	@models/training/test.sh

clean: ## Remove what was built; downloads in .deps/ stay
	rm -rf --one-file-system target out
