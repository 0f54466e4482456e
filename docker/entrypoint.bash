#!/bin/bash
# Arguments of the form NAME:=VALUE start the pipeline; anything else is run as a command.
set -e
# shellcheck disable=SC1090,SC1091
source "/opt/ros/$ROS_DISTRO/setup.bash"
# shellcheck disable=SC1091
source /opt/venv/bin/activate
# shellcheck disable=SC1091
source /opt/gaze_ros/setup.bash
if [[ $# -eq 0 || $1 == *:=* ]]; then
  exec ros2 launch gaze_ros pipeline.launch.py "$@"
fi
exec "$@"
