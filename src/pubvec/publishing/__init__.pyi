from .config import ReleaseConfig as ReleaseConfig
from .releasing import release as release
