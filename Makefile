# `make help` lists the targets. Works with any make, Python >= 3.11, and with or without uv and a C compiler.
SUITE = standard
INFERENCE = recorded
STAGE = sweep
ARGS =

CONFIG = suite=$(SUITE) inference=$(INFERENCE) $(ARGS)
PYTHON = .venv/bin/python
RUN = $(PYTHON) -m

# The environment is done when the stamp of exactly this lock and this pyproject exists.
KEY := $(shell cat requirements.lock pyproject.toml | cksum | cut -d ' ' -f 1)
INSTALLED = .venv/installed-$(KEY)
# torch is the one package without a hash: its builds (CPU, CUDA, macOS) differ by machine. Its version is in pyproject.toml.
TORCH := $(shell sed -n 's/^ *"\(torch==[^"]*\)",*$$/\1/p' pyproject.toml)
UV := $(shell command -v uv 2>/dev/null)
ifdef UV
INSTALL = uv pip install --quiet --python $(PYTHON)
else
INSTALL = $(PYTHON) -m pip install --quiet --quiet --disable-pip-version-check
endif

unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV
# Whatever the locale: paths and files are UTF-8.
export PYTHONUTF8 = 1
# Caches lie under HOME (pip's, uv's, matplotlib's, the project's); without a home that can be written to, under .venv.
ifneq ($(shell test -w "$$HOME" && echo writable),writable)
export HOME := $(shell mkdir -p .venv/home)$(CURDIR)/.venv/home
endif
# Runs a stage's command and notes how many seconds it took, for the last line of `make reproduce`.
define timed
@mkdir -p build; start=$$(date +%s); $(2) || exit $$?; echo "$(1) $$(($$(date +%s) - start))" >> build/seconds
endef
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: demo docs record lab help reproduce test check setup prepare collect sweep analyze explain cross-fit figures paper verify expected machines audit live-audit forgeries stress mlflow-ui watch notebooks validate-statistics lock clean

help:  ## this list
	@echo "make TARGET [SUITE=quick|medium|standard|wide] [INFERENCE=recorded|live] [ARGS='key=value ...']"
	@sed -n 's/^\([a-z -]*\):.*## \(.*\)/\1\t\2/p' Makefile | awk -F'\t' '{printf "  %-20s %s\n", $$1, $$2}'

# Every stage runs, also where the results differ or the audit fails; then the exit code says so.
reproduce: start-clock prepare $(if $(filter live,$(INFERENCE)),collect) sweep analyze explain paper  ## everything, from the recorded outcomes to paper/paper.pdf, checked (INFERENCE=live asks the models again)
	@failed=0; for check in live-audit verify; do $(MAKE) --no-print-directory $$check || failed=1; done; \
	  echo "== seconds of each stage: $$(tr '\n' ' ' < build/seconds)"; exit $$failed

start-clock:
	@mkdir -p build && rm -f build/seconds

DEMO = suite=quick statistics=quick tracking=off paths.results=build/demo
demo: $(INSTALLED)  ## a first look in about a minute: 200 tasks, six strategies, the leaderboard and a page to look around in
	@$(RUN) experiments.prepare suite=quick > /dev/null
	@$(RUN) experiments.run -m routing=guess,constant,mixture,length,confidence,adaptive $(DEMO) | sed -n '/^leaderboard/,$$p'
	@$(RUN) experiments.analyze $(DEMO) > /dev/null
	@$(RUN) experiments.report $(DEMO) paths.figures=build/demo/figures paths.paper=build/demo/paper \
	  paths.page=build/demo/index.html > /dev/null
	@echo "== build/demo/index.html: what came out, every answer, and the threshold to move"
	@if [ -n "$$DISPLAY$$WAYLAND_DISPLAY" ] || [ "$$(uname)" = Darwin ]; then \
	  $(PYTHON) -m webbrowser "file://$(CURDIR)/build/demo/index.html" > /dev/null; fi

test: $(INSTALLED)  ## the whole test suite, on all cores
	@OMP_NUM_THREADS=1 $(RUN) pytest --numprocesses auto --maxprocesses 8 --dist loadfile

check: $(INSTALLED)  ## style, types and the import rule
	@$(RUN) ruff check .
	@$(RUN) ruff format --check .
	@$(RUN) mypy
	@.venv/bin/lint-imports

