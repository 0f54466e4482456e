"""Starting processes by launch, which is in no package registry: only launch files import this."""
from collections.abc import Callable, Mapping
import os
from pathlib import Path
from tempfile import NamedTemporaryFile
import time
from typing import Optional

from gaze_ros.ros.comm.dds_profile import LINK
from gaze_ros.ros.launch.arguments import (
    overriding_parameter_file,
    parse_bool,
    ProcessSpec,
    read_parameter_file,
)
from gaze_ros.ros.launch.respawn_policy import describe_exit, RESPAWN_DELAY, RespawnPolicy, SINCE
from gaze_ros.ros.process.shutdown import LAUNCH
from launch.actions import DeclareLaunchArgument, OpaqueFunction, RegisterEventHandler, Shutdown
from launch.event_handlers import OnShutdown
from launch.events.process import ProcessExited
from launch.logging import get_logger
from launch_ros.actions import Node

from launch import LaunchContext, LaunchDescription


def description(arguments: Mapping[str, tuple[Optional[str], str]],
                programs: Callable[[Mapping[str, str]], list[ProcessSpec]]) -> LaunchDescription:
    """Return the description of a launch file.

    :param arguments: the default of each, None where one has to be given, and what it is.
    :param programs: makes the processes of the values of all of them.
    """
    def start(context: LaunchContext) -> list:
        given = {name: context.launch_configurations[name] for name in arguments}
        return actions(programs(given), given)

    return LaunchDescription([
        *(DeclareLaunchArgument(name, default_value=default, description=text)
          for name, (default, text) in arguments.items()),
        OpaqueFunction(function=start),
    ])


def actions(programs: list[ProcessSpec], given: Mapping[str, str]) -> list:
    """Return what starts processes, and removes the files they are given when all have ended.

    :param given: the arguments params_file and log_level, and link and respawn where there are.
    """
    text, _ = read_parameter_file(given['params_file'])
    again = parse_bool('respawn', given.get('respawn', 'false'))
    environment = {LAUNCH: str(os.getpid()), SINCE: f'{time.time():.3f}'}
    if given.get('link'):
        environment[LINK] = given['link']
    files = []
    for program in programs:
        with NamedTemporaryFile(
                'w', encoding='utf-8', prefix='gaze_ros_', suffix='.yaml', delete=False) as file:
            file.write(overriding_parameter_file(program.parameters, text))
        files.append(file.name)

    def remove(event: object, context: LaunchContext) -> None:
        for file in files:
            Path(file).unlink(missing_ok=True)

    return [
        RegisterEventHandler(OnShutdown(on_shutdown=remove)),
        *(Node(
            package='gaze_ros', executable=program.executable, namespace=program.namespace,
            output='screen', arguments=list(program.arguments),
            ros_arguments=['--log-level', given['log_level']],
            additional_env=environment,
            parameters=[given['params_file'], file],
            respawn=again, respawn_delay=RESPAWN_DELAY, on_exit=OnProcessExit(again))
          for program, file in zip(programs, files))]


class OnProcessExit:
    """What is done when a process has ended; launch starts it again unless the others end, too.

    :param again: whether one that died is to be started again.
    """

    def __init__(self, again: bool) -> None:
        self._lives = RespawnPolicy(time.monotonic()) if again else None

    def __call__(self, event: ProcessExited, context: LaunchContext) -> Optional[Shutdown]:
        """End the other processes, too, when one is at its end: q pressed, file over.

        :raises RuntimeError: if it failed, and is not to be started again: this ends the others,
            too, and makes launch exit with 1.
        """
        if not event.returncode or context.is_shutdown:
            return Shutdown()
        failure = f'{event.process_name} {describe_exit(event.returncode)}'
        if self._lives is None:
            raise RuntimeError(failure)
        if why_not := self._lives.record_exit(event.returncode, time.monotonic()):
            raise RuntimeError(f'{failure}{why_not}')
        get_logger('gaze_ros').error(f'{failure}: it is started again in {RESPAWN_DELAY:g} s')
        return None
