"""torchvision without its compiled operators: PyPI's build of them is for CUDA and fails beside torch for CPUs."""

from torchvision import transforms as transforms

__version__ = "0.28.0"