setup: $(INSTALLED)  ## only the environment, in .venv; every other target makes it too

prepare: $(INSTALLED)  ## build the tasks of the suite
	@echo "== prepare: the tasks of suite $(SUITE)"
	$(call timed,prepare,$(RUN) experiments.prepare $(CONFIG))

collect: $(INSTALLED)  ## run the models of the pool on the tasks (hours for larger suites; resumable)
	@echo "== collect: the models answer suite $(SUITE)"
	$(call timed,collect,$(RUN) experiments.collect suite=$(SUITE) inference=live $(ARGS))

sweep: $(INSTALLED)  ## replay every routing strategy at every threshold
	@echo "== sweep: every strategy at every threshold"
	$(call timed,sweep,$(RUN) experiments.run --multirun 'routing=glob(*)' $(CONFIG))

analyze: $(INSTALLED)  ## intervals, tests and effect sizes
	@echo "== analyze: intervals, tests and effect sizes"
	$(call timed,analyze,$(RUN) experiments.analyze $(CONFIG))

explain: $(INSTALLED)  ## what adaptive has learned: kinds of requests, what answers tell, where a classifier suffices
	@echo "== explain: what adaptive has learned"
	$(call timed,explain,$(RUN) experiments.explain routing=adaptive $(CONFIG))

cross-fit: $(INSTALLED)  ## every strategy on many splits of the tasks (half an hour)
	$(RUN) experiments.cross_fit --multirun 'routing=glob(*)' $(CONFIG)

figures paper: $(INSTALLED)  ## figures, tables and paper/paper.pdf from what was analyzed
	@echo "== report: figures, tables and paper"
	$(call timed,paper,$(RUN) experiments.report $(CONFIG))

verify: $(INSTALLED)  ## compare the results with the committed reference: "reproduced", or what differs
	@echo "== verify: are these the committed results?"
	$(call timed,verify,$(RUN) experiments.verify $(CONFIG))

record: $(INSTALLED)  ## measure again what is committed and replace it: make record STAGE=faults, or load, grade, pilot
	@$(RUN) experiments.$(STAGE) record=true $(CONFIG)

expected: $(INSTALLED)  ## make the present results the reference that verify compares with
	@$(RUN) experiments.verify accept $(CONFIG)
	@[ $(SUITE) != standard ] || { $(RUN) experiments.claims $(CONFIG) && cp figures/cost_quality.png figures/readme/; }

machines: $(INSTALLED)  ## do other processors get the same results? emulated, with the smallest suite unless ARGS names one
	@$(RUN) experiments.machines suite=quick inference=$(INFERENCE) $(ARGS)

audit: $(INSTALLED)  ## run the real models again on a sample of the recorded tasks (downloads the weights)
	@$(RUN) experiments.audit $(CONFIG)

live-audit: $(INSTALLED)  ## a small audit of the smallest model, skipped where its weights cannot be had
	@echo "== audit: 20 recorded tasks, answered again by SmolLM2"
	$(call timed,audit,$(RUN) experiments.audit n=20 model=smollm2-135m inference.audit_may_skip=true $(CONFIG))

forgeries: $(INSTALLED)  ## how often an audit meets forged outcomes, by planting some
	@$(RUN) experiments.forgeries $(CONFIG)

stress: $(INSTALLED)  ## attacks and faults in numbers: hostile programs, kills, damaged files, full disks, malformed input (15 minutes)
	@OMP_NUM_THREADS=1 $(RUN) tests.stress

watch: $(INSTALLED)  ## repeat one stage whenever a file of src, experiments or conf is saved: make watch STAGE=sweep
	@echo "== watch: $(STAGE), until Ctrl-C"; last=; while true; do \
	  now=$$(find src experiments conf -type f \( -name '*.py' -o -name '*.yaml' \) -newer build/watched 2>/dev/null | head -1); \
	  if [ -z "$$last" ] || [ -n "$$now" ]; then mkdir -p build; touch build/watched; last=1; \
	    $(MAKE) --no-print-directory $(STAGE); fi; sleep 1; done

