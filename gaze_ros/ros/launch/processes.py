"""Starts processes with launch. Only launch files import this: no package registry has launch."""
from collections.abc import Callable, Mapping
import os
from pathlib import Path
from tempfile import NamedTemporaryFile
import time
from typing import Optional

from gaze_ros.ros.comm.dds_profile import foreign_environment, LINK
from gaze_ros.ros.launch.parsing import (
    overriding_parameter_file,
    parse_bool,
    parse_command,
    ProcessSpec,
    read_parameter_file,
)
from gaze_ros.ros.launch.respawn_policy import (
    describe_exit,
    LAUNCH_TIME,
    RESPAWN_DELAY,
    RespawnPolicy,
)
from gaze_ros.ros.process.shutdown import LAUNCH_PID
from launch import LaunchContext, LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    ExecuteProcess,
    OpaqueFunction,
    RegisterEventHandler,
    Shutdown,
)
from launch.event_handlers import OnShutdown
from launch.events.process import ProcessExited
from launch.logging import get_logger
from launch_ros.actions import Node


def description(arguments: Mapping[str, tuple[Optional[str], str]],
                programs: Callable[[Mapping[str, str]], list[ProcessSpec]]) -> LaunchDescription:
    """Return the description of a launch file.

    :param arguments: default (None if required) and description of each launch argument.
    :param programs: returns the processes to start for the values of all arguments.
    """
    def start(context: LaunchContext) -> list:
        values = {name: context.launch_configurations[name] for name in arguments}
        return actions(programs(values), values)

    return LaunchDescription([
        *(DeclareLaunchArgument(name, default_value=default, description=text)
          for name, (default, text) in arguments.items()),
        OpaqueFunction(function=start),
    ])


def actions(programs: list[ProcessSpec], arguments: Mapping[str, str]) -> list:
    """Return the actions that start processes and, when all have ended, remove temporary files.

    :param arguments: the launch arguments params_file and log_level, and driver, link and respawn
        if any.
    """
    text, _ = read_parameter_file(arguments['params_file'])
    respawn = parse_bool('respawn', arguments.get('respawn', 'false'))
    driver = parse_command('driver', arguments.get('driver', ''))
    environment = {LAUNCH_PID: str(os.getpid()), LAUNCH_TIME: f'{time.time():.3f}'}
    if arguments.get('link'):
        environment[LINK] = arguments['link']
    files = []
    for program in programs:
        with NamedTemporaryFile(
                'w', encoding='utf-8', prefix='gaze_ros_', suffix='.yaml', delete=False) as file:
            file.write(overriding_parameter_file(program.parameters, text))
        files.append(file.name)

    def remove(event: object, context: LaunchContext) -> None:
        for file in files:
            Path(file).unlink(missing_ok=True)

    result = [
        RegisterEventHandler(OnShutdown(on_shutdown=remove)),
        *(Node(
            package='gaze_ros', executable=program.executable, namespace=program.namespace,
            output='screen', arguments=list(program.arguments),
            ros_arguments=['--log-level', arguments['log_level']],
            additional_env=environment,
            parameters=[arguments['params_file'], file],
            respawn=respawn, respawn_delay=RESPAWN_DELAY, on_exit=OnProcessExit(respawn))
          for program, file in zip(programs, files))]
    if driver:
        result.append(ExecuteProcess(
            cmd=driver, output='screen', additional_env=foreign_environment(),
            respawn=respawn, respawn_delay=RESPAWN_DELAY, on_exit=OnProcessExit(respawn)))
    return result


class OnProcessExit:
    """Handles the exit of a process; launch restarts it unless all are shut down.

    :param respawn: whether a failed process may be restarted.
    """

    def __init__(self, respawn: bool) -> None:
        self._policy = RespawnPolicy(time.monotonic()) if respawn else None

    def __call__(self, event: ProcessExited, context: LaunchContext) -> Optional[Shutdown]:
        """Shut down all processes when one has finished: q was pressed, or the file ended.

        :raises RuntimeError: if it failed and is not restarted: launch then shuts down all
            processes and exits with 1.
        """
        if not event.returncode or context.is_shutdown:
            return Shutdown()
        failure = f'{event.process_name} {describe_exit(event.returncode)}'
        if self._policy is None:
            raise RuntimeError(failure)
        if refusal := self._policy.record_exit(event.returncode, time.monotonic()):
            raise RuntimeError(f'{failure}{refusal}')
        get_logger('gaze_ros').error(f'{failure}; restarting it in {RESPAWN_DELAY:g} s')
        return None
