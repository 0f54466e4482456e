# make demo: the whole pipeline on the built-in sample. make test: all checks.
PYTHON ?= python3
VENV ?= .venv
SECONDS ?= 15
SOURCE ?= sample
ARGS ?=
BIN := $(VENV)/bin
EXTRAS := mediapipe,sample,torch,test
# Two pipelines on one network do not mix, and nothing leaves this machine.
export ROS_DOMAIN_ID ?= 42
export ROS_AUTOMATIC_DISCOVERY_RANGE ?= LOCALHOST
# Set inside another environment made of ROS wheels; this one has to find its own libraries.
unexport _ROS_WHEELS_BOOTSTRAP_COMPLETE
# What an editable install copies; the Python files it does not.
COPIED := setup.py pyproject.toml constraints.txt CMakeLists.txt package.xml \
	$(wildcard msg/*.msg launch/* config/* weights/*)

.PHONY: env demo test run lint clean

env: $(VENV)/.installed

$(VENV)/.installed: $(COPIED)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=23'
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[$(EXTRAS)]'
	touch $@

demo: env
	$(BIN)/gaze_ros demo --seconds $(SECONDS) --source $(SOURCE) --out out

test: env
	$(BIN)/ruff check .
	$(BIN)/python -m pytest

run: env
	$(BIN)/pipeline --ros-args -p source:=$(SOURCE) $(ARGS)

lint: env
	$(BIN)/ruff check .

clean:
	rm -rf $(VENV) build out *.egg-info gaze_ros/msg gaze_ros/*.so