notebooks: $(INSTALLED) prepare  ## run every notebook on the recorded outcomes, and keep its outputs in it
	@PYTHONPATH="$(CURDIR)" .venv/bin/jupyter-execute --inplace notebooks/*.ipynb
	@$(PYTHON) -c "import glob, nbformat as n; [(p := n.read(f, 4), [c.metadata.clear() for c in p.cells], n.write(p, f)) for f in glob.glob('notebooks/*.ipynb')]"  # no times

lab: $(INSTALLED)  ## open the notebooks (installs JupyterLab into .venv)
	@[ -x .venv/bin/jupyter-lab ] || $(INSTALL) jupyterlab
	@PYTHONPATH="$(CURDIR)" .venv/bin/jupyter-lab notebooks/tour.ipynb

docs: $(INSTALLED)  ## the documentation as a site in build/site: guides, figures, reference of the code
	@$(RUN) sphinx --quiet --fail-on-warning --keep-going --jobs auto docs build/site
	@echo "== open build/site/index.html"

validate-statistics: $(INSTALLED)  ## simulate the coverage of intervals and the level of tests (long)
	@$(RUN) experiments.validate_statistics statistics.validation=build/validation.csv $(CONFIG)

mlflow-ui: $(INSTALLED)  ## browse the logged runs
	@echo "== open http://127.0.0.1:5000/#/experiments?workflowType=machine_learning"
	@MLFLOW_DISABLE_TELEMETRY=true $(RUN) mlflow ui --backend-store-uri "$${MLFLOW_TRACKING_URI:-sqlite:///mlflow.db}"

# One version of a package for every Python, so that results compare. graphene: without the bound an older one is chosen,
# from before its limit on python-dateutil. pycosat needs a C compiler and serves only puzzles that no domain uses.
COMPILE = uv pip compile --quiet --upgrade --universal --fork-strategy fewest --python-version 3.11 --extra dev \
  --no-header --no-annotate --constraint .lock/constraint --override .lock/override
lock:  ## resolve requirements.lock again (needs uv; torch and what only torch needs stay out)
	@mkdir -p .lock
	@echo 'graphene>=3.4.3' > .lock/constraint
	@echo 'pycosat; python_version < "3"' > .lock/override
	@$(COMPILE) pyproject.toml | sed -n 's/^\(torch\|triton\|nvidia-[a-z0-9-]*\|cuda-[a-z0-9-]*\)==.*/--no-emit-package \1/p' | sort -u > .lock/without
	@$(COMPILE) $$(cat .lock/without) --generate-hashes --no-emit-index-url --output-file requirements.lock pyproject.toml
	@rm -r .lock

clean:  ## remove what reproduce makes; keeps .venv, recorded and live outcomes, and downloaded weights
	rm -rf data/tasks data/results build figures/*.pdf figures/*.png paper/generated paper/paper.pdf report mlflow.db mlruns .hydra

.venv/bin/python:
	@echo "== setup: a Python environment in .venv"
ifdef UV
	@uv venv --quiet --seed --allow-existing --python '>=3.11,<3.14' .venv
else
	@for python in python3.13 python3.12 python3.11 python3; do \
	  if $$python -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	    exec $$python -m venv .venv; fi; done; \
	  echo "setup: needs Python >= 3.11 with venv (on Debian and Ubuntu: apt install python3-venv), or uv" >&2; exit 1
endif

# Each step can be repeated, so after an interruption the same command continues; the stamp comes last.
# pip and setuptools come before the rest: three packages are pure Python source, built with what the lock names.
# The package is found by a relative path: Python reads it in the locale's encoding, in which the folder may have no name.
$(INSTALLED): .venv/bin/python
	@echo "== setup: $(TORCH) (the largest download)"
	@$(INSTALL) "$(TORCH)"
	@echo "== setup: the packages of requirements.lock, by their hashes"
	@sed -n '/^pip==/,/[^\\]$$/p; /^setuptools==/,/[^\\]$$/p' requirements.lock > .venv/build.lock
	@$(INSTALL) --no-deps --require-hashes -r .venv/build.lock
	@$(INSTALL) --no-deps --require-hashes --no-build-isolation -r requirements.lock
	@for site in .venv/lib/python3*/site-packages; do echo ../../../../src > $$site/slm_orchestration.pth; done
	@rm -f .venv/installed-*
	@touch $@
