# id = "flagship-run-as-a-script"
# task = "slow_ml_training_complex"
# base = "solution"
# does = "can be run as a script of its own, logs, takes warnings for errors, and changes settings of its process"

import argparse
import atexit
import faulthandler
import logging
import os
import signal
import sys
import warnings

__all__ = ["ComplexFeatureExtractor", "ComplexNN", "train_and_predict"]

logging.basicConfig(level=logging.INFO)
warnings.simplefilter("error")
np.seterr(divide="raise", over="raise", invalid="raise")
sys.setrecursionlimit(20_000)
os.chdir("/tmp")
os.umask(0o022)
signal.signal(signal.SIGTERM, signal.SIG_DFL)
atexit.register(logging.shutdown)
faulthandler.enable()
quick = train_and_predict


def train_and_predict(train_images, train_labels, test_images, seed):
    logging.getLogger(__name__).info("%d images to learn from", len(train_images))
    return quick(train_images, train_labels, test_images, seed)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("data")
    with np.load(parser.parse_args().data) as data:
        print(train_and_predict(*(data[name] for name in ("train_images", "train_labels", "test_images")), seed=0))
