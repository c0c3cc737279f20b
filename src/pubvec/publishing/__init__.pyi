from .config import ReleaseConfig as ReleaseConfig
from .hub import PushReport as PushReport
from .hub import pull as pull
from .hub import push as push
from .releasing import release as release
