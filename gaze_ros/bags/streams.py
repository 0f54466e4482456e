"""Which of a bag's topics are a camera's."""
from collections.abc import Mapping
from typing import NamedTuple

from gaze_ros.bags.reading import Topic
from gaze_ros.core.errors import SourceError

IMAGE, COMPRESSED, CAMERA_INFO = (
    f'sensor_msgs/msg/{name}' for name in ('Image', 'CompressedImage', 'CameraInfo'))

#: What image_transport adds to the name of a topic, and what ours says of annotated pictures.
_COMPRESSED, _DEPTH, _ANNOTATED = '/compressed', '/compressedDepth', 'gaze/image_annotated'


class Streams(NamedTuple):
    """Topics of one camera in a bag; '' where it has none.

    :ivar base: name of the images' topic, without ``/compressed``.
    :ivar raw: of sensor_msgs/Image.
    :ivar compressed: of sensor_msgs/CompressedImage.
    :ivar info: of sensor_msgs/CameraInfo.
    """

    base: str
    raw: str
    compressed: str
    info: str

    @property
    def images(self) -> str:
        """The topic to work on: the pictures as they were taken, where the bag has them."""
        return self.raw or self.compressed

    @property
    def namespace(self) -> str:
        """What goes before camera/image_raw or the like: '/front' or ''."""
        return self.base.rsplit('/', 2)[0] if self.base.count('/') > 2 else ''


def find_streams(topics: Mapping[str, Topic], image: str = '', info: str = '') -> Streams:
    """Return a camera's topics.

    :param topics: all of the bag, by name.
    :param image: name of the images' topic, with or without ``/compressed``; '' for the only one.
    :param info: name of the calibration's; '' for ``camera_info`` beside the images.
    :raises SourceError: if there is no such topic, or more than one; it lists those there.
    """
    pictures = {
        t.name: t for t in topics.values()
        if t.type in (IMAGE, COMPRESSED) and t.count and not t.name.endswith(_DEPTH)}
    bases = {_base(t) for t in pictures.values()}
    if image:
        wanted = _full(image)
        name = next((n for n in (wanted, wanted + _COMPRESSED) if n in pictures), None)
        if name is None:
            raise SourceError(f"topic '{wanted}' has no images in the bag; {_listed(topics)}")
        base = _base(pictures[name])
        if name == wanted and name != base:  # the compressed ones were asked for
            return Streams(base, '', name, _info(topics, base, info))
    else:
        bases = {b for b in bases if not b.endswith(_ANNOTATED)} or bases
        if len(bases) != 1:
            many = 'more than one topic of images, say which one' if bases else 'no images'
            raise SourceError(f'the bag has {many}; {_listed(topics)}')
        base = bases.pop()
    raw = base if base in pictures and pictures[base].type == IMAGE else ''
    compressed = next((n for n, t in pictures.items()
                       if t.type == COMPRESSED and _base(t) == base), '')
    return Streams(base, raw, compressed, _info(topics, base, info))


def _base(topic: Topic) -> str:
    return topic.name.removesuffix(_COMPRESSED) if topic.type == COMPRESSED else topic.name


def _full(name: str) -> str:
    return name if name.startswith('/') else f'/{name}'


def _info(topics: Mapping[str, Topic], base: str, info: str) -> str:
    wanted = _full(info) if info else base.rpartition('/')[0] + '/camera_info'
    if wanted in topics and topics[wanted].type == CAMERA_INFO:
        return wanted
    if info:
        raise SourceError(f"topic '{wanted}' has no {CAMERA_INFO} in the bag; {_listed(topics)}")
    return ''


def _listed(topics: Mapping[str, Topic]) -> str:
    if not topics:
        return 'it has no topics'
    return 'it has ' + ', '.join(
        f'{t.name} ({t.count} {t.type})' for t in sorted(topics.values()))
