from gaze_ros.core.estimators import create_estimator
import pytest


@pytest.fixture(scope='session')
def mediapipe():
    """Return the default model, loaded once."""
    pytest.importorskip('mediapipe')
    estimator = create_estimator()
    yield estimator
    estimator.close()
