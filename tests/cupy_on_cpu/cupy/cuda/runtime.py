"""The little of CUDA's runtime that is reached."""

from cupy import _errors
from cupy.cuda import device as _device

CUDARuntimeError = _errors.CUDARuntimeError
CUDARuntimeError.__module__ = __name__
is_hip = False


def getDevice():
    return _device.current.number


def setDevice(device):
    _device.Device(device).use()


def getDeviceCount():
    return _device.COUNT


def deviceSynchronize():
    _device.Device().synchronize()


def getDeviceProperties(device):
    """Return what tells that this is no GPU."""
    if not 0 <= device < _device.COUNT:
        raise _errors.invalid_device()
    return {"name": b"stand-in on the CPU", "major": 0, "minor": 0, "multiProcessorCount": 1, "warpSize": 32}


def driverGetVersion():
    return 13000


def runtimeGetVersion():
    return 13000
