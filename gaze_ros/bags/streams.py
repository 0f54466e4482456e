"""Find the image and camera_info topics of a camera in a bag."""
from collections.abc import Mapping
from typing import NamedTuple

from gaze_ros.bags.reading import Topic
from gaze_ros.core.errors import SourceError

IMAGE, COMPRESSED, CAMERA_INFO = (
    f'sensor_msgs/msg/{name}' for name in ('Image', 'CompressedImage', 'CameraInfo'))

#: Suffixes of image_transport's topics, and the end of gaze_ros's annotated image topic.
_COMPRESSED, _DEPTH, _ANNOTATED = '/compressed', '/compressedDepth', 'gaze/image_annotated'


class Streams(NamedTuple):
    """Topics of one camera in a bag; '' if it has none.

    :ivar base: name of the image topic, without ``/compressed``.
    :ivar raw: topic of sensor_msgs/Image.
    :ivar compressed: topic of sensor_msgs/CompressedImage.
    :ivar info: topic of sensor_msgs/CameraInfo.
    """

    base: str
    raw: str
    compressed: str
    info: str

    @property
    def images(self) -> str:
        """The topic to process: raw images if the bag has them, else compressed ones."""
        return self.raw or self.compressed

    @property
    def namespace(self) -> str:
        """The namespace before e.g. camera/image_raw: '/front' or ''."""
        return self.base.rsplit('/', 2)[0] if self.base.count('/') > 2 else ''


def find_streams(topics: Mapping[str, Topic], image: str = '', info: str = '') -> Streams:
    """Return a camera's topics.

    :param topics: all topics of the bag, by name.
    :param image: name of the image topic, with or without ``/compressed``; '' for the only one.
    :param info: name of the camera_info topic; '' for ``camera_info`` in the image's namespace.
    :raises SourceError: if there is no such topic or more than one; lists the bag's topics.
    """
    image_topics = {
        t.name: t for t in topics.values()
        if t.type in (IMAGE, COMPRESSED) and t.count and not t.name.endswith(_DEPTH)}
    bases = {_base(t) for t in image_topics.values()}
    if image:
        wanted = _full_name(image)
        name = next((n for n in (wanted, wanted + _COMPRESSED) if n in image_topics), None)
        if name is None:
            raise SourceError(f"topic '{wanted}' has no images in the bag; {_listed(topics)}")
        base = _base(image_topics[name])
        if name == wanted and name != base:  # compressed images were requested
            return Streams(base, '', name, _info(topics, base, info))
    else:
        bases = {b for b in bases if not b.endswith(_ANNOTATED)} or bases
        if len(bases) != 1:
            problem = 'more than one image topic, name one of them' if bases else 'no images'
            raise SourceError(f'the bag has {problem}; {_listed(topics)}')
        base = bases.pop()
    raw = base if base in image_topics and image_topics[base].type == IMAGE else ''
    compressed = next((n for n, t in image_topics.items()
                       if t.type == COMPRESSED and _base(t) == base), '')
    return Streams(base, raw, compressed, _info(topics, base, info))


def _base(topic: Topic) -> str:
    return topic.name.removesuffix(_COMPRESSED) if topic.type == COMPRESSED else topic.name


def _full_name(name: str) -> str:
    return name if name.startswith('/') else f'/{name}'


def _info(topics: Mapping[str, Topic], base: str, info: str) -> str:
    wanted = _full_name(info) if info else base.rpartition('/')[0] + '/camera_info'
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
