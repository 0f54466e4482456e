"""A process that subscribes to all topics of the nodes and exits when its stdin is closed."""
import sys
from threading import Thread

from gaze_ros.msg import Attention, GazeArray
from gaze_ros.ros.comm import dds_profile, topics
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import CompressedImage, Image
from visualization_msgs.msg import MarkerArray


def main() -> None:
    """Receive messages until stdin is closed."""
    dds_profile.configure()
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    node = rclpy.create_node('gaze_ros_transient_subscriber')
    for kind, topic in (
            (GazeArray, topics.GAZE), (Attention, topics.ATTENTION), (MarkerArray, topics.MARKERS),
            (Image, topics.IMAGE_ANNOTATED),
            (CompressedImage, topics.IMAGE_ANNOTATED + '/compressed')):
        node.create_subscription(kind, topic, lambda _: None, topics.default_qos())
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    stdin = Thread(target=sys.stdin.read, daemon=True)
    stdin.start()
    while stdin.is_alive():
        executor.spin_once(timeout_sec=0.2)
    executor.shutdown(0.0)
    node.destroy_node()
    rclpy.try_shutdown()


if __name__ == '__main__':
    main()
