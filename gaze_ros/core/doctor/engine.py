"""Models: what there is, what ``auto`` takes, and whether it works."""
import logging
import os
from pathlib import Path
import re
import time

from gaze_ros.core.doctor.report import Report
from gaze_ros.core.errors import GazeRosError

#: Libraries of OpenMP: two kinds in one process each start threads of their own.
_OPENMP = re.compile(r'/(lib(?:gomp|iomp5|omp)[\w.-]*)\.so')


def models() -> Report:
    """Tell which models are on this machine, their licences, and what is wrong with files."""
    from gaze_ros.core.model_zoo import registry, store
    found = Report()
    found.add_fact('looked for in', ', '.join(map(str, store.folders())))
    for folder in os.environ.get(store.VARIABLE, '').split(os.pathsep):
        if folder and not os.path.isdir(os.path.expanduser(folder)):  # nobody's home: as it is
            found.add_warning(f'${store.VARIABLE} names {folder}, which is no folder', 'correct it')
    # What the store says of files that it passes over, of each once.
    logging.getLogger('gaze_ros').setLevel(logging.CRITICAL)
    there, wrong = [], {}
    for model in registry.manifest():
        usable = None
        for one in store.candidates(model):
            if one.problem:
                wrong[one.path] = (model.name, one.problem)
            elif usable is None:
                usable = one
        if usable:
            there.append(model.name)
            shipped = '' if model.may_be_shipped else ', may not be shipped'
            digest = 'digest ok' if usable.generation else 'digest unknown'
            found.add_fact(f'{model.kind} {model.name}',
                       f'{usable.path} ({digest}; {model.licence}{shipped})')
    if not there:
        found.add_fact('files', 'none: what comes with pip is used (gaze_ros models fetch NAME)')
    for path, (name, complaint) in wrong.items():
        found.add_warning(f'{path} is passed over for {name}: {complaint}',
                     f'delete it, and gaze_ros models fetch {name}')
    return found


def trial() -> Report:
    """Load what ``auto`` takes, and estimate the gaze in one picture."""
    from gaze_ros.core.pipeline.engine import create_engine
    import numpy as np
    found = Report()
    said: list[logging.LogRecord] = []
    log = logging.getLogger('gaze_ros')
    log.setLevel(logging.INFO)
    log.propagate = False
    listener = logging.Handler()
    listener.emit = said.append
    log.addHandler(listener)
    try:
        engine = create_engine({})
        picture = _picture()
        faces = f'{len(engine.process(picture, 0.0).gazes)} in the sample'
        if not picture.any():
            faces, picture = 'not tried: no sample', np.zeros((480, 640, 3), np.uint8)
        start = time.perf_counter()
        engine.process(picture, 0.1)
        found.add_fact('auto takes', engine.description)
        found.add_fact('faces', f'{faces}, {(time.perf_counter() - start) * 1e3:.0f} ms')
        if faces.startswith('0'):
            found.add_warning('no face was found in the sample, which shows one',
                         'gaze_ros models verify; pip install --force-reinstall the detector')
        engine.close()
    except GazeRosError as e:
        what, _, do = str(e).partition(': ')
        found.add_error(f'no model can be run: {what}', do or 'gaze_ros models list')
    for record in said:
        what, auto, why = record.getMessage().partition(' auto: ')
        if auto:
            found.add_fact(f'{what} auto', why)
        elif record.levelno >= logging.WARNING:
            found.add_warning(what, 'as it says')
    _openmp(found)
    return found


def _picture():
    """Return a picture with a face, or a black one where the sample is not installed."""
    from gaze_ros.core.sources.sample import Sample
    import numpy as np
    try:
        return Sample().read()
    except GazeRosError:
        return np.zeros((480, 640, 3), np.uint8)


def _openmp(found: Report) -> None:
    """Tell which OpenMP libraries the models loaded."""
    try:
        mapped = Path('/proc/self/maps').read_text(encoding='utf-8', errors='replace')
    except OSError:
        return
    libraries = list(dict.fromkeys(_OPENMP.findall(mapped)))
    found.add_fact('OpenMP', ', '.join(libraries) or 'none')
