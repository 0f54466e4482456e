"""Camera, gaze, people and visualizer: in one process or several, for one camera or several."""
from pathlib import Path
from tempfile import NamedTemporaryFile

from gaze_ros.ros.launching import ARGUMENTS, parameter_file, parsed, programs
from gaze_ros.ros.transport import LINK
from launch.actions import DeclareLaunchArgument, OpaqueFunction, RegisterEventHandler, Shutdown
from launch.event_handlers import OnShutdown
from launch_ros.actions import Node

from launch import LaunchDescription


def generate_launch_description():
    return LaunchDescription([
        *(DeclareLaunchArgument(name, default_value=default, description=text)
          for name, (default, text) in ARGUMENTS.items()),
        OpaqueFunction(function=start),
    ])


def start(context):
    """Return the processes for the arguments given."""
    given = {name: context.launch_configurations[name] for name in ARGUMENTS}
    started = programs(given)
    text, _ = parsed(given['params_file'])
    files = []
    for program in started:
        with NamedTemporaryFile(
                'w', encoding='utf-8', prefix='gaze_ros_', suffix='.yaml', delete=False) as file:
            file.write(parameter_file(program.parameters, text))
        files.append(file.name)

    def remove(event, context):
        for file in files:
            Path(file).unlink(missing_ok=True)

    return [
        RegisterEventHandler(OnShutdown(on_shutdown=remove)),
        *(Node(
            package='gaze_ros', executable=program.executable, namespace=program.namespace,
            output='screen', ros_arguments=['--log-level', given['log_level']],
            additional_env={LINK: given['link']} if given['link'] else None,
            parameters=[given['params_file'], file],
            # One of them at its end (q pressed, file over, model refused) ends the others.
            on_exit=Shutdown())
          for program, file in zip(started, files))]
