"""Starting processes by launch, which is in no package registry: only launch files import this."""
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Optional

from gaze_ros.ros.launch_values import parameter_file, parsed, Program
from gaze_ros.ros.transport import LINK
from launch.actions import DeclareLaunchArgument, OpaqueFunction, RegisterEventHandler, Shutdown
from launch.event_handlers import OnShutdown
from launch.events.process import ProcessExited
from launch_ros.actions import Node

from launch import LaunchContext, LaunchDescription


def description(arguments: Mapping[str, tuple[Optional[str], str]],
                programs: Callable[[Mapping[str, str]], list[Program]]) -> LaunchDescription:
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


def actions(programs: list[Program], given: Mapping[str, str]) -> list:
    """Return what starts processes, and removes the files they are given when they have ended.

    :param given: the arguments params_file and log_level, and link where there is one.
    """
    text, _ = parsed(given['params_file'])
    files = []
    for program in programs:
        with NamedTemporaryFile(
                'w', encoding='utf-8', prefix='gaze_ros_', suffix='.yaml', delete=False) as file:
            file.write(parameter_file(program.parameters, text))
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
            additional_env={LINK: given['link']} if given.get('link') else None,
            parameters=[given['params_file'], file], on_exit=end)
          for program, file in zip(programs, files))]


def end(event: ProcessExited, context: LaunchContext) -> Shutdown:
    """End the other processes when one is at its end: q pressed, file over, model refused.

    :raises RuntimeError: if it failed: this ends the others, too, and makes launch exit with 1.
    """
    if event.returncode and not context.is_shutdown:
        raise RuntimeError(f'{event.process_name} failed with exit code {event.returncode}')
    return Shutdown()
