"""The messages of foxglove_msgs that bags of this package contain; it need not be installed.

A bag has the definitions of its messages in it. These are the fields that all versions of
foxglove_msgs share, in their order.
"""

#: Type of the annotations of an image.
ANNOTATIONS = 'foxglove_msgs/msg/ImageAnnotations'

#: Definition of each message, by type.
DEFINITIONS = {
    ANNOTATIONS: """
foxglove_msgs/CircleAnnotation[] circles
foxglove_msgs/PointsAnnotation[] points
foxglove_msgs/TextAnnotation[] texts
""",
    'foxglove_msgs/msg/CircleAnnotation': """
builtin_interfaces/Time timestamp
foxglove_msgs/Point2 position
float64 diameter
float64 thickness
foxglove_msgs/Color fill_color
foxglove_msgs/Color outline_color
""",
    'foxglove_msgs/msg/PointsAnnotation': """
builtin_interfaces/Time timestamp
uint8 UNKNOWN=0
uint8 POINTS=1
uint8 LINE_LOOP=2
uint8 LINE_STRIP=3
uint8 LINE_LIST=4
uint8 type
foxglove_msgs/Point2[] points
foxglove_msgs/Color outline_color
foxglove_msgs/Color[] outline_colors
foxglove_msgs/Color fill_color
float64 thickness
""",
    'foxglove_msgs/msg/TextAnnotation': """
builtin_interfaces/Time timestamp
foxglove_msgs/Point2 position
string text
float64 font_size
foxglove_msgs/Color text_color
foxglove_msgs/Color background_color
""",
    'foxglove_msgs/msg/Color': """
float64 r
float64 g
float64 b
float64 a
""",
    'foxglove_msgs/msg/Point2': """
float64 x
float64 y
"""}
