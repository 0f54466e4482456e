"""Gaze from a bag's images, in the bag's time; it ends when the bag does."""
from gaze_ros.ros.replaying import ARGUMENTS, node_parameters
from launch.actions import DeclareLaunchArgument, OpaqueFunction, Shutdown
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

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
    common = {
        'package': 'gaze_ros', 'namespace': given['namespace'], 'output': 'screen',
        'ros_arguments': ['--log-level', given['log_level']],
        # The bag at its end, or anything else of it, ends them all.
        'on_exit': Shutdown(),
    }
    return [
        Node(executable=executable, **common, parameters=[given['params_file'], {
            name: ParameterValue(value, value_type=type(value))
            for name, value in parameters.items()}])
        for executable, parameters in node_parameters(given).items()]
